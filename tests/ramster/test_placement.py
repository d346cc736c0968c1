"""Which lender takes a batch."""

from __future__ import annotations

from collections import Counter
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from ramster.lenders import Lender
from ramster.placement import Candidate, choose_lender


def peers(*rooms: int) -> list[Candidate]:
    return [
        Candidate(f"n{i}:1", Lender(f"n{i}", i + 1, i + 1), room) for i, room in enumerate(rooms)
    ]


def test_a_fixed_target_is_taken_only_with_room_and_never_replaced() -> None:
    """Checklist 63, 64: the target is one node, or none."""
    some = peers(100, 10_000, 50)
    chosen = choose_lender(some, "n0", 100, Random(1))
    assert chosen is not None
    assert chosen.lender.node == "n0"
    assert choose_lender(some, "n2", 100, Random(1)) is None
    assert choose_lender(some, "unknown", 100, Random(1)) is None
    assert choose_lender(some, "none", 100, Random(1)) is None


@given(
    st.lists(st.integers(0, 1000), max_size=12),
    st.integers(0, 1000),
    st.integers(0, 2**32),
)
def test_auto_takes_a_peer_with_room_whenever_there_is_one(
    rooms: list[int], needed: int, seed: int
) -> None:
    some = peers(*rooms)
    chosen = choose_lender(some, "auto", needed, Random(seed))
    if any(room >= max(needed, 1) for room in rooms):
        assert chosen in some
        assert chosen is not None
        assert chosen.room_bytes >= max(needed, 1)
    else:
        assert chosen is None


def test_the_least_roomy_peer_of_many_is_never_taken_and_load_spreads() -> None:
    """Two are drawn, the roomier is taken: the last of n never, the first with 2/n."""
    random, taken = Random(7), Counter[str]()
    some = peers(*range(1000, 2000, 100))
    for _ in range(2000):
        chosen = choose_lender(some, "auto", 1, random)
        assert chosen is not None
        taken[chosen.lender.node] += 1
    assert taken["n0"] == 0
    assert len(taken) == 9
    assert 300 < taken["n9"] < 500


def test_a_full_peer_is_not_drawn() -> None:
    assert choose_lender(peers(0), "auto", 0, Random(1)) is None
