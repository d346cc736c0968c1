from collections.abc import Callable

import pytest

from tests.zcache.pages import EPHEMERAL, PERSISTENT, ZERO, random_page, spill_all, text_page
from zcache import (
    PAGE_SIZE,
    AwayPage,
    BadHandleError,
    CacheConfig,
    CacheContract,
    CorruptPageError,
    Encoding,
    GetFree,
    NoSuchPoolError,
    PageState,
)
from zcache.cache import Cache

MakeCache = Callable[..., CacheContract]
KINDS = pytest.mark.parametrize("kind", [EPHEMERAL, PERSISTENT])


@KINDS
def test_a_get_of_nothing_is_a_miss_and_makes_no_object(
    make_cache: MakeCache, kind: object
) -> None:
    """Behaviour 1: a miss, and the index stays empty."""
    cache = make_cache()
    pool = cache.create_pool(kind)
    assert cache.get(pool, 1, 0) is None
    states, away = cache.get_many(pool, 1, range(3), bytearray(3 * PAGE_SIZE))
    assert states == bytes(3)
    assert len(away) == 0
    stats = cache.stats()
    assert (stats.objects, stats.gets, stats.get_misses) == (0, 4, 4)


@pytest.mark.parametrize("page", [text_page(1), ZERO, random_page(1)])
def test_an_ephemeral_get_removes_the_page(make_cache: MakeCache, page: bytes) -> None:
    """Behaviour 7: the next get misses."""
    cache = make_cache()
    pool = cache.create_pool(EPHEMERAL)
    cache.put_many(pool, 1, [0, 1], page + page)
    assert cache.get(pool, 1, 0) == page
    assert cache.get(pool, 1, 0) is None
    into = bytearray(2 * PAGE_SIZE)
    states, _ = cache.get_many(pool, 1, [1, 1], into)
    assert states == bytes([PageState.PRESENT, PageState.ABSENT])
    assert into == page + ZERO
    assert cache.stats().frames_used == cache.stats().objects == 0


def test_a_persistent_get_keeps_the_page(make_cache: MakeCache) -> None:
    """Behaviours 8 and 24: it is returned until it is flushed."""
    cache = make_cache()
    pool = cache.create_pool(PERSISTENT)
    cache.put(pool, 1, 0, text_page(1))
    for _ in range(3):
        assert cache.get(pool, 1, 0) == text_page(1)
    assert cache.flush(pool, 1, 0)
    assert cache.get(pool, 1, 0) is None


def test_an_exclusive_get_removes_a_persistent_page(make_cache: MakeCache) -> None:
    """Behaviour 9: exclusive gets free what they find."""
    cache = make_cache()
    pool = cache.create_pool(PERSISTENT, exclusive_gets=True)
    cache.put(pool, 1, 0, text_page(1))
    assert cache.get(pool, 1, 0) == text_page(1)
    assert cache.get(pool, 1, 0) is None


@KINDS
def test_the_tri_state_is_honoured_for_both_kinds(make_cache: MakeCache, kind: object) -> None:
    """Behaviour 10: always, never, and by kind."""
    cache = make_cache()
    pool = cache.create_pool(kind)
    into = bytearray(PAGE_SIZE)
    cache.put(pool, 1, 0, text_page(1))
    assert cache.get(pool, 1, 0, free=GetFree.NEVER) == text_page(1)
    assert cache.get_many(pool, 1, [0], into, free=GetFree.NEVER)[0] == b"\1"
    assert cache.get(pool, 1, 0, free=GetFree.ALWAYS) == text_page(1)
    assert cache.get(pool, 1, 0) is None
    cache.put(pool, 1, 0, text_page(2))
    assert cache.get_many(pool, 1, [0], into, free=GetFree.ALWAYS)[0] == b"\1"
    assert cache.get_many(pool, 1, [0], into, free=GetFree.NEVER)[0] == b"\0"
    cache.put(pool, 1, 0, text_page(3))
    assert cache.get(pool, 1, 0, free=GetFree.BY_KIND) == text_page(3)
    assert (cache.get(pool, 1, 0) is None) == (kind is EPHEMERAL)


def test_a_batch_writes_only_present_pages(make_cache: MakeCache) -> None:
    cache = make_cache()
    pool = cache.create_pool(PERSISTENT)
    cache.put_many(pool, 1, [1, 3], text_page(1) + text_page(3))
    spill_all(cache, where=4)
    cache.put_many(pool, 1, [0, 500], text_page(0) + ZERO)
    into = bytearray(b"\xee" * (6 * PAGE_SIZE))
    states, away = cache.get_many(pool, 1, [500, 3, 2, 0, 1], into)
    assert list(states) == [1, 2, 0, 1, 2]
    assert list(away.positions) == [1, 4]
    assert into[:PAGE_SIZE] == ZERO
    assert into[3 * PAGE_SIZE : 4 * PAGE_SIZE] == text_page(0)
    assert into[PAGE_SIZE : 3 * PAGE_SIZE] == b"\xee" * (2 * PAGE_SIZE)
    assert into[4 * PAGE_SIZE :] == b"\xee" * (2 * PAGE_SIZE)
    stats = cache.stats()
    assert (stats.gets, stats.get_hits, stats.gets_away, stats.get_misses) == (5, 2, 2, 1)


@pytest.mark.parametrize("free", list(GetFree))
def test_an_away_page_is_named_and_stays(make_cache: MakeCache, free: GetFree) -> None:
    cache = make_cache()
    pool = cache.create_pool(PERSISTENT)
    cache.put(pool, 1, 8, text_page(1))
    blobs = spill_all(cache, where=2**64 - 1)
    wanted = AwayPage(
        blobs.keys[0],
        blobs.generations[0],
        blobs.lengths[0],
        Encoding.LZ4,
        blobs.checksums[0],
        2**64 - 1,
    )
    for _ in range(2):
        assert cache.get(pool, 1, 8, free=free) == wanted
    states, away = cache.get_many(pool, 1, [8], bytearray(PAGE_SIZE), free=free)
    assert list(states) == [PageState.AWAY]
    assert (away.keys[0], away.generations[0], away.wheres[0]) == (wanted[0], wanted[1], 2**64 - 1)
    assert cache.stats().pages_away == 1


def test_a_long_batch_comes_back_whole(make_cache: MakeCache) -> None:
    cache = make_cache()
    pool = cache.create_pool(PERSISTENT)
    pages = [text_page(n) for n in range(200)]
    indexes = [n * 37 % 1000 for n in range(200)]
    cache.put_many(pool, 1, indexes, b"".join(pages))
    into = memoryview(bytearray(200 * PAGE_SIZE))
    states, _ = cache.get_many(pool, 1, indexes, into)
    assert states == b"\1" * 200
    assert into == b"".join(pages)


def test_targets_that_cannot_take_the_pages_are_refused(make_cache: MakeCache) -> None:
    cache = make_cache()
    pool = cache.create_pool(PERSISTENT)
    with pytest.raises(BadHandleError, match="4096 bytes for 2 pages"):
        cache.get_many(pool, 1, [0, 1], bytearray(PAGE_SIZE))
    with pytest.raises(BadHandleError, match="read-only"):
        cache.get_many(pool, 1, [0], memoryview(ZERO))
    with pytest.raises(NoSuchPoolError):
        cache.get(pool + 1, 1, 0)
    with pytest.raises(NoSuchPoolError):
        cache.get(-1, 1, 0)


def test_a_corrupt_blob_is_reported_counted_and_kept() -> None:
    """Behaviour 82: an error or the state CORRUPT, never garbage; the entry stays."""
    cache = Cache(CacheConfig(pool_bytes_max=2**20))
    pool = cache.create_pool(PERSISTENT)
    cache.put_many(pool, 1, range(3), b"".join(map(text_page, range(3))))
    entries = cache._entries
    entry = entries.find(entries.index.pool(pool), 1, 1)
    entries.zsmalloc.overwrite(entries.table.words[entry], b"\xff\xff\xff")
    for free in GetFree:
        with pytest.raises(CorruptPageError):
            cache.get(pool, 1, 1, free=free)
        into = bytearray(b"\xee" * PAGE_SIZE)
        assert list(cache.get_many(pool, 1, [1], into, free=free)[0]) == [PageState.CORRUPT]
        assert into == b"\xee" * PAGE_SIZE
    stats = cache.stats()
    assert (stats.gets, stats.gets_corrupt, stats.get_hits, stats.pages_local) == (6, 6, 0, 3)
    cache.put(pool, 1, 1, text_page(7))
    assert cache.get(pool, 1, 1) == text_page(7)
