"""The loops that keep a node in touch, and calls whose outcome membership learns."""

from __future__ import annotations

import asyncio
import logging
from array import array
from typing import Any

import pytest

from ramster.errors import (
    PeerRefusedError,
    PeerTimeoutError,
    PeerUnreachableError,
    UnknownLeaseError,
)
from ramster.lenders import Lender
from ramster.peers import SLOW_CALL_S
from ramster.transport import FetchRequest, FlushRequest, SpillRequest
from tests.support.fake_cluster import FakeCluster, Node
from tests.support.virtual_time import VirtualTimeLoop, run, until
from zcache import PackedBlobs, PoolKind


def lender_of(node: Node, peer: str) -> Lender:
    view = node.peer(peer)
    return Lender(view.node, view.incarnation, view.lease)


def calls(cluster: FakeCluster, source: str, call: str) -> int:
    return sum(1 for s, _, c in cluster.network.calls if s == source and c == call)


async def flush_nothing(node: Node, lender: Lender) -> None:
    """The simplest call to a lender."""
    request = FlushRequest(
        lease=lender.lease,
        epoch=0,
        sequence=1,
        kind=PoolKind.PERSISTENT,
        keys=array("Q"),
        generations=array("Q"),
    )
    await node.cluster._peers.flush(lender, request, 1.0)


def test_a_peer_gets_one_hello_and_then_a_heartbeat_an_interval() -> None:
    async def main() -> None:
        async with FakeCluster(heartbeat_interval_s=1.0) as cluster:
            await asyncio.sleep(10.5)
            assert calls(cluster, "a", "hello") == 1
            assert calls(cluster, "a", "heartbeat") == 10

    run(main())


def test_a_silent_peer_is_dead_within_the_configured_time() -> None:
    """Checklist 61: a dead peer is detected within the configured time without manual action."""

    async def main() -> None:
        async with FakeCluster(dead_after_s=10.0, heartbeat_interval_s=1.0) as cluster:
            cluster.network.cut("a", "b")
            await asyncio.sleep(10.01)
            assert cluster["a"].peer("b").state == "dead"
            assert cluster["a"].counters.peers_died == 1

    run(main())


def test_a_peer_comes_back_by_itself() -> None:
    """Checklist 60: a lost connection is re-established."""

    async def main() -> None:
        async with FakeCluster(reconnect_backoff_max_s=5.0, suspect_after_s=3.0) as cluster:
            before = lender_of(cluster["a"], "b")
            cluster.network.cut("a", "b")
            await asyncio.sleep(40)
            cluster.network.heal()
            # One pause between tries and one lost try at most.
            await until(cluster.all_alive, within_s=5.0 + 3.0 + 0.1)
            assert lender_of(cluster["a"], "b") == before

    run(main())


def test_a_peer_that_is_started_late_is_found() -> None:
    async def main() -> None:
        cluster = FakeCluster()
        await cluster["a"].start()
        await until(lambda: cluster["a"].peer("b").state == "dead")
        await cluster["b"].start()
        await until(cluster.all_alive, within_s=6)
        for node in cluster.nodes.values():
            await node.stop()

    run(main())


def test_a_refusing_peer_is_shown_with_its_reason_and_asked_again() -> None:
    """Checklist 59: a mismatch is refused with a clear reason."""

    async def main() -> None:
        cluster = FakeCluster(only_b={"cluster": "other"})
        for node in cluster.nodes.values():
            await node.start()
        await until(lambda: cluster["a"].peer("b").state == "refused")
        assert cluster["a"].peer("b").reason == "cluster 'ramster' offered: accepted is 'other'"
        asked = calls(cluster, "a", "hello")
        await asyncio.sleep(30)
        assert asked + 5 <= calls(cluster, "a", "hello") <= asked + 30
        assert cluster["b"].counters.hellos_refused >= asked
        for node in cluster.nodes.values():
            await node.stop()

    run(main())


def test_this_node_among_its_peers_is_recognised() -> None:
    async def main() -> None:
        cluster = FakeCluster("a")
        node = Node(cluster.network, "a", [])
        node._config = type(node._config)(node="a", peers=("a",))
        await node.start()
        await until(lambda: node.peer("a").state == "self")
        assert node.peer("a").lease is None
        assert node.cluster.snapshot().foreign == ()
        await node.stop()

    run(main())


def test_a_lender_that_forgot_the_lease_is_greeted_again_at_once() -> None:
    async def main() -> None:
        async with FakeCluster(heartbeat_interval_s=1.0) as cluster:
            a, b = cluster["a"], cluster["b"]
            old = lender_of(a, "b")
            b.cluster._foreign._leases.end(b.cluster._foreign.leases[0])
            with pytest.raises(UnknownLeaseError):
                await flush_nothing(a, old)
            assert a.cluster._membership.address_of(old) is None
            await until(lambda: a.peer("b").lease is not None, within_s=0.1)
            assert lender_of(a, "b") != old
            with pytest.raises(PeerUnreachableError, match="not in touch"):
                await flush_nothing(a, old)

    run(main())


def test_a_call_that_finds_no_connection_starts_the_search_at_once() -> None:
    async def main() -> None:
        async with FakeCluster(heartbeat_interval_s=1.0) as cluster:
            a = cluster["a"]
            lender = lender_of(a, "b")
            handler = cluster.network._handlers["b"]
            cluster.network.down("b")
            with pytest.raises(PeerUnreachableError, match="connection refused"):
                await flush_nothing(a, lender)
            assert a.peer("b").state == "suspect"
            cluster.network.up("b", handler)
            await until(lambda: a.peer("b").state == "alive", within_s=0.3)
            await flush_nothing(a, lender)

    run(main())


def test_any_answer_is_a_sign_of_life() -> None:
    async def main() -> None:
        async with FakeCluster(suspect_after_s=3.0) as cluster:
            a = cluster["a"]
            lender = lender_of(a, "b")

            def lose(source: str, to: str, call: str, message: Any) -> Any:
                return None if source == "a" and call in ("hello", "heartbeat") else message

            cluster.network.tamper_request = lose
            for _ in range(10):
                await flush_nothing(a, lender)
                await asyncio.sleep(2)
                assert a.peer("b").state == "alive"
            await until(lambda: a.peer("b").state == "suspect", within_s=1.1)

    run(main())


def test_a_dead_peer_is_not_called() -> None:
    async def main() -> None:
        async with FakeCluster() as cluster:
            a = cluster["a"]
            lender = lender_of(a, "b")
            cluster.network.cut("a", "b")
            await until(lambda: a.peer("b").state == "dead")
            before = len(cluster.network.calls)
            with pytest.raises(PeerUnreachableError, match="not in touch"):
                await flush_nothing(a, lender)
            assert len(cluster.network.calls) == before

    run(main())


def test_a_refusal_in_a_heartbeat_is_a_failure_like_any_other() -> None:
    async def main() -> None:
        async with FakeCluster() as cluster:

            def refuse(source: str, to: str, call: str, message: Any) -> Any:
                if (source, call) == ("a", "heartbeat"):
                    raise PeerRefusedError("not now")
                return message

            cluster.network.tamper_request = refuse
            hellos = calls(cluster, "a", "hello")
            await until(lambda: calls(cluster, "a", "hello") > hellos, within_s=3)
            assert cluster["a"].peer("b").state == "alive"

    run(main())


# -- lenders that are slow
# ---------------------------------------------------------------------------------------


def spill_of(lender: Lender, batch: int = 1) -> SpillRequest:
    """An empty batch: as good as any to a lender that does not answer."""
    return SpillRequest(
        lease=lender.lease, epoch=0, batch=batch, kind=PoolKind.PERSISTENT, blobs=PackedBlobs()
    )


def lose_spills(source: str, to: str, call: str, message: Any) -> Any:
    return None if call == "spill" else message


def test_a_lender_that_is_late_with_a_spill_takes_none_until_it_says_hello_again() -> None:
    async def main() -> None:
        async with FakeCluster(heartbeat_interval_s=30.0, suspect_after_s=60, dead_after_s=60) as c:
            a = c["a"]
            lender, peers = lender_of(a, "b"), a.cluster._peers
            c.network.tamper_request = lose_spills
            hellos = calls(c, "a", "hello")
            with pytest.raises(PeerTimeoutError):
                await peers.spill(lender, spill_of(lender), 1.0)
            assert a.peer("b").state == "suspect"
            assert not peers.takes_spills(lender)
            assert peers.reachable(lender), "it may still give what it has"
            await until(lambda: peers.takes_spills(lender), within_s=0.1)
            assert calls(c, "a", "hello") == hellos + 1
            assert lender_of(a, "b") == lender

    run(main())


def test_a_lender_that_is_late_with_a_fetch_is_not_suspect() -> None:
    async def main() -> None:
        async with FakeCluster() as cluster:
            a = cluster["a"]
            lender = lender_of(a, "b")
            cluster.network.tamper_request = lambda source, to, call, message: (
                None if call == "fetch" else message
            )
            request = FetchRequest(
                lease=lender.lease,
                kind=PoolKind.PERSISTENT,
                keys=array("Q", [1]),
                generations=array("Q", [1]),
            )
            with pytest.raises(PeerTimeoutError):
                await a.cluster._peers.fetch(lender, request, 1.0)
            assert a.peer("b").state == "alive"

    run(main())


def test_a_call_that_is_answered_late_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with FakeCluster() as cluster:
            a = cluster["a"]
            lender = lender_of(a, "b")
            await flush_nothing(a, lender)
            assert not [r for r in caplog.records if r.__dict__.get("event") == "slow_call"]
            cluster.network.delay_s = (SLOW_CALL_S / 2, SLOW_CALL_S / 2)
            with caplog.at_level(logging.WARNING):
                await flush_nothing(a, lender)
            (slow,) = [r for r in caplog.records if r.__dict__.get("event") == "slow_call"]
            assert slow.__dict__["fields"]["peer"] == "b"

    run(main())


def test_a_node_that_stood_still_takes_nobody_for_dead() -> None:
    """As after SIGSTOP and SIGCONT, or a suspended machine."""

    async def main() -> None:
        async with FakeCluster(dead_after_s=10.0) as cluster:
            a, loop = cluster["a"], asyncio.get_running_loop()
            await asyncio.sleep(5.5)
            assert isinstance(loop, VirtualTimeLoop)
            loop._jump(60.0)
            await asyncio.sleep(0.5)
            assert a.peer("b").state == "alive"
            assert a.counters.peers_died == 0

    run(main())


# -- leaving
# ---------------------------------------------------------------------------------------------


def test_a_goodbye_ends_the_leases_at_once() -> None:
    async def main() -> None:
        async with FakeCluster("a b c") as cluster:
            a, loop = cluster["a"], asyncio.get_running_loop()
            began = loop.time()
            await a.cluster._peers.say_goodbye(1.0)
            assert loop.time() - began < 0.01
            for name in "bc":
                leases = cluster[name].cluster._foreign.leases
                assert "a" not in [lease.owner for lease in leases]
                assert cluster[name].counters.leases_left == 1

    run(main())


@pytest.mark.parametrize("fault", ["one silent", "all silent", "one down", "refused"])
def test_a_goodbye_takes_no_longer_than_its_bound_whatever_peers_do(fault: str) -> None:
    async def main() -> None:
        async with FakeCluster("a b c") as cluster:
            a, loop = cluster["a"], asyncio.get_running_loop()

            def refuse(source: str, to: str, call: str, message: Any) -> Any:
                if call == "heartbeat":
                    raise PeerRefusedError("no")
                return message

            if fault == "one down":
                cluster.network.down("b")
            elif fault == "refused":
                cluster.network.tamper_request = refuse
            else:
                for name in "b" if fault == "one silent" else "bc":
                    cluster.network.cut("a", name)
            began = loop.time()
            await a.cluster._peers.say_goodbye(0.5)
            assert loop.time() - began <= 0.501
            left = cluster["c"].counters.leases_left
            assert left == (0 if fault in ("all silent", "refused") else 1)

    run(main())


def test_nobody_is_told_who_is_not_in_touch_anyway() -> None:
    async def main() -> None:
        async with FakeCluster("a b c") as cluster:
            a = cluster["a"]
            cluster.network.cut("a", "b")
            await until(lambda: a.peer("b").state == "dead")
            before = len(cluster.network.calls)
            await a.cluster._peers.say_goodbye(1.0)
            said = [to for source, to, _ in cluster.network.calls[before:] if source == "a"]
            assert said == ["c"]

    run(main())
