import random
from collections.abc import Callable

import pytest

from tests.zcache.pages import (
    EPHEMERAL,
    PERSISTENT,
    ZERO,
    mixed_page,
    random_page,
    same_page,
    spill_all,
    text_page,
)
from zcache import (
    PAGE_SIZE,
    BadHandleError,
    CacheContract,
    CacheFullError,
    NoSuchPoolError,
    PoorCompressionError,
)

MakeCache = Callable[..., CacheContract]

PAGES = {
    "zero": ZERO,
    "same": same_page(0x0123456789ABCDEF),
    "random": random_page(1),
    "text": text_page(1),
    "one byte set": bytes(4095) + b"\1",
    "equal ends": bytes(8) + random_page(2)[16:] + bytes(8),
    "word twice": (b"abcdefgh" + b"ijklmnop") * 256,
    "barely compresses": mixed_page(3, 3700),
    "below the huge watermark": mixed_page(4, 3550),
}


def fill(cache: CacheContract, pool: int, object_id: int = 1, seed: int = 0) -> int:
    """Put pages that do not compress until one is refused; returns how many were stored."""
    stored = 0
    while True:
        try:
            cache.put(pool, object_id, stored, random_page(seed + stored))
        except CacheFullError:
            return stored
        stored += 1


@pytest.mark.parametrize("kind", [PERSISTENT, EPHEMERAL])
@pytest.mark.parametrize("codec", ["lz4", "zstd", "none"])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_of_any_content_comes_back(
    make_cache: MakeCache, name: str, codec: str, kind: object
) -> None:
    """Behaviour 2: byte-identical data for zero, same-filled, random, text and mixed pages."""
    cache = make_cache(codec=codec)
    pool = cache.create_pool(kind)
    cache.put(pool, 1, 5, PAGES[name])
    assert cache.get(pool, 1, 5) == PAGES[name]


def test_a_second_put_replaces_the_first(make_cache: MakeCache) -> None:
    """Behaviour 3: whatever forms the old and the new page have, the old one never returns."""
    cache = make_cache()
    pool = cache.create_pool(PERSISTENT)
    rng = random.Random(5)
    names = list(PAGES)
    for _ in range(200):
        old, new = rng.choice(names), rng.choice(names)
        cache.put(pool, 1, 7, PAGES[old])
        cache.put(pool, 1, 7, PAGES[new])
        assert cache.get(pool, 1, 7) == PAGES[new]
        assert cache.stats().pages_persistent == 1
        cache.verify()


def test_a_batch_is_stored_in_order_and_the_last_of_a_repeated_index_wins(
    make_cache: MakeCache,
) -> None:
    cache = make_cache()
    pool = cache.create_pool(PERSISTENT)
    pages = [text_page(n) for n in range(300)]
    indexes = [n % 100 for n in range(300)]
    cache.put_many(pool, 1, indexes, b"".join(pages))
    for index in range(100):
        assert cache.get(pool, 1, index) == pages[200 + index]
    assert cache.stats().pages_persistent == 100


def test_payloads_of_every_buffer_type_are_taken(make_cache: MakeCache) -> None:
    cache = make_cache()
    pool = cache.create_pool(PERSISTENT)
    page = text_page(1)
    words = memoryview(bytearray(page)).cast("Q")
    for index, payload in enumerate([page, bytearray(page), memoryview(page), words]):
        cache.put(pool, 1, index, payload)
        assert cache.get(pool, 1, index) == page


@pytest.mark.parametrize("old_name", ["text", "zero", "below the huge watermark"])
@pytest.mark.parametrize("reason", ["limit", "size", "freeze"])
@pytest.mark.parametrize("keep_old", [False, True])
def test_a_failed_second_put_leaves_the_handle_absent_or_as_it_was(
    make_cache: MakeCache, reason: str, old_name: str, keep_old: bool
) -> None:
    """Behaviours 4, 80 and 87: absent after any failure; or, if asked, the old page stays."""
    cache = make_cache(frames=40, incompressible="refuse" if reason == "size" else "store")
    pool = cache.create_pool(PERSISTENT)
    old = PAGES[old_name]
    cache.put(pool, 1, 0, old)
    if reason == "limit":
        cache.put(pool, 2, 0, old)  # a companion in the same zspage, which is then never emptied
        fill(cache, pool, object_id=99, seed=1000)
    if reason == "freeze":
        cache.freeze()
        cache.put(pool, 1, 0, random_page(3), keep_old=keep_old)
        assert cache.get(pool, 1, 0) is None
        return
    error = CacheFullError if reason == "limit" else PoorCompressionError
    before = cache.stats()
    with pytest.raises(error) as caught:
        cache.put_many(pool, 1, [0], random_page(3), keep_old=keep_old)
    assert caught.value.stored == 0
    after = cache.stats()
    assert cache.get(pool, 1, 0) == (old if keep_old else None)
    if not keep_old:
        assert after.pages_persistent == before.pages_persistent - 1
    else:
        assert after.bytes_local == before.bytes_local


def test_a_failed_second_put_lowers_the_sums_by_exactly_the_old_page(make_cache: MakeCache) -> None:
    """Behaviour 5: pages and bytes fall by the old page and nothing else."""
    cache = make_cache(frames=64)
    pool = cache.create_pool(PERSISTENT)
    cache.put(pool, 1, 0, text_page(1))
    length = cache.stats().bytes_local
    cache.put(pool, 1, 1, text_page(2))
    fill(cache, pool, object_id=2)
    before = cache.stats()
    with pytest.raises(CacheFullError):
        cache.put(pool, 1, 0, random_page(1))
    after = cache.stats()
    assert before.pages_local - after.pages_local == 1
    assert before.pages_persistent - after.pages_persistent == 1
    assert before.bytes_local - after.bytes_local == length
    assert after.puts_refused_full == before.puts_refused_full + 1


def test_a_failed_first_put_leaves_no_object_behind(make_cache: MakeCache) -> None:
    """Behaviour 6: no empty object, nothing more in the index."""
    cache = make_cache(frames=16)
    pool = cache.create_pool(PERSISTENT)
    fill(cache, pool)
    before = cache.stats()
    with pytest.raises(CacheFullError):
        cache.put(pool, 2, 0, random_page(1))
    after = cache.stats()
    assert after.objects == before.objects == 1
    assert after.pages_local == before.pages_local
    assert cache.flush_object(pool, 2) == 0


def test_the_limit_is_never_exceeded(make_cache: MakeCache) -> None:
    """Behaviour 32: not by any page size, not for a moment, the peak counter says."""
    cache = make_cache(frames=50)
    pool = cache.create_pool(PERSISTENT)
    other = cache.create_pool(EPHEMERAL)
    rng = random.Random(8)
    refused = 0
    for n in range(3000):
        page = mixed_page(n, rng.choice([0, 100, 700, 1300, 2100, 3300, 4096]))
        try:
            cache.put(rng.choice([pool, other]), 1, rng.randrange(400), page, keep_old=n % 2 == 0)
        except CacheFullError:
            refused += 1
            if refused % 20 == 0:
                cache.flush_range(pool, 1, 0, 200)
        stats = cache.stats()
        assert stats.frames_used <= stats.frames_used_peak <= stats.frames_max == 50
    assert refused > 0


def test_attempts_are_successes_plus_each_kind_of_failure(make_cache: MakeCache) -> None:
    """Behaviours 30 and 31: accepted puts are counted, and every refusal under its cause."""
    cache = make_cache(frames=20, incompressible="refuse")
    pool = cache.create_pool(PERSISTENT)
    for n in range(5):
        cache.put(pool, 1, n, text_page(n))
    cache.put(pool, 1, 5, ZERO)
    with pytest.raises(PoorCompressionError):
        cache.put(pool, 1, 6, random_page(1))
    cache.reconfigure(incompressible="store")
    full = fill(cache, pool, object_id=2)
    cache.freeze()
    cache.put_many(pool, 3, range(4), ZERO * 4)
    stats = cache.stats()
    assert stats.puts_stored == 6 + full
    assert (stats.puts_refused_poor, stats.puts_refused_full, stats.puts_frozen) == (1, 1, 4)
    assert stats.puts == stats.puts_stored + 6
    assert (stats.stored_same_filled, stats.stored_incompressible) == (1, full)


def test_a_refused_batch_says_how_many_pages_were_stored(make_cache: MakeCache) -> None:
    cache = make_cache(frames=100)
    pool = cache.create_pool(PERSISTENT)
    payload = b"".join(random_page(n) for n in range(150))
    with pytest.raises(CacheFullError) as caught:
        cache.put_many(pool, 1, range(150), payload)
    assert caught.value.stored == 100
    assert cache.extents(pool, 1, 0, 150) == [(0, 100, True), (100, 50, False)]
    stats = cache.stats()
    assert (stats.puts, stats.puts_stored, stats.puts_refused_full) == (101, 100, 1)


def test_a_same_filled_page_takes_no_storage(make_cache: MakeCache) -> None:
    """Behaviour 35: zero and same-filled pages take no frame, even in a full cache."""
    cache = make_cache(frames=8)
    pool = cache.create_pool(PERSISTENT)
    cache.put_many(pool, 1, range(1000), b"".join(same_page(n * 0x0101) for n in range(1000)))
    stats = cache.stats()
    assert (stats.pages_same_filled, stats.frames_used, stats.bytes_local) == (1000, 0, 0)
    assert fill(cache, pool, object_id=2) == 8
    cache.put(pool, 2, 3, same_page(77))
    assert cache.get(pool, 2, 3) == same_page(77)
    assert cache.stats().frames_used == 7


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_incompressible_pages_are_stored_raw_or_refused_and_counted(
    make_cache: MakeCache, codec: str
) -> None:
    """Behaviour 81: raw in a frame of their own, or refused, as configured."""
    cache = make_cache(frames=100, codec=codec)
    pool = cache.create_pool(PERSISTENT)
    cache.put_many(pool, 1, range(10), b"".join(random_page(n) for n in range(10)))
    stats = cache.stats()
    assert (stats.stored_incompressible, stats.frames_used) == (10, 10)
    assert stats.bytes_local == 10 * PAGE_SIZE
    assert [row["obj_used"] for row in cache.class_stats()][-1] == 10
    cache.reconfigure(incompressible="refuse")
    with pytest.raises(PoorCompressionError):
        cache.put(pool, 1, 10, random_page(10))
    assert cache.stats().puts_refused_poor == 1


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_a_page_at_the_huge_watermark_is_stored_raw(make_cache: MakeCache, codec: str) -> None:
    """Behaviour 71: below the watermark compressed, from it on raw, as in zram."""
    raw, compressed = 0, 0
    for noise in range(3560, 3700, 4):
        cache = make_cache(frames=20)
        pool = cache.create_pool(PERSISTENT, codec=codec)
        cache.put(pool, 1, 0, mixed_page(noise, noise))
        length = cache.stats().bytes_local
        assert length < 3632 - 7 or length == PAGE_SIZE
        assert cache.stats().stored_incompressible == (length == PAGE_SIZE)
        raw += length == PAGE_SIZE
        compressed += length < PAGE_SIZE
    assert raw
    assert compressed


def test_after_the_limit_was_hit_puts_wait_for_the_accept_watermark(make_cache: MakeCache) -> None:
    """Behaviour 79: refused at the limit, and until use is at or under the accept watermark."""
    cache = make_cache(frames=100, accept_watermark=0.5)
    pool = cache.create_pool(PERSISTENT)
    assert fill(cache, pool) == 100
    cache.flush_range(pool, 1, 0, 49)
    assert cache.stats().frames_used == 51
    with pytest.raises(CacheFullError):
        cache.put(pool, 2, 0, random_page(1))
    cache.put(pool, 1, 60, random_page(2))  # in place of a page: no new one
    cache.flush(pool, 1, 49)
    cache.put(pool, 2, 0, random_page(1))
    for n in range(1, 50):
        cache.put(pool, 2, n, random_page(n))
    assert cache.stats().frames_used == 100


def test_without_hysteresis_any_free_frame_is_used(make_cache: MakeCache) -> None:
    cache = make_cache(frames=10)
    pool = cache.create_pool(PERSISTENT)
    fill(cache, pool)
    cache.flush(pool, 1, 0)
    cache.put(pool, 2, 0, random_page(1))


def test_keep_old_survives_a_limit_lowered_below_use(make_cache: MakeCache) -> None:
    """Behaviour 87: even above a lowered limit a refused put leaves the old page."""
    cache = make_cache(frames=100)
    pool = cache.create_pool(PERSISTENT)
    pages = [mixed_page(n, 1800) for n in range(60)]
    cache.put_many(pool, 1, range(60), b"".join(pages))
    cache.reconfigure(pool_bytes_max=4 * PAGE_SIZE)
    for n in range(60):
        with pytest.raises(CacheFullError):
            cache.put(pool, 1, n, random_page(n), keep_old=True)
        cache.verify()
    for n in range(60):
        assert cache.get(pool, 1, n) == pages[n]


def test_keep_old_in_a_full_cache_uses_the_old_pages_room(make_cache: MakeCache) -> None:
    cache = make_cache(frames=10)
    pool = cache.create_pool(PERSISTENT)
    fill(cache, pool)
    cache.put(pool, 1, 3, random_page(77), keep_old=True)
    assert cache.get(pool, 1, 3) == random_page(77)
    # Of another class: the frame that the old page leaves is the only one.
    cache.put(pool, 1, 3, mixed_page(5, 2000), keep_old=True)
    assert cache.get(pool, 1, 3) == mixed_page(5, 2000)
    assert [row["obj_used"] for row in cache.class_stats() if row["size"] == 2048] == [1]


@pytest.mark.parametrize("keep_old", [False, True])
def test_overwriting_an_away_page_displaces_its_copy(make_cache: MakeCache, keep_old: bool) -> None:
    cache = make_cache()
    pool = cache.create_pool(PERSISTENT)
    cache.put(pool, 1, 0, text_page(1))
    blobs = spill_all(cache, where=9)
    cache.put(pool, 1, 0, text_page(2), keep_old=keep_old)
    displaced = cache.drain_displaced()
    assert list(displaced.keys) == list(blobs.keys)
    assert list(displaced.generations) == list(blobs.generations)
    assert list(displaced.wheres) == [9]
    assert cache.get(pool, 1, 0) == text_page(2)
    assert cache.stats().away_by_where == {}


def test_a_failed_put_over_an_away_page(make_cache: MakeCache) -> None:
    """Behaviour 4: the handle is absent and the copy displaced; with keep_old it is still away."""
    cache = make_cache(frames=8)
    pool = cache.create_pool(PERSISTENT)
    cache.put_many(pool, 1, range(2), text_page(1) + text_page(2))
    spill_all(cache, where=9)
    fill(cache, pool, object_id=2)
    with pytest.raises(CacheFullError):
        cache.put(pool, 1, 0, random_page(1), keep_old=True)
    assert cache.stats().pages_away == 2
    with pytest.raises(CacheFullError):
        cache.put(pool, 1, 0, random_page(1))
    assert cache.get(pool, 1, 0) is None
    assert list(cache.drain_displaced().wheres) == [9]


def test_wrong_sizes_and_handles_are_refused_before_anything_is_stored(
    make_cache: MakeCache,
) -> None:
    cache = make_cache()
    pool = cache.create_pool(PERSISTENT)
    with pytest.raises(BadHandleError, match="4095 bytes for 1 pages"):
        cache.put(pool, 1, 0, bytes(4095))
    with pytest.raises(BadHandleError):
        cache.put_many(pool, 1, [0, 1], ZERO)
    with pytest.raises(BadHandleError):
        cache.put_many(pool, 1, [0, -1], ZERO * 2)
    with pytest.raises(BadHandleError, match="not contiguous"):
        cache.put(pool, 1, 0, memoryview(bytes(8192))[::2])
    with pytest.raises(NoSuchPoolError):
        cache.put(pool + 1, 1, 0, ZERO)
    cache.put_many(pool, 1, [], b"")
    stats = cache.stats()
    assert (stats.puts, stats.pages_persistent) == (0, 0)
