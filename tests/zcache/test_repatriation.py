from array import array
from collections.abc import Callable

import pytest

from tests.zcache.pages import (
    EPHEMERAL,
    PERSISTENT,
    mixed_page,
    random_page,
    select,
    spill_all,
    text_page,
)
from zcache import (
    PAGE_SIZE,
    AwayPage,
    BadHandleError,
    Cache,
    CacheConfig,
    CacheContract,
    GetFree,
    PackedBlobs,
    RestoreStatus,
    where_of,
)
from zcache.codec import decode

MakeCache = Callable[..., CacheContract]
RESTORED, STALE, CORRUPT = RestoreStatus.RESTORED, RestoreStatus.STALE, RestoreStatus.CORRUPT


def gone(
    make_cache: MakeCache, pages: int, **options: object
) -> tuple[CacheContract, int, PackedBlobs]:
    """A cache whose pages are all away at 5, and the blobs as the lender has them."""
    cache = make_cache(frames=100)
    pool = cache.create_pool(PERSISTENT, **options)
    cache.put_many(pool, 1, range(pages), b"".join(map(text_page, range(pages))))
    return cache, pool, spill_all(cache, where=5)


@pytest.mark.parametrize("install", [True, False])
def test_restored_pages_are_decoded_and_come_home_if_asked(
    make_cache: MakeCache, install: bool
) -> None:
    cache, pool, blobs = gone(make_cache, 20)
    into = bytearray(20 * PAGE_SIZE)
    statuses = cache.restore_many(pool, 1, range(20), blobs, into, install=install)
    assert statuses == bytes([RESTORED]) * 20
    assert into == b"".join(map(text_page, range(20)))
    stats = cache.stats()
    displaced = cache.drain_displaced()
    if install:
        assert (stats.pages_local, stats.pages_away, stats.pages_restored) == (20, 0, 20)
        assert list(displaced.generations) == list(blobs.generations)
        assert cache.get(pool, 1, 7) == text_page(7)
    else:
        assert (stats.pages_local, stats.pages_away, stats.pages_restored) == (0, 20, 0)
        assert len(displaced) == 0


def test_a_get_that_frees_consumes_the_page(make_cache: MakeCache) -> None:
    cache, pool, blobs = gone(make_cache, 3, exclusive_gets=True)
    into = bytearray(3 * PAGE_SIZE)
    assert cache.restore_many(pool, 1, [1], select(blobs, [1]), into, install=True) == bytes(
        [RESTORED]
    )
    assert into[:PAGE_SIZE] == text_page(1)
    assert cache.get(pool, 1, 1) is None
    cache.restore_many(pool, 1, [0], select(blobs, [0]), into, install=True, free=GetFree.NEVER)
    assert cache.get(pool, 1, 0, free=GetFree.NEVER) == text_page(0)
    cache.restore_many(pool, 1, [2], select(blobs, [2]), into, install=False, free=GetFree.ALWAYS)
    assert cache.get(pool, 1, 2) is None
    assert len(cache.drain_displaced()) == 3


def test_without_a_target_blobs_are_verified_and_installed(make_cache: MakeCache) -> None:
    cache, pool, blobs = gone(make_cache, 4)
    payload = bytearray(blobs.payload)
    payload[0] ^= 1
    blobs.payload = bytes(payload)
    statuses = cache.restore_many(pool, 1, range(4), blobs, None, install=True)
    assert list(statuses) == [CORRUPT, RESTORED, RESTORED, RESTORED]
    assert isinstance(cache.get(pool, 1, 0), AwayPage)
    assert cache.get(pool, 1, 1) == text_page(1)


def test_blobs_of_pages_that_changed_are_stale(make_cache: MakeCache) -> None:
    """Put, flushed, restored or sent away again since: the blob touches nothing."""
    cache, pool, blobs = gone(make_cache, 6)
    cache.put(pool, 1, 0, text_page(60))
    cache.flush(pool, 1, 1)
    cache.restore_many(pool, 1, [2], select(blobs, [2]), None, install=True)
    cache.put(pool, 1, 3, text_page(63))
    again = spill_all(cache, where=6)
    assert len(again) == 3
    into = bytearray(b"\xee" * (6 * PAGE_SIZE))
    statuses = cache.restore_many(pool, 1, range(6), blobs, into, install=True)
    assert list(statuses) == [STALE, STALE, STALE, STALE, RESTORED, RESTORED]
    assert into[: 4 * PAGE_SIZE] == b"\xee" * (4 * PAGE_SIZE)
    assert cache.stats().away_by_where == {6: (3, 0)}
    assert cache.stats().restores_stale == 4


@pytest.mark.parametrize("column", ["lengths", "encodings", "checksums", "payload", "truncated"])
def test_a_blob_that_differs_from_its_stub_is_corrupt(make_cache: MakeCache, column: str) -> None:
    """Behaviour 82: verified before it is decoded; the stub stays, no bytes are written."""
    cache, pool, blobs = gone(make_cache, 1)
    good = select(blobs, [0])
    match column:
        case "lengths":
            blobs.lengths[0] -= 1
            blobs.payload = bytes(blobs.payload)[:-1]
        case "encodings":
            blobs.encodings[0] = 0
        case "checksums":
            blobs.checksums[0] ^= 1
        case "payload":
            blobs.payload = bytes(blobs.payload)[:-1] + b"\xff"
        case "truncated":
            blobs.payload = bytes(len(blobs.payload))
    into = bytearray(b"\xee" * PAGE_SIZE)
    assert list(cache.restore_many(pool, 1, [0], blobs, into, install=True)) == [CORRUPT]
    assert into == b"\xee" * PAGE_SIZE
    assert cache.stats().restores_corrupt == 1
    assert list(cache.restore_many(pool, 1, [0], good, into, install=True)) == [RESTORED]
    assert into == text_page(0)


def test_columns_that_do_not_agree_are_refused(make_cache: MakeCache) -> None:
    cache, pool, blobs = gone(make_cache, 2)
    blobs.payload = bytes(blobs.payload)[:-1]
    with pytest.raises(BadHandleError, match="in a payload of"):
        cache.restore_many(pool, 1, range(2), blobs, None, install=True)
    blobs.keys = array("Q", [1])
    with pytest.raises(BadHandleError, match="differ in length"):
        cache.restore_many(pool, 1, range(2), blobs, None, install=True)
    with pytest.raises(BadHandleError):
        cache.restore_many(pool, 1, range(3), PackedBlobs(), None, install=True)


def test_no_page_comes_home_above_the_high_watermark(make_cache: MakeCache) -> None:
    cache = make_cache(frames=100, high_watermark=0.5, low_watermark=0.4)
    pool, other = cache.create_pool(PERSISTENT), cache.create_pool(EPHEMERAL)
    cache.put_many(pool, 1, range(20), b"".join(map(random_page, range(20))))
    blobs = spill_all(cache, where=5)
    for n in range(40):
        cache.put(other, 1, n, random_page(n))
    into = bytearray(20 * PAGE_SIZE)
    statuses = cache.restore_many(pool, 1, range(20), blobs, into, install=True)
    assert statuses == bytes(20)
    assert into == b"".join(map(random_page, range(20)))
    stats = cache.stats()
    assert (stats.frames_used, stats.pages_away, stats.pages_ephemeral) == (50, 10, 40)
    assert stats.displaced_pending == 10


def test_a_page_that_came_home_leaves_under_another_name(make_cache: MakeCache) -> None:
    cache, pool, blobs = gone(make_cache, 1)
    cache.restore_many(pool, 1, [0], blobs, None, install=True)
    again = spill_all(cache, where=5)
    assert again.keys[0] == blobs.keys[0]
    assert again.generations[0] > blobs.generations[0]
    assert bytes(again.payload) == bytes(blobs.payload)


def test_peeking_counts_as_no_get(make_cache: MakeCache) -> None:
    cache, pool, blobs = gone(make_cache, 4)
    cache.put(pool, 1, 1, text_page(9))
    seen = cache.peek_away(pool, 1, [3, 1, 9, 0])
    assert list(seen.positions) == [0, 3]
    assert list(seen.keys) == [blobs.keys[3], blobs.keys[0]]
    assert cache.stats().gets == 0


def test_a_stub_is_forgotten_only_under_its_generation(make_cache: MakeCache) -> None:
    cache, pool, blobs = gone(make_cache, 2)
    assert not cache.forget_away(pool, 1, 0, blobs.generations[0] + 1)
    assert not cache.forget_away(pool, 1, 9, blobs.generations[0])
    assert cache.forget_away(pool, 1, 0, blobs.generations[0])
    assert not cache.forget_away(pool, 1, 0, blobs.generations[0])
    cache.put(pool, 1, 1, text_page(9))
    cache.drain_displaced()
    assert not cache.forget_away(pool, 1, 1, blobs.generations[1])
    assert cache.get(pool, 1, 0) is None
    assert len(cache.drain_displaced()) == 0


def test_forgetting_a_place_drops_its_pages_of_one_kind(make_cache: MakeCache) -> None:
    cache, pool, _ = gone(make_cache, 30)
    other = cache.create_pool(EPHEMERAL)
    cache.put_many(other, 1, range(3), b"".join(map(text_page, range(3))))
    spill_all(cache, where=5, kind=EPHEMERAL)
    cache.put_many(pool, 2, range(4), b"".join(map(text_page, range(4))))
    spill_all(cache, where=6)
    assert cache.stats().away_by_where == {5: (30, 3), 6: (4, 0)}
    assert cache.forget_where(5, PERSISTENT) == 30
    assert cache.forget_where(5, PERSISTENT) == 0
    assert cache.forget_where(99, PERSISTENT) == 0
    assert cache.stats().away_by_where == {5: (0, 3), 6: (4, 0)}
    assert len(cache.drain_displaced()) == 0
    assert cache.get(pool, 1, 0) is None


def test_a_place_is_forgotten_at_every_position(make_cache: MakeCache) -> None:
    cache, pool, _ = gone(make_cache, 2)
    for n, where in enumerate([where_of(5, 1), where_of(5, 2**32 - 1), where_of(6, 5)]):
        cache.put(pool, 2, n, text_page(n))
        spill_all(cache, where)
    assert cache.forget_where(5, PERSISTENT) == 4
    assert cache.stats().away_by_where == {6: (1, 0)}
    assert list(cache.peek_away(pool, 2, range(3)).wheres) == [where_of(6, 5)]


@pytest.mark.parametrize("place", [0, -1, 2**32, where_of(5, 1)])
def test_what_is_no_place_is_refused(make_cache: MakeCache, place: int) -> None:
    cache, _, _ = gone(make_cache, 2)
    with pytest.raises(BadHandleError, match="place"):
        cache.forget_where(place, PERSISTENT)
    with pytest.raises(BadHandleError, match="place"):
        cache.scan_away(place)
    assert cache.stats().pages_away == 2


@pytest.mark.parametrize("pages_max", [1, 7, 4096])
def test_a_scan_sees_every_page_at_a_place(make_cache: MakeCache, pages_max: int) -> None:
    cache, pool, _ = gone(make_cache, 50)
    other = cache.create_pool(PERSISTENT)
    cache.put_many(other, 2**100, [2**50, 7], mixed_page(1, 100) + mixed_page(2, 100))
    second = spill_all(cache, where=where_of(5, 77))
    cache.put(pool, 3, 3, text_page(1))
    spill_all(cache, where=where_of(6, 5))
    handles, generations, wheres = [], [], set()
    cursor = steps = 0
    while True:
        more, pages, cursor = cache.scan_away(5, cursor=cursor, pages_max=pages_max)
        assert len(more) == len(pages) <= pages_max
        wheres |= set(pages.wheres)
        handles += more
        generations += pages.generations
        steps += 1
        if not cursor:
            break
    wanted = [(pool, 1, n) for n in range(50)] + [(other, 2**100, 2**50), (other, 2**100, 7)]
    assert sorted(handles) == sorted(wanted)
    assert wheres == {5, where_of(5, 77)}
    assert set(second.generations) < set(generations)
    assert steps >= len(wanted) / pages_max


def test_a_page_that_changes_while_its_blob_is_decoded_is_stale(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Behaviours 52 and 53 at this layer: looked at again under the lock before it is settled."""
    cache = Cache(CacheConfig(pool_bytes_max=2**20))
    pool = cache.create_pool(PERSISTENT)
    cache.put_many(pool, 1, range(2), text_page(0) + text_page(1))
    blobs = spill_all(cache, where=5)

    def decode_late(blob: memoryview, encoding: int, checksum: int) -> bytes:
        cache.put(pool, 1, 0, text_page(9))
        return decode(blob, encoding, checksum)

    monkeypatch.setattr("zcache.repatriation.decode", decode_late)
    into = bytearray(b"\xee" * (2 * PAGE_SIZE))
    statuses = cache.restore_many(pool, 1, range(2), blobs, into, install=True)
    assert list(statuses) == [STALE, RESTORED]
    assert into == b"\xee" * PAGE_SIZE + text_page(1)
    assert cache.get(pool, 1, 0) == text_page(9)
    cache.verify()


def test_a_frozen_cache_lets_no_page_come_home(make_cache: MakeCache) -> None:
    """Behaviour 25: nothing is stored while frozen; pages are still decoded for their readers."""
    cache, pool, blobs = gone(make_cache, 2)
    cache.freeze()
    into = bytearray(2 * PAGE_SIZE)
    assert cache.restore_many(pool, 1, range(2), blobs, into, install=True) == bytes(2)
    assert into == text_page(0) + text_page(1)
    assert cache.stats().pages_away == 2


def test_a_scan_of_a_large_cache_comes_in_bounded_steps(make_cache: MakeCache) -> None:
    cache = make_cache(frames=4096)
    pool = cache.create_pool(PERSISTENT)
    zeros = bytes(1000 * PAGE_SIZE)
    for start in range(0, 70_000, 1000):
        cache.put_many(pool, 2, range(start, start + 1000), zeros)
    cache.put(pool, 1, 3, text_page(1))
    spill_all(cache, where=5)
    steps = cursor = 0
    handles = []
    while True:
        more, _, cursor = cache.scan_away(5, cursor=cursor)
        handles += more
        steps += 1
        if not cursor:
            break
    assert handles == [(pool, 1, 3)]
    assert steps == 2
    assert cache.forget_where(5, PERSISTENT) == 1
