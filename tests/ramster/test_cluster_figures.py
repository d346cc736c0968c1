"""The figures of a cluster from one node: who is asked, how often, and what is said of the rest."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from ramster.clock import LoopClock
from ramster.cluster_figures import DEADLINE_S, FRESH_S, ClusterFigures
from ramster.config import Mode
from ramster.errors import PeerMethodMissingError, PeerRefusedError, PeerUnreachableError
from ramster.figures import Figures
from ramster.peer_figures import encode_figures
from tests.ramster.test_figures import CLUSTER, collected
from tests.support.virtual_time import run

BASE = collected(Mode.RAMSTER, CLUSTER)


def figures_of(name: str, life: int, peers: list[dict[str, Any]] | None = None) -> Figures:
    figures = copy.deepcopy(BASE)
    figures["name"] = name
    figures["cluster"]["incarnation"] = f"{life:016x}"
    figures["peers"] = peers or []
    return figures


def row(address: str, state: str, *, life: int | None = None, node: str | None = None) -> Any:
    return {
        **BASE["peers"][0],
        "address": address,
        "state": state,
        "reason": f"{state} because",
        "node": node,
        "incarnation": None if life is None else f"{life:016x}",
    }


class Peers:
    """Peers that answer as they were told; counts the calls."""

    def __init__(self, answers: dict[str, Callable[[], Awaitable[bytes]] | Exception | bytes]):
        self.answers = answers
        self.asked: list[str] = []

    async def ask(self, address: str, deadline_s: float) -> bytes:
        assert deadline_s == DEADLINE_S
        self.asked.append(address)
        answer = self.answers[address]
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, bytes) else await answer()


def view_of(own: Figures, peers: Peers) -> ClusterFigures:
    return ClusterFigures(lambda: own, peers.ask, LoopClock())


def test_it_has_this_node_the_peers_that_answer_and_why_others_do_not() -> None:
    async def hang() -> bytes:
        await asyncio.Event().wait()
        raise AssertionError

    other = figures_of("b", 2)
    own = figures_of(
        "a",
        1,
        [
            row("b:1", "alive", life=2, node="b"),
            row("c:1", "dead", life=3, node="c"),
            row("d:1", "connecting"),
            row("e:1", "suspect", life=5, node="e"),
            row("f:1", "alive", life=6, node="f"),
            row("g:1", "alive", life=7, node="g"),
            row("h:1", "alive", life=8, node="h"),
            row("i:1", "refused"),
        ],
    )
    peers = Peers(
        {
            "b:1": encode_figures(other),
            "e:1": hang,
            "f:1": PeerMethodMissingError("f:1: UNIMPLEMENTED"),
            "g:1": b"<b>no figures</b>",
            "h:1": PeerUnreachableError("h:1: connection reset"),
        }
    )

    async def work() -> None:
        answer = await view_of(own, peers).collect()
        assert answer["asked"] == "a"
        assert answer["nodes"][:2] == [own, other]
        rest = {node["address"]: node for node in answer["nodes"][2:]}
        assert rest["c:1"] == {
            "name": "c",
            "address": "c:1",
            "state": "dead",
            "reason": "dead because",
        }
        assert (rest["d:1"]["name"], rest["d:1"]["reason"]) == (None, "connecting because")
        assert rest["e:1"]["reason"] == "it did not tell its figures within 1 s"
        assert rest["f:1"]["reason"] == "it does not tell its figures: an older version"
        assert rest["g:1"]["reason"].startswith("figures that are no JSON")
        assert rest["h:1"]["reason"] == "h:1: connection reset"
        assert rest["i:1"]["state"] == "refused"
        assert sorted(peers.asked) == ["b:1", "e:1", "f:1", "g:1", "h:1"]

    run(work())


def test_a_node_under_several_addresses_is_there_once_and_this_node_too() -> None:
    own = figures_of(
        "a",
        1,
        [
            row("self:1", "self"),
            row("me:1", "alive", life=1, node="a"),
            row("b:1", "dead", life=2, node="b"),
            row("b:2", "alive", life=2, node="b"),
            row("b:3", "suspect"),
        ],
    )
    data = encode_figures(figures_of("b", 2))
    peers = Peers({"b:2": data, "b:3": data})

    async def work() -> None:
        answer = await view_of(own, peers).collect()
        assert [node["name"] for node in answer["nodes"]] == ["a", "b"]
        assert "me:1" not in peers.asked

    run(work())


@pytest.mark.parametrize(
    ("name", "life"), [("c", 3), ("b", 3), ("c", 2), ("a", 1)], ids=["whole", "life", "name", "us"]
)
def test_a_peer_that_tells_of_another_node_is_silent_and_hides_nobody(name: str, life: int) -> None:
    own = figures_of(
        "a", 1, [row("b:1", "alive", life=2, node="b"), row("c:1", "alive", life=3, node="c")]
    )
    honest = figures_of("c", 3)
    peers = Peers({"b:1": encode_figures(figures_of(name, life)), "c:1": encode_figures(honest)})

    async def work() -> None:
        (_, liar, other) = (await view_of(own, peers).collect())["nodes"]
        assert liar == {
            "name": "b",
            "address": "b:1",
            "state": "alive",
            "reason": "it tells of another life or node",
        }
        assert other == honest

    run(work())


def test_an_address_of_which_nothing_is_known_cannot_take_a_nodes_place() -> None:
    own = figures_of("a", 1, [row("x:1", "suspect"), row("b:1", "alive", life=2, node="b")])
    lie, truth = figures_of("b", 2), figures_of("b", 2)
    lie["version"] = "a lie"
    peers = Peers({"x:1": encode_figures(lie), "b:1": encode_figures(truth)})

    async def work() -> None:
        assert (await view_of(own, peers).collect())["nodes"] == [own, truth]

    run(work())


def test_many_askers_are_one_round_and_an_answer_is_good_for_a_while() -> None:
    peers = Peers({"b:1": encode_figures(figures_of("b", 2))})
    own = figures_of("a", 1, [row("b:1", "alive", life=2, node="b")])

    async def work() -> None:
        view = view_of(own, peers)
        assert peers.asked == []  # nothing is sent unless somebody asks
        answers = await asyncio.gather(*(view.collect() for _ in range(10)))
        assert all(answer is answers[0] for answer in answers)
        await asyncio.sleep(FRESH_S * 0.9)
        assert await view.collect() is answers[0]
        assert len(peers.asked) == 1
        await asyncio.sleep(FRESH_S * 0.2)
        await view.collect()
        assert len(peers.asked) == 2
        await asyncio.sleep(100)
        assert len(peers.asked) == 2

    run(work())


def test_an_asker_that_gives_up_does_not_end_the_round_for_others() -> None:
    go = asyncio.Event()

    async def later() -> bytes:
        await go.wait()
        return encode_figures(figures_of("b", 2))

    peers = Peers({"b:1": later})
    own = figures_of("a", 1, [row("b:1", "alive", life=2, node="b")])

    async def work() -> None:
        view = view_of(own, peers)
        first, second = (asyncio.create_task(view.collect()) for _ in range(2))
        await asyncio.sleep(0.1)
        first.cancel()
        go.set()
        assert len((await second)["nodes"]) == 2
        assert first.cancelled()

    run(work())


def test_a_round_that_failed_is_tried_again() -> None:
    def fail() -> Figures:
        raise RuntimeError("starting")

    async def work() -> None:
        view = ClusterFigures(fail, None, LoopClock())
        for _ in range(2):
            with pytest.raises(RuntimeError, match="starting"):
                await view.collect()
            await asyncio.sleep(FRESH_S)

    run(work())


def test_a_node_without_peers_shows_itself() -> None:
    own = collected(Mode.ZCACHE, None)

    async def work() -> None:
        view = ClusterFigures(lambda: own, None, LoopClock())
        assert await view.collect() == {"asked": "n", "nodes": [own]}

    run(work())


def test_a_peers_refusal_is_its_reason() -> None:
    own = figures_of("a", 1, [row("b:1", "alive", life=2, node="b")])
    peers = Peers({"b:1": PeerRefusedError("b:1: this node tells no figures")})

    async def work() -> None:
        (_, entry) = (await view_of(own, peers).collect())["nodes"]
        assert (entry["state"], entry["reason"]) == ("alive", "b:1: this node tells no figures")

    run(work())
