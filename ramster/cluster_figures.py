"""The figures of a whole cluster, as one node sees it: what ``/cluster`` shows.

Covers: asking the peers that are in touch, all at once, and saying why others do not answer. Does
not cover: the figures of one node (``figures.py``), checks of what a peer sends
(``peer_figures.py``), nodes that only peers know.

Nothing is sent unless somebody asks. However many ask, there is one round at a time, and its
answer is good for ``FRESH_S``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from ramster.clock import Clock
from ramster.errors import PeerError, PeerMethodMissingError
from ramster.figures import Figures
from ramster.peer_figures import parse_figures

__all__ = ["ClusterFigures"]

FRESH_S = 1.0
DEADLINE_S = 1.0

Ask = Callable[[str, float], Awaitable[bytes]]
"""(address, seconds) -> what that peer says of itself; raises PeerError."""

_IN_TOUCH = ("alive", "suspect")


class ClusterFigures:
    """``own``: this node's figures; ``ask``: None on a node without peers."""

    def __init__(self, own: Callable[[], Figures], ask: Ask | None, clock: Clock) -> None:
        self._own = own
        self._ask = ask
        self._clock = clock
        self._round: asyncio.Task[Figures] | None = None
        self._ended_at = float("-inf")

    async def collect(self) -> Figures:
        """``{"asked": NAME, "nodes": [...]}``: this node's figures first, then those of its peers.

        A peer that gives none has an entry of ``name`` (null until it is known), ``address``,
        ``state`` and ``reason`` instead. A node that is a peer under several addresses, and this
        node itself, are there once. An answer is at most FRESH_S old.
        """
        now = self._clock.now()
        if self._round is None or (self._round.done() and now - self._ended_at >= FRESH_S):
            self._round = asyncio.create_task(self._ask_all())
        # Whoever gives up does not end the round for the others.
        return await asyncio.shield(self._round)

    def close(self) -> None:
        """End a round that is under way."""
        if self._round is not None:
            self._round.cancel()

    async def _ask_all(self) -> Figures:
        try:
            own = self._own()
            peers = _once_each(own)
            entries = await asyncio.gather(*map(self._entry, peers))
            lives = {peer["incarnation"] for peer in peers}
            nodes: list[dict[str, Any]] = [own]
            for peer, entry in zip(peers, entries, strict=True):
                # Who is not known yet cannot take the place of who is.
                taken = peer["incarnation"] is None and _life(entry) in lives - {None}
                if not taken and not any(_same_node(entry, known) for known in nodes):
                    nodes.append(entry)
            return {"asked": own["name"], "nodes": nodes}
        finally:
            self._ended_at = self._clock.now()

    async def _entry(self, peer: dict[str, Any]) -> dict[str, Any]:
        if self._ask is None or peer["state"] not in _IN_TOUCH:
            return _silent(peer, peer["reason"])
        try:
            async with asyncio.timeout(DEADLINE_S):
                told = parse_figures(await self._ask(peer["address"], DEADLINE_S))
        except PeerMethodMissingError:
            return _silent(peer, "it does not tell its figures: an older version")
        except PeerError as error:
            return _silent(peer, str(error))
        except TimeoutError:
            return _silent(peer, f"it did not tell its figures within {DEADLINE_S:g} s")
        # What it said at its hello; until then nothing is known of it.
        known = (peer["node"], peer["incarnation"])
        if peer["incarnation"] is not None and (told["name"], _life(told)) != known:
            return _silent(peer, "it tells of another life or node")
        return told


def _silent(peer: dict[str, Any], reason: str) -> dict[str, Any]:
    return {
        "name": peer["node"],
        "address": peer["address"],
        "state": peer["state"],
        "reason": reason,
    }


def _once_each(own: Figures) -> list[dict[str, Any]]:
    """The peers' rows, one for each node: those in touch before others, in the order given."""
    seen = {own["cluster"]["incarnation"]} if own["cluster"] else set()
    chosen = {}
    for peer in sorted(own["peers"], key=lambda peer: peer["state"] not in _IN_TOUCH):
        life = peer["incarnation"]
        if peer["state"] == "self" or (life is not None and life in seen):
            continue
        seen.add(life)
        chosen[peer["address"]] = peer
    return [chosen[peer["address"]] for peer in own["peers"] if peer["address"] in chosen]


def _same_node(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two nodes that gave their figures are one life of one."""
    life = _life(one)
    return life is not None and life == _life(other)


def _life(node: dict[str, Any]) -> str | None:
    found: str | None = (node.get("cluster") or {}).get("incarnation")
    return found
