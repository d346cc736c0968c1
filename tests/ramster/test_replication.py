"""How many copies a page should have, and how many it has."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramster.cluster_config import ClusterConfig
from ramster.errors import ConfigurationError
from ramster.lenders import Lender, Place
from ramster.limits import REPLICAS_MAX
from ramster.replication import Replication
from zcache import PoolKind

B, C, D = Lender("b", 1, 10), Lender("c", 2, 20), Lender("d", 3, 30)
PERSISTENT, EPHEMERAL = PoolKind.PERSISTENT, PoolKind.EPHEMERAL


def rule(*silent: Lender, **knobs: Any) -> Replication:
    return Replication(ClusterConfig(node="a", **knobs), lambda lender: lender not in silent)


def test_a_pool_has_the_nodes_number_unless_it_has_its_own() -> None:
    replication = rule(replicas=2)
    replication.set_pool(5, 3)
    assert replication.copies(4, PERSISTENT) == 2
    assert replication.copies(5, PERSISTENT) == 3
    assert replication.most == 3
    replication.forget_pool(5)
    assert replication.copies(5, PERSISTENT) == 2, "the number of the next pool with this id"
    assert replication.most == 2
    replication.forget_pool(5)


def test_the_most_follows_pools_up_and_never_below_what_the_node_asks_for() -> None:
    replication = rule(replicas=2)
    replication.set_pool(1, 1)
    assert replication.most == 2


def test_ephemeral_pages_have_one_copy_whatever_is_asked_for() -> None:
    replication = rule(replicas=3)
    replication.set_pool(1, 4)
    assert replication.copies(1, EPHEMERAL) == replication.copies(2, EPHEMERAL) == 1


@pytest.mark.parametrize("copies", [0, -1, REPLICAS_MAX + 1])
def test_an_impossible_number_is_refused_and_says_what_is_accepted(copies: int) -> None:
    replication = rule()
    with pytest.raises(ConfigurationError) as error:
        replication.set_pool(1, copies)
    assert error.value.key == "replicas"
    assert error.value.accepted == f"1 to {REPLICAS_MAX}"
    assert replication.copies(1, PERSISTENT) == 1


@pytest.mark.parametrize(
    ("copies", "replicas_min", "least"), [(1, 1, 1), (3, 1, 1), (3, 2, 2), (2, 3, 2), (1, 2, 1)]
)
def test_pages_may_leave_with_fewer_copies_down_to_the_least(
    copies: int, replicas_min: int, least: int
) -> None:
    assert rule(replicas=3, replicas_min=replicas_min).least(copies) == least


def test_a_lender_that_is_out_of_touch_holds_no_copy() -> None:
    place = Place((B, C, D), PERSISTENT, 3)
    assert rule().held(place) == (B, C, D)
    assert rule(C).held(place) == (B, D)
    assert rule().missing(place) == 0
    assert rule(C).missing(place) == 1
    assert rule(B, C, D).missing(place) == 3


def test_a_copy_in_the_file_is_as_good_as_all() -> None:
    assert rule(B).missing(Place((B,), PERSISTENT, 3, disk=True)) == 0
    assert rule().missing(Place((), PERSISTENT, 2, disk=True)) == 0


def test_more_copies_than_wanted_are_no_lack() -> None:
    assert rule().missing(Place((B, C, D), PERSISTENT, 2)) == 0


def test_in_safety_mode_a_persistent_page_without_a_copy_in_the_file_lacks_it() -> None:
    replication = rule(writeback_safety=True)
    assert replication.missing(Place((B, C), PERSISTENT, 2)) == 1
    assert replication.missing(Place((B,), PERSISTENT, 3)) == 2
    assert replication.missing(Place((B, C), PERSISTENT, 2, disk=True)) == 0
    assert replication.missing(Place((B,), EPHEMERAL, 1)) == 0


@given(
    st.sets(st.sampled_from([B, C, D])),
    st.sets(st.sampled_from([B, C, D])),
    st.integers(1, REPLICAS_MAX),
    st.booleans(),
)
def test_copies_held_and_missing_add_up_to_those_wanted_or_more(
    lenders: set[Lender], silent: set[Lender], copies: int, disk: bool
) -> None:
    place = Place(tuple(sorted(lenders)), PERSISTENT, copies, disk)
    replication = rule(*silent)
    held = replication.held(place)
    assert set(held) == lenders - silent
    missing = replication.missing(place)
    if disk:
        assert missing == 0
    else:
        assert len(held) + missing == max(copies, len(held))
