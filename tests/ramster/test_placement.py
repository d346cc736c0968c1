"""Which lender takes a batch."""

from __future__ import annotations

from collections import Counter
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from ramster.lenders import Lender
from ramster.placement import Candidate, choose_lender, choose_lenders


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


# -- several copies
# ------------------------------------------------------------------------------------------


def nodes_of(chosen: list[Candidate]) -> list[str]:
    return [peer.lender.node for peer in chosen]


def test_a_named_target_is_the_first_or_there_are_none() -> None:
    some = peers(100, 10_000, 50)
    for seed in range(20):
        chosen = choose_lenders(some, "n0", 100, 2, Random(seed))
        assert nodes_of(chosen) == ["n0", "n1"]
        assert choose_lenders(some, "n2", 100, 2, Random(seed)) == [], "it has no room"
        assert choose_lenders(some, "n0", 100, 2, Random(seed), taken={"n0"}) == []
        assert choose_lenders(some, "unknown", 1, 2, Random(seed)) == []
        assert choose_lenders(some, "none", 1, 2, Random(seed)) == []


def test_with_too_few_peers_each_is_chosen_once() -> None:
    assert sorted(nodes_of(choose_lenders(peers(5, 6), "auto", 1, 4, Random(1)))) == ["n0", "n1"]
    assert choose_lenders([], "auto", 1, 4, Random(1)) == []


def test_two_lives_of_one_node_are_one_node() -> None:
    twice = [
        Candidate("b:1", Lender("b", 1, 1), 100),
        Candidate("b:2", Lender("b", 2, 2), 100),
        Candidate("c:1", Lender("c", 3, 3), 100),
    ]
    for seed in range(20):
        chosen = choose_lenders(twice, "auto", 1, 3, Random(seed))
        assert sorted(nodes_of(chosen)) == ["b", "c"]


def test_further_copies_spread_like_the_first() -> None:
    random, taken = Random(7), Counter[str]()
    some = peers(*range(1000, 2000, 100))
    for _ in range(1000):
        taken.update(nodes_of(choose_lenders(some, "auto", 1, 3, random)))
    assert sum(taken.values()) == 3000
    assert len(taken) >= 9
    assert max(taken.values()) < 800


@given(
    rooms=st.lists(st.integers(0, 1000), max_size=12),
    needed=st.integers(0, 1000),
    copies=st.integers(0, 5),
    taken=st.sets(st.sampled_from([f"n{i}" for i in range(12)])),
    target=st.sampled_from(["auto", "none", "n0", "n5", "unknown"]),
    seed=st.integers(0, 2**32),
)
def test_lenders_are_distinct_roomy_not_taken_and_as_many_as_there_are(
    rooms: list[int], needed: int, copies: int, taken: set[str], target: str, seed: int
) -> None:
    some = peers(*rooms)
    chosen = choose_lenders(some, target, needed, copies, Random(seed), taken=taken)
    names = nodes_of(chosen)
    assert len(set(names)) == len(names) <= copies
    assert taken.isdisjoint(names)
    assert all(peer in some and peer.room_bytes >= max(needed, 1) for peer in chosen)
    able = [
        peer.lender.node
        for peer in some
        if peer.room_bytes >= max(needed, 1) and peer.lender.node not in taken
    ]
    if target == "auto" or target in able:
        assert len(chosen) == min(copies, len(able))
        assert target == "auto" or not copies or names[0] == target
    else:
        assert chosen == []
