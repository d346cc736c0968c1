from collections.abc import Callable

import pytest

from tests.zcache.pages import EPHEMERAL, PERSISTENT, mixed_page, random_page, text_page
from zcache import CacheContract, CacheFullError, GetFree

MakeCache = Callable[..., CacheContract]


def stored(cache: CacheContract, pool: int, stop: int) -> list[int]:
    return [
        index
        for start, length, there in cache.extents(pool, 1, 0, stop)
        if there
        for index in range(start, start + length)
    ]


def test_ephemeral_puts_push_out_the_oldest_ephemeral_pages(make_cache: MakeCache) -> None:
    """Behaviours 36 and 38: an ephemeral store under pressure gives up its own oldest pages."""
    cache = make_cache(frames=10)
    pool = cache.create_pool(EPHEMERAL)
    for n in range(25):
        cache.put(pool, 1, n, random_page(n))
    assert stored(cache, pool, 25) == list(range(15, 25))
    stats = cache.stats()
    assert (stats.ephemeral_evicted, stats.limit_hits, stats.frames_used) == (15, 15, 10)


def test_persistent_puts_take_ephemeral_pages_first_and_then_fail_cleanly(
    make_cache: MakeCache,
) -> None:
    """Behaviours 36 and 37: ephemeral pages go, then puts are refused and nothing changes."""
    cache = make_cache(frames=10)
    pool, ephemeral = cache.create_pool(PERSISTENT), cache.create_pool(EPHEMERAL)
    for n in range(5):
        cache.put(pool, 1, n, random_page(n))
        cache.put(ephemeral, 1, n, random_page(n))
    for n in range(5, 10):
        cache.put(pool, 1, n, random_page(n))
        assert stored(cache, ephemeral, 10) == list(range(n - 4, 5))
    for n in range(10, 13):
        with pytest.raises(CacheFullError):
            cache.put(pool, 1, n, random_page(n))
    assert stored(cache, pool, 20) == list(range(10))
    for n in range(10):
        assert cache.get(pool, 1, n) == random_page(n)


def test_a_hit_page_is_spared_once(make_cache: MakeCache) -> None:
    """Behaviour 83: second chance in eviction."""
    cache = make_cache(frames=10)
    pool = cache.create_pool(EPHEMERAL)
    for n in range(10):
        cache.put(pool, 1, n, random_page(n))
    for n in (0, 1, 4):
        cache.get(pool, 1, n, free=GetFree.NEVER)
    for n in range(10, 15):
        cache.put(pool, 1, n, random_page(n))
    assert stored(cache, pool, 15) == [0, 1, 4, 8, 9, 10, 11, 12, 13, 14]
    for n in range(15, 20):
        cache.put(pool, 1, n, random_page(n))
    # Spared at their turn, 0 and 1 came to stand before 10, and 4 behind 11; all are due once more.
    assert stored(cache, pool, 20) == [4, *range(11, 20)]


def test_an_evicted_handle_is_gone_before_its_frame_is_used_again(make_cache: MakeCache) -> None:
    """Behaviours 11 and 39: a get after the eviction misses, again and again, until a new put."""
    cache = make_cache(frames=4)
    pool = cache.create_pool(EPHEMERAL)
    for n in range(200):
        cache.put(pool, n % 3, n, random_page(n))
        cache.verify()
    assert cache.stats().pages_local == 4
    for _ in range(2):
        assert cache.get(pool, 0, 0) is None
    cache.put(pool, 0, 0, random_page(1))
    assert cache.get(pool, 0, 0) == random_page(1)


def test_compaction_comes_before_dropping(make_cache: MakeCache) -> None:
    cache = make_cache(frames=60)
    pool, persistent = cache.create_pool(EPHEMERAL), cache.create_pool(PERSISTENT)
    n = 0
    while cache.stats().frames_used + 8 <= 60:
        cache.put(persistent, 1, n, mixed_page(n, 1900))
        n += 1
    for index in range(n):
        if index % 3:
            cache.flush(persistent, 1, index)
    cache.put(pool, 1, 0, text_page(1))
    before = cache.stats()
    promised = sum(row["freeable"] for row in cache.class_stats())
    assert promised > 4
    for index in range(60 - before.frames_used + 3):
        cache.put(persistent, 2, index, random_page(index))
    after = cache.stats()
    assert after.frames_compacted > 0
    assert after.ephemeral_evicted == 0
    assert cache.get(pool, 1, 0) == text_page(1)


def test_many_small_pages_make_room_for_large_ones(make_cache: MakeCache) -> None:
    cache = make_cache(frames=30)
    pool = cache.create_pool(EPHEMERAL)
    for n in range(2000):
        cache.put(pool, 1, n, mixed_page(n, 40 + n % 900))
    for n in range(30):
        cache.put(pool, 2, n, random_page(n))
        cache.verify()
    assert cache.extents(pool, 2, 0, 30) == [(0, 30, True)]
    assert cache.stats().pages_local == 30


def test_pages_in_a_ticket_are_not_dropped(make_cache: MakeCache) -> None:
    cache = make_cache(frames=10)
    pool = cache.create_pool(EPHEMERAL)
    for n in range(10):
        cache.put(pool, 1, n, random_page(n))
    ticket = cache.begin_spill(2**20, kind=EPHEMERAL, pages_max=4)
    assert ticket is not None
    for n in range(10, 20):
        cache.put(pool, 1, n, random_page(n))
    assert stored(cache, pool, 20) == [0, 1, 2, 3, *range(14, 20)]
    assert cache.finish_spill(ticket, 1) == 4


def test_second_chances_of_one_call_are_bounded(make_cache: MakeCache) -> None:
    """However many pages were hit, one call passes over no more than its share of them."""
    cache = make_cache(frames=1600)
    pool = cache.create_pool(EPHEMERAL)
    for n in range(1600):
        cache.put(pool, 1, n, random_page(n))
    cache.get_many(pool, 1, range(1600), bytearray(1600 * 4096), free=GetFree.NEVER)
    cache.put(pool, 2, 0, random_page(1))
    # 1024 were passed over and stand at the young end; the next one went although it was hit.
    assert stored(cache, pool, 1600) == [n for n in range(1600) if n != 1024]
