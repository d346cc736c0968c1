"""Which lenders take the copies of a batch of pages: a pure choice.

Covers: the fixed target and the roomier of two random peers ("power of two choices": M.
Mitzenmacher, The Power of Two Choices in Randomized Load Balancing, 1996 - with stale figures of
the load it spreads far better than the roomiest of all, to which every owner would rush at once).
Does not cover: where the figures come from (``membership.py``), what happens then
(``spiller.py``, ``relocator.py``).
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from random import Random
from typing import NamedTuple

from ramster.cluster_config import SPILL_AUTO, SPILL_NOWHERE
from ramster.lenders import Lender

__all__ = ["Candidate", "choose_lender", "choose_lenders"]


class Candidate(NamedTuple):
    """A peer that answers, with the room it is believed to have."""

    address: str
    lender: Lender
    room_bytes: int


def choose_lender(
    candidates: Sequence[Candidate], target: str, needed_bytes: int, random: Random
) -> Candidate | None:
    """The peer for a batch of ``needed_bytes``, or None.

    ``target``: "auto", "none" or a node's name. A named target is taken only if it has the room:
    pages never go to another node instead. The order of ``candidates`` matters to what ``random``
    picks.
    """
    if target == SPILL_NOWHERE:
        return None
    roomy = [peer for peer in candidates if peer.room_bytes >= max(needed_bytes, 1)]
    if target != SPILL_AUTO:
        return next((peer for peer in roomy if peer.lender.node == target), None)
    if len(roomy) > 2:
        roomy = random.sample(roomy, 2)
    return max(roomy, key=lambda peer: peer.room_bytes, default=None)


def choose_lenders(
    candidates: Sequence[Candidate],
    target: str,
    needed_bytes: int,
    copies: int,
    random: Random,
    *,
    taken: Container[str] = (),
) -> list[Candidate]:
    """Up to ``copies`` peers, each another node and none of the nodes ``taken``.

    A named target is the first of them or there are none; the further copies go where there is
    room.
    """
    chosen: list[Candidate] = []
    left = [peer for peer in candidates if peer.lender.node not in taken]
    while len(chosen) < copies:
        one = choose_lender(left, SPILL_AUTO if chosen else target, needed_bytes, random)
        if one is None:
            break
        chosen.append(one)
        left = [peer for peer in left if peer.lender.node != one.lender.node]
    return chosen
