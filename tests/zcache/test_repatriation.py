from array import array
from collections.abc import Callable

import pytest

from tests.zcache.pages import (
    EPHEMERAL,
    PERSISTENT,
    mixed_page,
    packed,
    random_page,
    select,
    spill_all,
    text_page,
)
from zcache import (
    PAGE_SIZE,
    AwayPage,
    AwayPages,
    BadHandleError,
    CacheConfig,
    CacheContract,
    GetFree,
    PackedBlobs,
    RestoreStatus,
    where_of,
)
from zcache.cache import Cache
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


def test_moved_pages_are_at_their_new_place_under_their_old_name(make_cache: MakeCache) -> None:
    cache, pool, blobs = gone(make_cache, 4)
    to = [where_of(6, 9), where_of(6, 10), 5, where_of(5, 1)]
    moved = cache.move_away(blobs.keys, blobs.generations, [5] * 4, array("Q", to))
    assert moved == b"\1\1\1\1"
    seen = cache.peek_away(pool, 1, range(4))
    assert (list(seen.wheres), seen.generations) == (to, blobs.generations)
    stats = cache.stats()
    assert stats.away_by_where == {6: (2, 0), 5: (2, 0)}
    assert (stats.pages_moved, stats.displaced_pending) == (4, 0)
    # A blob fetched before the move is the page's all the same; the new copy is then displaced.
    assert list(cache.restore_many(pool, 1, range(4), blobs, None, install=True)) == [RESTORED] * 4
    assert list(cache.drain_displaced().wheres) == to
    assert cache.stats().away_by_where == {}


def test_a_place_is_empty_once_all_its_pages_moved(make_cache: MakeCache) -> None:
    cache, _, blobs = gone(make_cache, 70)
    for _ in range(2):
        moved = cache.move_away(blobs.keys, blobs.generations, [5] * 70, [6] * 70)
    assert moved == bytes(70)
    assert cache.stats().away_by_where == {6: (70, 0)}
    assert cache.scan_away(5) == ([], AwayPages(), 0)
    assert cache.forget_where(5, PERSISTENT) == 0


def test_a_page_that_changed_does_not_move(make_cache: MakeCache) -> None:
    """Put, flushed, restored, moved or sent away again since: the stale row touches nothing."""
    cache, pool, blobs = gone(make_cache, 7)
    cache.put(pool, 1, 0, text_page(60))
    cache.flush(pool, 1, 1)
    cache.put(pool, 9, 9, text_page(61))  # takes the entry that was flushed
    cache.restore_many(pool, 1, [2], select(blobs, [2]), None, install=True)
    cache.move_away([blobs.keys[3]], [blobs.generations[3]], [5], [where_of(5, 1)])
    cache.put(pool, 1, 4, text_page(64))
    ticket = cache.begin_spill(2**20)
    assert ticket is not None
    before = cache.stats()
    moved = cache.move_away(blobs.keys, blobs.generations, [5] * 7, [7] * 7)
    assert moved == b"\0\0\0\0\0\1\1"
    assert cache.finish_spill(ticket, 6) == 4
    assert not any(cache.move_away(blobs.keys, blobs.generations, [6] * 7, [8] * 7))
    stats = cache.stats()
    assert stats.away_by_where == {5: (1, 0), 6: (4, 0), 7: (2, 0)}
    assert stats.pages_moved == before.pages_moved + 2
    assert stats.displaced_pending == before.displaced_pending


@pytest.mark.parametrize(
    ("key", "generation", "where", "to"),
    [
        (0, 0, 0, 1), (0, 0, -1, 6), (0, 1, 0, 6), (0, 0, 1 << 32, 6), (-1, 0, 0, 6),
        (2**40, 0, 0, 6), (2**64, 0, 0, 6), (-(2**70), 0, 0, 6), (0, -(2**70), 0, 6),
        (0, 0, 2**70, 6), (0, 0, 0, -5), (0, 0, 0, 1 << 34), (0, 0, 0, 2**64 + 1),
    ],
)  # fmt: skip
def test_a_row_that_names_nothing_moves_nothing(
    make_cache: MakeCache, key: int, generation: int, where: int, to: int
) -> None:
    """Key, generation and where are added to a stub's; only the very first row is all right."""
    cache, _, blobs = gone(make_cache, 1)
    row = blobs.keys[0] + key, blobs.generations[0] + generation, 5 + where, to
    names_it = (key, generation, where, to) == (0, 0, 0, 1)
    assert cache.move_away(*([value] for value in row)) == bytes([names_it])
    assert cache.stats().away_by_where == {1 if names_it else 5: (1, 0)}


def test_nothing_that_is_not_away_moves() -> None:
    """Not even under its right generation and word: those of free entries, pages here, foreign."""
    cache = Cache(CacheConfig(pool_bytes_max=2**20, foreign_bytes_max=2**20))
    pool, lent = cache.create_pool(PERSISTENT), cache.create_pool(PERSISTENT, foreign=True)
    cache.adopt(lent, 1, packed([(n, 3, b"blob") for n in range(8)]))
    cache.put_many(pool, 1, range(4), text_page(1) + text_page(2) + text_page(3) + bytes(PAGE_SIZE))
    assert cache.begin_spill(1) is not None
    cache.flush(pool, 1, 1)
    table = cache._entries.table
    rows = len(table.flags)
    columns = range(rows), list(table.generations), list(table.words)
    assert cache.move_away(*columns, [6] * rows) == bytes(rows)
    cache.verify()


def test_rows_to_move_are_taken_in_order(make_cache: MakeCache) -> None:
    cache, pool, blobs = gone(make_cache, 1)
    keys, generations = list(blobs.keys) * 4, list(blobs.generations) * 4
    assert cache.move_away(keys, generations, [5, 5, 6, 7], [6, 9, 7, 7]) == b"\1\0\1\1"
    assert list(cache.peek_away(pool, 1, [0]).wheres) == [7]


def test_columns_to_move_of_unequal_length_change_nothing(make_cache: MakeCache) -> None:
    cache, _, blobs = gone(make_cache, 2)
    columns = [list(blobs.keys), list(blobs.generations), [5, 5], [6, 6]]
    for n in range(4):
        uneven = [column[: 1 if m == n else 2] for m, column in enumerate(columns)]
        with pytest.raises(BadHandleError, match="differ in length"):
            cache.move_away(*uneven)
    assert cache.stats().away_by_where == {5: (2, 0)}
    assert cache.move_away([], [], [], []) == b""


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
