"""What only the native cache has to be careful with: arguments that do not fit machine words.

What it answers is tested where the Python cache's answers are (``make_cache``) and in
``tests/parity``.
"""

from __future__ import annotations

import threading
from array import array
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.zcache.backends import BACKENDS
from tests.zcache.pages import text_page
from zcache import (
    PAGE_SIZE,
    BadHandleError,
    CacheConfig,
    CacheContract,
    CorruptPageError,
    NoSuchPoolError,
    PackedBlobs,
    PoolKind,
    TicketError,
)

pytestmark = pytest.mark.skipif("native" not in BACKENDS, reason="the native core is not built")

TOO_MANY = [2**52, 2**52 + 1, 2**60, 2**63 - 1]
"""Pages whose bytes no address counts; those of 2**52 are 0 in 64 bits."""


class Sequence:
    """A sequence that says one length and has another."""

    def __init__(self, says: int, has: list[int]) -> None:
        self.says = says
        self.has = has

    def __len__(self) -> int:
        return self.says

    def __iter__(self) -> Iterator[int]:
        return iter(self.has)

    def __getitem__(self, at: int) -> int:
        return self.has[at]


@pytest.fixture
def cache() -> Iterator[CacheContract]:
    make: Callable[[CacheConfig], CacheContract] = BACKENDS["native"]
    cache = make(CacheConfig(pool_bytes_max=64 * PAGE_SIZE))
    yield cache
    cache.verify()


@pytest.mark.parametrize("pages", TOO_MANY)
def test_a_range_of_more_pages_than_memory_has_bytes_is_refused(
    cache: CacheContract, pages: int
) -> None:
    pool = cache.create_pool(PoolKind.PERSISTENT)
    for start in (0, 7):
        with pytest.raises(BadHandleError):
            cache.put_many(pool, 1, range(start, start + pages), b"")
        with pytest.raises(BadHandleError):
            cache.get_many(pool, 1, range(start, start + pages), bytearray())
        with pytest.raises(BadHandleError):
            cache.restore_many(
                pool, 1, range(start, start + pages), PackedBlobs(), bytearray(), install=True
            )


@pytest.mark.parametrize("indexes", [range(2**64), range(2**70), range(0, 2**66, 2)])
def test_a_range_too_long_for_a_length_is_refused_at_once(
    cache: CacheContract, indexes: range
) -> None:
    pool = cache.create_pool(PoolKind.PERSISTENT)
    with pytest.raises(OverflowError):
        cache.put_many(pool, 1, indexes, b"")
    with pytest.raises(OverflowError):
        cache.peek_away(pool, 1, indexes)


@pytest.mark.parametrize(
    "indexes",
    [range(2**64 - 1, 2**64 + 1), range(-1, 2), range(-1, 2**62), range(3, -3, -1)],
)
def test_a_range_with_ends_that_are_no_indexes_is_refused(
    cache: CacheContract, indexes: range
) -> None:
    pool = cache.create_pool(PoolKind.PERSISTENT)
    with pytest.raises(BadHandleError):
        cache.put_many(pool, 1, indexes, b"")


@pytest.mark.parametrize(
    "indexes",
    [range(2**64 - 2, 2**64), range(9, 3, -2), range(0, 9, 4), range(5, 5), range(4, 5)],
)
def test_any_other_range_is_taken(cache: CacheContract, indexes: range) -> None:
    pool = cache.create_pool(PoolKind.PERSISTENT)
    pages = b"".join(text_page(at) for at in range(len(indexes)))
    cache.put_many(pool, 1, indexes, pages)
    for at, index in enumerate(indexes):
        assert cache.get(pool, 1, index) == text_page(at)


def test_a_ticket_whose_columns_were_changed_is_not_finished(cache: CacheContract) -> None:
    pool = cache.create_pool(PoolKind.PERSISTENT)
    cache.put_many(pool, 1, range(3), b"".join(map(text_page, range(3))))
    ticket = cache.begin_spill(2**70, pages_max=2**70)
    assert ticket is not None
    assert len(ticket.blobs) == 3
    key = ticket.blobs.keys.pop()
    with pytest.raises(TicketError):
        cache.finish_spill(ticket, 1, b"\1\1")
    with pytest.raises(TicketError):
        cache.finish_spill(ticket, [1, 1])
    ticket.blobs.keys.append(key)
    assert cache.finish_spill(ticket, [1, 2, 3]) == 3


@pytest.mark.parametrize("has", [[], [1], [1, 1, 1, 1, 1]])
def test_sequences_of_another_length_than_they_say_are_refused(
    cache: CacheContract, has: list[int]
) -> None:
    pool = cache.create_pool(PoolKind.PERSISTENT)
    cache.put_many(pool, 1, range(3), b"".join(map(text_page, range(3))))
    ticket = cache.begin_spill(2**20)
    assert ticket is not None
    wrong: Any = Sequence(3, has)
    # A longer one is cut to what it said, or refused.
    try:
        cache.finish_spill(ticket, wrong)
    except TicketError:
        cache.cancel_spill(ticket)
    words = array("Q", [1, 2, 3])
    with pytest.raises(BadHandleError):
        cache.move_away(words, words, words, wrong)


def test_knobs_changed_by_several_threads_are_in_force_as_they_are_shown(
    cache: CacheContract,
) -> None:
    start = threading.Barrier(4)

    def change(number: int) -> None:
        start.wait()
        for step in range(50):
            cache.reconfigure(pool_bytes_max=(1 + number * 50 + step) * PAGE_SIZE)

    threads = [threading.Thread(target=change, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache.stats().frames_max == cache.config.frames_max


def test_a_pool_destroyed_by_another_thread_is_missed_and_nothing_else(
    cache: CacheContract,
) -> None:
    done = threading.Event()
    damage: Callable[[int, int, int], bool] = cache._damage  # type: ignore[attr-defined]
    unexpected: list[BaseException] = []

    def read() -> None:
        while not done.is_set():
            try:
                cache.get(0, 1, 0)
            except (NoSuchPoolError, CorruptPageError):
                pass
            except BaseException as error:  # noqa: BLE001 (a panic is no Exception)
                unexpected.append(error)
                return

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(300):
        pool = cache.create_pool(PoolKind.PERSISTENT)
        cache.put(pool, 1, 0, text_page(1))
        damage(pool, 1, 0)
        cache.destroy_pool(pool)
    done.set()
    reader.join()
    assert unexpected == []
