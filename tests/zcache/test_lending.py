from array import array
from collections.abc import Callable

import pytest

from tests.zcache.pages import EPHEMERAL, PERSISTENT, packed, random_page, text_page
from zcache import (
    BLOB_ABSENT,
    BLOB_FOUND,
    PAGE_SIZE,
    AdoptStatus,
    BadHandleError,
    CacheContract,
    CacheFullError,
    NoSuchPoolError,
)

MakeCache = Callable[..., CacheContract]
STORED, QUOTA, FULL, STALE, BAD = AdoptStatus
NOISE = random_page(1)


def lender(
    make_cache: MakeCache, kind: object = PERSISTENT, frames: int = 100, **knobs: object
) -> tuple[CacheContract, int]:
    knobs.setdefault("foreign_bytes_max", frames * PAGE_SIZE)
    cache = make_cache(frames=frames, **knobs)
    return cache, cache.create_pool(kind, foreign=True)


@pytest.mark.parametrize("kind", [EPHEMERAL, PERSISTENT])
def test_blobs_come_back_as_they_were(make_cache: MakeCache, kind: object) -> None:
    """Behaviour 35: blobs are opaque; a blob of zeros is not taken for a page of zeros."""
    cache, pool = lender(make_cache, kind)
    rows = [(7, 3, b"x"), (8, 2**64 - 1, NOISE), (2**64 - 1, 1, bytes(4096)), (9, 9, bytes(8))]
    rows.append((6, 1, b"no frame"))
    blobs = packed(rows, encoding=1)
    blobs.encodings[:] = bytes([1, 0, 0, 2, 3])
    assert cache.adopt(pool, 5, blobs) == bytes([STORED]) * 5
    for _ in range(2):
        keys = [9, 2**64 - 1, 4, 8, 7, 6]
        found, read = cache.read_adopted(pool, 5, keys, [9, 1, 1, 2**64 - 1, 3, 1])
        assert list(found) == [1, 1, 0, 1, 1, 1]
        assert list(read.keys) == [9, 2**64 - 1, 8, 7, 6]
        assert bytes(read.payload) == bytes(8) + bytes(4096) + NOISE + b"x" + b"no frame"
        assert bytes(read.encodings) == bytes([2, 0, 0, 1, 3])
        assert [read.checksums[3], read.lengths[3]] == [blobs.checksums[0], 1]
    stats = cache.stats()
    assert (stats.pages_foreign, stats.pages_foreign_peak, stats.foreign_adopted) == (5, 5, 5)
    assert (stats.bytes_foreign, stats.pages_same_filled) == (1 + 4096 + 4096 + 8 + 8, 0)


def test_a_higher_generation_replaces_a_lower_one(make_cache: MakeCache) -> None:
    cache, pool = lender(make_cache)
    assert cache.adopt(pool, 1, packed([(1, 5, b"five")])) == bytes([STORED])
    with pytest.raises(BadHandleError, match="1 keys with 2"):
        cache.read_adopted(pool, 1, [1], [1, 2])
    for generation in (4, 5):
        late = packed([(1, generation, b"late")])
        assert cache.adopt(pool, 1, late) == bytes([STALE])
    assert cache.adopt(pool, 1, packed([(1, 6, b"six"), (1, 7, b"seven")])) == bytes([STORED] * 2)
    found, read = cache.read_adopted(pool, 1, [1, 1, 1], [5, 6, 7])
    assert list(found) == [BLOB_ABSENT, BLOB_ABSENT, BLOB_FOUND]
    assert bytes(read.payload) == b"seven"
    assert cache.stats().pages_foreign == 1
    assert cache.stats().foreign_refused_stale == 2


def test_a_flush_drops_generations_up_to_the_one_given(make_cache: MakeCache) -> None:
    cache, pool = lender(make_cache)
    cache.adopt(pool, 1, packed([(n, 5, b"blob") for n in range(4)]))
    assert cache.flush_adopted(pool, 1, [0, 1, 2, 9], [4, 5, 6, 9]) == 2
    assert list(cache.read_adopted(pool, 1, range(4), [5] * 4)[0]) == [1, 0, 0, 1]
    assert cache.stats().foreign_flushed == 2


@pytest.mark.parametrize("what", ["checksum", "empty", "long", "encoding"])
def test_a_bad_blob_is_refused_and_the_rest_of_its_batch_stored(
    make_cache: MakeCache, what: str
) -> None:
    cache, pool = lender(make_cache)
    bad = {"empty": b"", "long": bytes(4097)}.get(what, b"blob")
    blobs = packed([(1, 1, b"good"), (2, 1, bad), (3, 1, b"too")])
    if what == "checksum":
        blobs.checksums[1] ^= 1 << 63
    if what == "encoding":
        blobs.encodings[1] = 4
    assert list(cache.adopt(pool, 1, blobs)) == [STORED, BAD, STORED]
    assert list(cache.read_adopted(pool, 1, [1, 2, 3], [1, 1, 1])[0]) == [1, 0, 1]
    assert cache.stats().foreign_refused_bad == 1


def test_columns_that_do_not_agree_refuse_the_whole_batch(make_cache: MakeCache) -> None:
    cache, pool = lender(make_cache)
    blobs = packed([(1, 1, b"good"), (2, 1, b"too")])
    blobs.payload = b"goodto"
    with pytest.raises(BadHandleError, match="7 bytes in a payload of 6"):
        cache.adopt(pool, 1, blobs)
    blobs = packed([(1, 1, b"good"), (2, 1, b"too")])
    blobs.generations = array("Q", [1])
    with pytest.raises(BadHandleError, match="differ in length"):
        cache.adopt(pool, 1, blobs)
    assert cache.stats().pages_foreign == 0


def test_the_quota_counts_slots_and_is_never_exceeded(make_cache: MakeCache) -> None:
    cache, pool = lender(make_cache, foreign_bytes_max=10 * PAGE_SIZE)
    assert cache.foreign_room_bytes() == 10 * PAGE_SIZE
    statuses = cache.adopt(pool, 1, packed([(n, 1, NOISE) for n in range(12)], encoding=0))
    assert list(statuses) == [STORED] * 10 + [QUOTA] * 2
    assert cache.foreign_room_bytes() == 0
    stats = cache.stats()
    assert (stats.bytes_foreign_slots, stats.foreign_refused_quota) == (10 * PAGE_SIZE, 2)
    cache.flush_adopted(pool, 1, [0], [1])
    assert list(cache.adopt(pool, 1, packed([(99, 1, b"x" * 100)]))) == [STORED]
    assert cache.stats().bytes_foreign_slots == 9 * PAGE_SIZE + 112


def test_a_cache_lends_nothing_by_default(make_cache: MakeCache) -> None:
    cache, pool = lender(make_cache, foreign_bytes_max=0)
    assert cache.foreign_room_bytes() == 0
    assert list(cache.adopt(pool, 1, packed([(1, 1, b"x")]))) == [QUOTA]


@pytest.mark.parametrize("kind", [EPHEMERAL, PERSISTENT])
def test_no_foreign_page_takes_a_frame_above_the_high_watermark(
    make_cache: MakeCache, kind: object
) -> None:
    cache, pool = lender(make_cache, kind, frames=20, high_watermark=0.5, low_watermark=0.5)
    own = cache.create_pool(EPHEMERAL)
    for n in range(6):
        cache.put(own, 1, n, random_page(n))
    assert cache.foreign_room_bytes() == 4 * PAGE_SIZE
    statuses = cache.adopt(pool, 1, packed([(n, 1, NOISE) for n in range(5)], encoding=0))
    assert list(statuses) == [STORED] * 4 + [FULL]
    assert cache.stats().foreign_refused_full == 1
    assert cache.stats().pages_ephemeral == 6  # nothing of the node's own was given up


def test_foreign_ephemeral_pages_go_before_own_ones_and_persistent_ones_stay(
    make_cache: MakeCache,
) -> None:
    """Behaviour 36: room for own pages comes from foreign ephemeral, then own ephemeral pages."""
    cache, persistent = lender(make_cache, frames=30)
    ephemeral = cache.create_pool(EPHEMERAL, foreign=True)
    own, own_ephemeral = cache.create_pool(PERSISTENT), cache.create_pool(EPHEMERAL)
    for n in range(10):
        cache.put(own_ephemeral, 1, n, random_page(n))
    cache.adopt(persistent, 1, packed([(n, 1, NOISE) for n in range(5)], encoding=0))
    cache.adopt(ephemeral, 1, packed([(n, 1, NOISE) for n in range(10)], encoding=0))
    for n in range(8):
        cache.put(own, 1, n, random_page(n))
    assert list(cache.read_adopted(ephemeral, 1, range(10), [1] * 10)[0]) == [0] * 3 + [1] * 7
    assert cache.stats().foreign_ephemeral_evicted == 3
    assert cache.stats().pages_ephemeral == 10
    for n in range(8, 25):
        cache.put(own, 1, n, random_page(n))
    assert cache.stats().pages_foreign == 5
    assert cache.stats().pages_ephemeral == 0
    with pytest.raises(CacheFullError):
        cache.put(own, 1, 25, random_page(25))
    assert list(cache.read_adopted(persistent, 1, range(5), [1] * 5)[0]) == [1] * 5


def test_a_page_read_by_its_owner_gets_a_second_chance(make_cache: MakeCache) -> None:
    """Behaviour 83: a fetch is a hit."""
    cache, pool = lender(make_cache, EPHEMERAL, frames=10)
    own = cache.create_pool(PERSISTENT)
    cache.adopt(pool, 1, packed([(n, 1, NOISE) for n in range(9)], encoding=0))
    cache.read_adopted(pool, 1, [0, 2], [1, 1])
    for n in range(4):
        cache.put(own, 1, n, random_page(n))
    assert list(cache.read_adopted(pool, 1, range(6), [1] * 6)[0]) == [1, 0, 1, 0, 0, 1]


def test_a_lowered_quota_drops_foreign_ephemeral_pages_only(make_cache: MakeCache) -> None:
    """Behaviour 34: nothing persistent is lost, and no more is taken."""
    cache, persistent = lender(make_cache)
    ephemeral = cache.create_pool(EPHEMERAL, foreign=True)
    cache.adopt(persistent, 1, packed([(n, 1, NOISE) for n in range(5)], encoding=0))
    cache.adopt(ephemeral, 1, packed([(n, 1, NOISE) for n in range(5)], encoding=0))
    cache.reconfigure(foreign_bytes_max=7 * PAGE_SIZE)
    assert cache.stats().pages_foreign == 7
    cache.reconfigure(foreign_bytes_max=2 * PAGE_SIZE)
    assert cache.stats().pages_foreign == 5
    assert cache.foreign_room_bytes() == 0
    assert list(cache.adopt(persistent, 1, packed([(9, 1, b"x")]))) == [QUOTA]


def test_a_replacement_that_is_refused_leaves_nothing_stale(make_cache: MakeCache) -> None:
    """Behaviour 4, at a lender: the old blob is of no use to its owner any more."""
    cache, pool = lender(make_cache, foreign_bytes_max=PAGE_SIZE)
    cache.adopt(pool, 1, packed([(1, 1, text_page(1)[:1000])]))
    cache.reconfigure(foreign_bytes_max=1016)
    assert list(cache.adopt(pool, 1, packed([(1, 2, NOISE)], encoding=0))) == [QUOTA]
    assert list(cache.read_adopted(pool, 1, [1, 1], [1, 2])[0]) == [0, 0]
    assert cache.stats().bytes_foreign_slots == 0


def test_the_bytes_of_a_pool_are_those_of_its_blobs(make_cache: MakeCache) -> None:
    """Through all that adds, replaces and removes a foreign page; slots do not count here."""
    cache, persistent = lender(make_cache, frames=60)
    ephemeral = cache.create_pool(EPHEMERAL, foreign=True)
    own = cache.create_pool(PERSISTENT)
    cache.adopt(persistent, 1, packed([(1, 1, b"x" * 100), (2, 1, b"y" * 33)]))
    cache.adopt(persistent, 2, packed([(1, 1, b"z" * 7)]))
    cache.adopt(ephemeral, 1, packed([(n, 1, NOISE) for n in range(40)], encoding=0))
    assert cache.foreign_bytes(persistent) == 140
    assert cache.foreign_bytes(ephemeral) == 40 * PAGE_SIZE
    cache.adopt(persistent, 1, packed([(1, 2, b"x" * 50), (2, 1, b"late"), (3, 1, b"")]))
    assert cache.foreign_bytes(persistent) == 90
    cache.flush_adopted(persistent, 1, [1], [2])
    assert cache.foreign_bytes(persistent) == 40
    for n in range(20):
        cache.put(own, 1, n, random_page(n))
    evicted = cache.stats().foreign_ephemeral_evicted
    assert evicted > 0
    assert cache.foreign_bytes(ephemeral) == (40 - evicted) * PAGE_SIZE
    cache.empty_pool(ephemeral, 3)
    assert cache.foreign_bytes(ephemeral) == (37 - evicted) * PAGE_SIZE
    assert cache.foreign_bytes(persistent) + cache.foreign_bytes(ephemeral) == (
        cache.stats().bytes_foreign
    )
    cache.destroy_pool(persistent)
    assert cache.create_pool(PERSISTENT, foreign=True) == persistent
    assert cache.foreign_bytes(persistent) == 0


def test_only_foreign_pools_have_bytes_lent(make_cache: MakeCache) -> None:
    cache, pool = lender(make_cache)
    own = cache.create_pool(PERSISTENT)
    cache.put(own, 1, 0, text_page(0))
    assert cache.foreign_bytes(pool) == 0
    for pool_id in (own, 99, -1):
        with pytest.raises(NoSuchPoolError):
            cache.foreign_bytes(pool_id)


def test_a_lender_drops_its_coldest_foreign_ephemeral_pages_first(make_cache: MakeCache) -> None:
    """Behaviour 83 for those read lately; own pages and persistent ones are not touched."""
    cache, persistent = lender(make_cache)
    ephemeral = cache.create_pool(EPHEMERAL, foreign=True)
    own = cache.create_pool(EPHEMERAL)
    cache.put(own, 1, 0, text_page(0))
    cache.adopt(persistent, 1, packed([(n, 1, b"x" * 100) for n in range(5)]))
    cache.adopt(ephemeral, 1, packed([(n, 1, b"x" * 100) for n in range(20)]))
    cache.read_adopted(ephemeral, 1, [0, 2], [1, 1])
    assert cache.drop_foreign_ephemeral(0) == cache.drop_foreign_ephemeral(-5) == 0
    assert cache.drop_foreign_ephemeral(301) == 400
    found = cache.read_adopted(ephemeral, 1, range(20), [1] * 20)[0]
    assert [key for key in range(20) if not found[key]] == [1, 3, 4, 5]
    assert cache.foreign_bytes(ephemeral) == 1600
    assert cache.drop_foreign_ephemeral(2**40) == 1600
    assert cache.drop_foreign_ephemeral(2**40) == 0
    stats = cache.stats()
    assert (stats.foreign_ephemeral_evicted, stats.ephemeral_evicted) == (20, 0)
    assert (stats.pages_foreign, stats.pages_foreign_peak, stats.pages_ephemeral) == (5, 25, 1)


def test_pages_dropped_at_a_lender_give_their_frames_back(make_cache: MakeCache) -> None:
    cache, pool = lender(make_cache, EPHEMERAL, frames=1000)
    cache.adopt(pool, 1, packed([(n, 1, NOISE) for n in range(700)], encoding=0))
    assert cache.drop_foreign_ephemeral(600 * PAGE_SIZE) == 600 * PAGE_SIZE
    assert cache.stats().frames_used == 100


def test_a_frozen_cache_takes_nothing(make_cache: MakeCache) -> None:
    cache, pool = lender(make_cache)
    cache.freeze()
    assert cache.foreign_room_bytes() == 0
    assert list(cache.adopt(pool, 1, packed([(1, 1, b"x")]))) == [FULL]


def test_destroying_a_foreign_pool_frees_its_pages(make_cache: MakeCache) -> None:
    cache, pool = lender(make_cache)
    cache.adopt(pool, 1, packed([(n, 1, b"blob") for n in range(50)]))
    cache.adopt(pool, 2, packed([(n, 1, b"blob") for n in range(50)]))
    assert cache.pool_pages(pool) == 100
    assert cache.destroy_pool(pool) == 100
    stats = cache.stats()
    assert (stats.pages_foreign, stats.bytes_foreign_slots, stats.frames_used) == (0, 0, 0)
