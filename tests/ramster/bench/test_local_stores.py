"""Both stores answer alike; each says what it is."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ramster.bench.local_stores import CacheStore, LocalStore, MemoryStore, RecentPages, open_store
from ramster.bench.model import Subject, WorkloadUnavailable
from zcache import PAGE_SIZE, CacheFullError, PoolKind

PAGES = [os.urandom(2048) + bytes(range(256)) * 8 for _ in range(8)]
CALLS = st.lists(
    st.tuples(st.sampled_from(["put", "get", "flush"]), st.integers(0, 5), st.integers(0, 7))
)


def stores() -> list[LocalStore]:
    return [
        open_store(Subject.ZCACHE, 2**20),
        open_store(Subject.NOTHING, 2**20),
        RecentPages(100),
    ]


@settings(deadline=None)
@given(CALLS)
def test_a_page_is_what_was_put_last(calls: list[tuple[str, int, int]]) -> None:
    model: dict[int, bytes] = {}
    for store in stores():
        model.clear()
        for call, index, content in calls:
            if call == "put":
                store.put(index, PAGES[content])
                model[index] = PAGES[content]
            elif call == "get":
                assert store.get(index) == model.get(index)
            else:
                assert bool(store.flush(index)) == (model.pop(index, None) is not None)


@pytest.mark.parametrize("store", stores())
def test_batches_are_pages_back_to_back(store: LocalStore) -> None:
    store.put_many([3, 1, 2], b"".join(PAGES[:3]))
    into = bytearray(3 * PAGE_SIZE)
    store.get_many([1, 2, 3], into)
    assert into == PAGES[1] + PAGES[2] + PAGES[0]


@pytest.mark.parametrize("store", stores())
def test_a_page_that_was_got_is_a_copy_and_stays(store: LocalStore) -> None:
    page = bytearray(PAGES[0])
    store.put(1, page)
    page[0] ^= 255
    first = store.get(1)
    assert first == store.get(1) == PAGES[0]
    assert first is not store.get(1)


def test_plain_memory_keeps_the_pages_used_last() -> None:
    store = RecentPages(2)
    store.put(1, PAGES[1])
    store.put(2, PAGES[2])
    assert store.get(1) == PAGES[1]
    store.put(3, PAGES[3])
    assert store.get(2) is None
    assert store.get(1) == PAGES[1]
    assert store.dropped == 1
    store.put(3, PAGES[4])  # in place
    assert store.dropped == 1


def test_objects_of_one_cache_are_apart() -> None:
    store = CacheStore(2**20)
    other = store.another_object(2)
    store.put(1, PAGES[1])
    assert other.get(1) is None
    assert other.cache is store.cache


def test_the_cache_has_its_limit_and_an_ephemeral_one_makes_room() -> None:
    store = CacheStore(16 * PAGE_SIZE)
    noise = os.urandom(32 * PAGE_SIZE)
    with pytest.raises(CacheFullError):
        store.put_many(range(32), noise)
    CacheStore(16 * PAGE_SIZE, PoolKind.EPHEMERAL).put_many(range(32), noise)


def test_other_subjects_are_not_available() -> None:
    with pytest.raises(WorkloadUnavailable, match="redis"):
        open_store(Subject.REDIS, 2**20)
    assert isinstance(open_store(Subject.NOTHING, 1), MemoryStore)
