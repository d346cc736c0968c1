"""Operations of the cache as a whole: pools, handles, flushes, extents, freezing, knobs."""

import random
from collections.abc import Callable
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.zcache.pages import (
    EPHEMERAL,
    PERSISTENT,
    ZERO,
    mixed_page,
    packed,
    random_page,
    spill_all,
    text_page,
)
from zcache import (
    INDEX_MAX,
    OBJECT_ID_INVALID,
    PAGE_SIZE,
    BadHandleError,
    CacheContract,
    CacheFullError,
    ConfigError,
    Encoding,
    NoSuchPoolError,
    PoolTableFullError,
)

MakeCache = Callable[..., CacheContract]


# -- pools -----------------------------------------------------------------------------------------


def test_a_new_pool_takes_the_lowest_free_id(make_cache: MakeCache) -> None:
    """Behaviour 16: ids are filled from below, and a full table refuses without side effects."""
    cache = make_cache(pools_max=5)
    assert [cache.create_pool(PERSISTENT) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(PoolTableFullError) as caught:
        cache.create_pool(PERSISTENT)
    assert caught.value.pools_max == 5
    assert cache.stats().pools == 5
    for pool in (3, 1, 4):
        cache.destroy_pool(pool)
    assert [cache.create_pool(EPHEMERAL) for _ in range(3)] == [1, 3, 4]


def test_more_pools_than_the_originals_had(make_cache: MakeCache) -> None:
    cache = make_cache()
    assert [cache.create_pool(EPHEMERAL) for _ in range(40)] == list(range(40))


def test_destroying_a_pool_removes_all_and_later_operations_are_refused(
    make_cache: MakeCache,
) -> None:
    """Behaviour 14: every operation on the id is refused, other pools are as they were."""
    cache = make_cache()
    pool, other = cache.create_pool(PERSISTENT), cache.create_pool(PERSISTENT)
    for object_id in range(3):
        cache.put_many(pool, object_id, range(50), b"".join(map(text_page, range(50))))
    cache.put(other, 1, 1, text_page(1))
    assert cache.pool_pages(pool) == 150
    assert cache.destroy_pool(pool) == 150
    refused: list[Callable[[], object]] = [
        lambda: cache.put(pool, 0, 0, ZERO),
        lambda: cache.get(pool, 0, 0),
        lambda: cache.get_many(pool, 0, [0], bytearray(PAGE_SIZE)),
        lambda: cache.flush(pool, 0, 0),
        lambda: cache.flush_range(pool, 0, 0, 9),
        lambda: cache.flush_object(pool, 0),
        lambda: cache.extents(pool, 0, 0, 9),
        lambda: cache.peek_away(pool, 0, [0]),
        lambda: cache.forget_away(pool, 0, 0, 1),
        lambda: cache.restore_many(pool, 0, [], packed([]), None, install=True),
        lambda: cache.adopt(pool, 0, packed([])),
        lambda: cache.read_adopted(pool, 0, [], []),
        lambda: cache.flush_adopted(pool, 0, [], []),
        lambda: cache.pool_pages(pool),
        lambda: cache.destroy_pool(pool),
    ]
    for operation in refused:
        with pytest.raises(NoSuchPoolError):
            operation()
    stats = cache.stats()
    assert (stats.pages_persistent, stats.objects, stats.pools) == (1, 1, 1)
    assert cache.get(other, 1, 1) == text_page(1)


def test_a_destroyed_id_is_used_again_and_shows_no_old_page(make_cache: MakeCache) -> None:
    """Behaviour 15: the new pool of that id is empty."""
    cache = make_cache()
    pool = cache.create_pool(PERSISTENT)
    cache.put(pool, 1, 1, text_page(1))
    spill_all(cache, where=3)
    cache.put(pool, 1, 2, text_page(2))
    cache.destroy_pool(pool)
    assert list(cache.drain_displaced().wheres) == [3]
    assert cache.create_pool(EPHEMERAL) == pool
    assert cache.get(pool, 1, 1) is None
    assert cache.get(pool, 1, 2) is None
    assert cache.extents(pool, 1, 0, 10) == [(0, 10, False)]


def test_shared_pools(make_cache: MakeCache) -> None:
    """Behaviour 21: one UUID, one pool; a get leaves the page."""
    cache = make_cache()
    first = cache.create_pool(EPHEMERAL, shared_uuid=UUID(int=1))
    assert cache.create_pool(EPHEMERAL, shared_uuid=UUID(int=1)) == first
    assert cache.create_pool(EPHEMERAL, shared_uuid=UUID(int=2)) != first
    assert cache.create_pool(PERSISTENT, shared_uuid=UUID(int=1)) != first
    cache.put(first, 1, 1, text_page(1))
    assert cache.get(first, 1, 1) == text_page(1)
    assert cache.get(first, 1, 1) == text_page(1)
    assert cache.stats().pools == 3
    cache.destroy_pool(first)
    assert cache.create_pool(EPHEMERAL, shared_uuid=UUID(int=1)) == first
    assert cache.get(first, 1, 1) is None


def test_own_operations_do_not_touch_foreign_pools_nor_the_reverse(make_cache: MakeCache) -> None:
    cache = make_cache(foreign_bytes_max=2**20)
    own, foreign = cache.create_pool(PERSISTENT), cache.create_pool(PERSISTENT, foreign=True)
    with pytest.raises(NoSuchPoolError):
        cache.put(foreign, 1, 1, ZERO)
    with pytest.raises(NoSuchPoolError):
        cache.get(foreign, 1, 1)
    with pytest.raises(NoSuchPoolError):
        cache.adopt(own, 1, packed([(1, 1, b"blob")]))


# -- handles ---------------------------------------------------------------------------------------


def test_all_bits_of_an_object_id_count(make_cache: MakeCache) -> None:
    """Behaviour 18: ids that differ in one bit, or whose words XOR alike, are distinct."""
    cache = make_cache()
    pool = cache.create_pool(PERSISTENT)
    ids = [0, *(1 << bit for bit in range(192))]
    ids += [a | b << 64 | (a ^ b ^ 5) << 128 for a, b in ((1, 2), (2, 1), (3, 7), (7, 3))]
    for number, object_id in enumerate(ids):
        cache.put(pool, object_id, 0, number.to_bytes(8, "little") * 512)
    assert cache.stats().objects == len(ids)
    for number, object_id in enumerate(ids):
        assert cache.get(pool, object_id, 0) == number.to_bytes(8, "little") * 512


def test_the_lowest_and_the_highest_index_work_and_larger_ones_are_refused(
    make_cache: MakeCache,
) -> None:
    """Behaviour 19: indexes have 64 bits (the originals had 32) and are never truncated."""
    cache = make_cache()
    pool = cache.create_pool(PERSISTENT)
    for index in (0, 2**32 - 1, 2**32, INDEX_MAX):
        cache.put(pool, 1, index, text_page(index % 97))
    for index in (0, 2**32 - 1, 2**32, INDEX_MAX):
        assert cache.get(pool, 1, index) == text_page(index % 97)
    for index in (-1, INDEX_MAX + 1):
        with pytest.raises(BadHandleError):
            cache.put(pool, 1, index, ZERO)
        with pytest.raises(BadHandleError):
            cache.get(pool, 1, index)
        with pytest.raises(BadHandleError):
            cache.get_many(pool, 1, [0, index], bytearray(2 * PAGE_SIZE))
        with pytest.raises(BadHandleError):
            cache.flush(pool, 1, index)
    assert cache.extents(pool, 1, INDEX_MAX - 1, INDEX_MAX + 1) == [
        (INDEX_MAX - 1, 1, False),
        (INDEX_MAX, 1, True),
    ]


@pytest.mark.parametrize("object_id", [OBJECT_ID_INVALID, OBJECT_ID_INVALID + 1, -1])
def test_the_invalid_object_id_is_refused(make_cache: MakeCache, object_id: int) -> None:
    """Behaviour 20: all ones is no object; the highest valid one works."""
    cache = make_cache()
    pool = cache.create_pool(PERSISTENT)
    operations: list[Callable[[], object]] = [
        lambda: cache.put(pool, object_id, 0, ZERO),
        lambda: cache.get(pool, object_id, 0),
        lambda: cache.flush(pool, object_id, 0),
        lambda: cache.flush_object(pool, object_id),
        lambda: cache.flush_range(pool, object_id, 0, 1),
        lambda: cache.extents(pool, object_id, 0, 1),
    ]
    for operation in operations:
        with pytest.raises(BadHandleError):
            operation()
    cache.put(pool, OBJECT_ID_INVALID - 1, 0, ZERO)
    assert cache.get(pool, OBJECT_ID_INVALID - 1, 0) == ZERO


# -- flushes and extents ---------------------------------------------------------------------------


def test_a_flush_answers_and_touches_no_other_page(make_cache: MakeCache) -> None:
    """Behaviour 12: found or not found, and the neighbours stay."""
    cache = make_cache()
    pool = cache.create_pool(PERSISTENT)
    cache.put_many(pool, 1, range(200), b"".join(map(text_page, range(200))))
    assert cache.flush(pool, 1, 63)
    assert not cache.flush(pool, 1, 63)
    assert not cache.flush(pool, 1, 5000)
    assert not cache.flush(pool, 2, 63)
    assert cache.extents(pool, 1, 0, 200) == [(0, 63, True), (63, 1, False), (64, 136, True)]
    stats = cache.stats()
    assert (stats.flushes, stats.flushes_found) == (4, 1)


def test_flushing_an_object_removes_it_and_only_it(make_cache: MakeCache) -> None:
    """Behaviour 13: all indexes of the id, near and far, in any state."""
    cache = make_cache()
    pool = cache.create_pool(PERSISTENT)
    cache.put_many(pool, 1, [0, 1, 70, 2**40], b"".join(map(text_page, range(4))))
    spill_all(cache, where=3)
    cache.put_many(pool, 1, [2, 3, 2**50], text_page(9) + ZERO + random_page(1))
    cache.put(pool, 2, 1, text_page(5))
    assert cache.flush_object(pool, 1) == 7
    assert cache.flush_object(pool, 1) == 0
    assert len(cache.drain_displaced()) == 4
    assert cache.get(pool, 2, 1) == text_page(5)
    stats = cache.stats()
    assert (stats.objects, stats.object_flushes, stats.object_flushes_found) == (1, 2, 1)


@pytest.mark.parametrize("last", ["flush", "range", "object", "get"])
def test_an_object_goes_with_its_last_page(make_cache: MakeCache, last: str) -> None:
    """Behaviour 17: the count of objects goes to 0, however the last page leaves."""
    cache = make_cache()
    pool = cache.create_pool(PERSISTENT, exclusive_gets=True)
    cache.put(pool, 1, 100, text_page(1))
    assert cache.stats().objects == 1
    match last:
        case "flush":
            cache.flush(pool, 1, 100)
        case "range":
            cache.flush_range(pool, 1, 0, 101)
        case "object":
            cache.flush_object(pool, 1)
        case "get":
            cache.get(pool, 1, 100)
    assert cache.stats().objects == 0


def test_flush_range_removes_what_lies_in_it(make_cache: MakeCache) -> None:
    cache = make_cache()
    pool = cache.create_pool(PERSISTENT)
    rng = random.Random(2)
    stored = [*sorted(rng.sample(range(3000), 200)), 2**63, INDEX_MAX]
    cache.put_many(pool, 1, stored, ZERO * len(stored))
    for start, stop in [
        (0, 0),
        (10, 11),
        (63, 65),
        (100, 1000),
        (990, 2000),
        (2**62, 2**64),
        (5, 2),
    ]:
        wanted = [index for index in stored if start <= index < stop]
        assert cache.flush_range(pool, 1, start, stop) == len(wanted)
        stored = [index for index in stored if index not in wanted]
        runs = cache.extents(pool, 1, 0, 2**64)
        assert [i for s, n, there in runs if there for i in range(s, s + n)] == stored


def test_flush_range_in_slices_takes_the_lowest_pages_first(make_cache: MakeCache) -> None:
    cache = make_cache()
    pool = cache.create_pool(PERSISTENT)
    rng = random.Random(3)
    stored = sorted({*range(100, 300), *rng.sample(range(2**40), 100)})
    cache.put_many(pool, 1, stored, ZERO * len(stored))
    removed = []
    while True:
        removed.append(cache.flush_range(pool, 1, 0, 2**64, pages_max=64))
        stored = stored[64:]
        runs = cache.extents(pool, 1, 0, 2**64)
        assert [i for s, n, there in runs if there for i in range(s, s + n)] == stored
        if removed[-1] < 64:
            break
    assert removed == [64, 64, 64, 64, 44]
    assert cache.stats().objects == 0


def test_a_pool_is_emptied_in_slices(make_cache: MakeCache) -> None:
    cache = make_cache()
    own, foreign = cache.create_pool(PERSISTENT), cache.create_pool(PERSISTENT, foreign=True)
    for object_id in range(3):
        cache.put_many(own, object_id, range(50), b"".join(map(text_page, range(50))))
    assert [cache.empty_pool(own, 60) for _ in range(4)] == [60, 60, 30, 0]
    assert cache.pool_pages(own) == 0
    assert cache.empty_pool(foreign, 10) == 0
    cache.put(own, 1, 1, text_page(1))
    assert cache.get(own, 1, 1) == text_page(1)
    cache.destroy_pool(own)
    with pytest.raises(NoSuchPoolError):
        cache.empty_pool(own, 1)
    cache.verify()


def test_extents_cover_the_range_in_order(make_cache: MakeCache) -> None:
    cache = make_cache()
    pool = cache.create_pool(PERSISTENT)
    cache.put_many(pool, 1, [3, 4, 63, 64, 200], ZERO * 5)
    assert cache.extents(pool, 1, 0, 100) == [
        (0, 3, False), (3, 2, True), (5, 58, False), (63, 2, True), (65, 35, False),
    ]  # fmt: skip
    assert cache.extents(pool, 1, 4, 64) == [(4, 1, True), (5, 58, False), (63, 1, True)]
    assert cache.extents(pool, 1, 64, 65) == [(64, 1, True)]
    assert cache.extents(pool, 1, 10, 10) == []
    assert cache.extents(pool, 9, 10, 12) == [(10, 2, False)]


# -- freezing and knobs ----------------------------------------------------------------------------


def test_a_frozen_cache_turns_puts_into_flushes(make_cache: MakeCache) -> None:
    """Behaviour 25: each put flushes its handle and is counted; gets go on."""
    cache = make_cache()
    pool = cache.create_pool(PERSISTENT)
    cache.put_many(pool, 1, range(4), b"".join(map(text_page, range(4))))
    cache.freeze()
    cache.put(pool, 1, 0, text_page(9))
    cache.put_many(pool, 1, [1, 7], text_page(9) * 2)
    assert cache.extents(pool, 1, 0, 8) == [(0, 2, False), (2, 2, True), (4, 4, False)]
    assert cache.get(pool, 1, 2) == text_page(2)
    assert (cache.stats().puts_frozen, cache.stats().puts_stored) == (3, 4)
    cache.freeze(False)
    cache.put(pool, 1, 0, text_page(9))
    assert cache.get(pool, 1, 0) == text_page(9)


@pytest.mark.parametrize(
    "changes",
    [
        {"pool_bytes_max": 0},
        {"high_watermark": 1.5},
        {"low_watermark": 0.95},
        {"accept_watermark": 0},
        {"foreign_bytes_max": -1},
        {"codec": "lzo"},
        {"incompressible": "drop"},
        {"pools_max": 0},
        {"pools_max": True},
        {"high_watermark": "much"},
        {"chain_frames_max": 4},
        {"no_such_knob": 1},
    ],
)
def test_a_value_out_of_range_is_refused_and_changes_nothing(
    make_cache: MakeCache, changes: dict[str, object]
) -> None:
    """Behaviour 33: the error names the knob and what is accepted."""
    cache = make_cache()
    before = cache.config
    with pytest.raises(ConfigError) as caught:
        cache.reconfigure(**changes)
    assert caught.value.key in changes
    assert caught.value.key in str(caught.value)
    assert cache.config == before


def test_knobs_change_at_run_time(make_cache: MakeCache) -> None:
    """Behaviours 33 and 29: a new limit is in force at once, exactly as if it had always been
    there.
    """
    cache = make_cache(frames=10)
    pool = cache.create_pool(PERSISTENT)
    assert cache.reconfigure(pool_bytes_max=20 * PAGE_SIZE).frames_max == 20
    for n in range(20):
        cache.put(pool, 1, n, random_page(n))
    with pytest.raises(CacheFullError):
        cache.put(pool, 1, 20, random_page(20))
    assert cache.config.frames_max == cache.stats().frames_max == 20


def test_a_limit_below_present_use_loses_no_persistent_page(make_cache: MakeCache) -> None:
    """Behaviour 34: ephemeral pages go, persistent ones stay, new puts are refused until there is
    room.
    """
    cache = make_cache(frames=200)
    persistent, ephemeral = cache.create_pool(PERSISTENT), cache.create_pool(EPHEMERAL)
    for n in range(60):
        cache.put(persistent, 1, n, mixed_page(n, 1500))
        cache.put(ephemeral, 1, n, mixed_page(n + 1000, 1500))
    cache.reconfigure(pool_bytes_max=10 * PAGE_SIZE)
    cache.verify()
    assert cache.stats().pages_ephemeral == 0
    assert cache.stats().frames_used > 10
    with pytest.raises(CacheFullError):
        cache.put(persistent, 1, 60, random_page(1))
    for n in range(60):
        assert cache.get(persistent, 1, n) == mixed_page(n, 1500)
    cache.flush_range(persistent, 1, 10, 60)
    cache.compact()
    cache.put(persistent, 1, 60, random_page(1))
    assert cache.stats().frames_used <= 10


def test_a_limit_that_still_fits_drops_only_as_much_as_it_must(make_cache: MakeCache) -> None:
    cache = make_cache(frames=100)
    pool = cache.create_pool(EPHEMERAL)
    for n in range(100):
        cache.put(pool, 1, n, random_page(n))
    cache.reconfigure(pool_bytes_max=40 * PAGE_SIZE)
    assert cache.extents(pool, 1, 0, 100) == [(0, 60, False), (60, 40, True)]
    assert cache.stats().frames_used == 40


def test_changing_the_codec_keeps_stored_pages_readable(make_cache: MakeCache) -> None:
    """Behaviour 85: pages of all codecs side by side."""
    cache = make_cache()
    pool = cache.create_pool(PERSISTENT)
    for round_, codec in enumerate(["none", "lz4", "zstd", "none"]):
        cache.reconfigure(codec=codec)
        for n in range(10):
            cache.put(pool, round_, n, text_page(100 * round_ + n))
    for round_ in range(4):
        for n in range(10):
            assert cache.get(pool, round_, n) == text_page(100 * round_ + n)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["lz4", "zstd", "none"]),
            st.integers(0, 3),
            st.integers(0, 20),
            st.sampled_from([0, 8, 300, 2000, 3500, 4096]),
        ),
        max_size=40,
    )
)
def test_what_was_put_under_one_codec_is_readable_under_every_other(
    make_cache: MakeCache, steps: list[tuple[str, int, int, int]]
) -> None:
    """Behaviour 85, for any history of configurations and pools."""
    cache = make_cache()
    pools = [cache.create_pool(PERSISTENT, codec=c) for c in (None, "lz4", "zstd", "none")]
    stored: dict[tuple[int, int], bytes] = {}
    for step, (codec, pool, index, noise) in enumerate(steps):
        assert cache.reconfigure(codec=codec).codec == codec
        page = mixed_page(step, noise)
        cache.put_many(pools[pool], 1, [index], page)
        stored[pool, index] = page
        assert all(cache.get(pools[p], 1, i) == page for (p, i), page in stored.items())


def encodings(cache: CacheContract) -> dict[int, int]:
    """How the pages here are encoded, by pool; each pool has one page."""
    ticket = cache.begin_spill(2**20)
    assert ticket is not None
    cache.cancel_spill(ticket)
    return dict(zip(ticket.pools, ticket.blobs.encodings, strict=True))


@pytest.mark.parametrize("one_by_one", [True, False])
def test_a_pool_may_have_a_codec_of_its_own(make_cache: MakeCache, one_by_one: bool) -> None:
    """It stays with the pool; others follow the configuration at the time of each put."""
    cache = make_cache()
    plain = cache.create_pool(PERSISTENT)
    own = {codec: cache.create_pool(PERSISTENT, codec=codec) for codec in ("lz4", "zstd", "none")}
    wanted = {own["lz4"]: Encoding.LZ4, own["zstd"]: Encoding.ZSTD, own["none"]: Encoding.RAW}
    for codec, encoding in (
        ("lz4", Encoding.LZ4),
        ("zstd", Encoding.ZSTD),
        ("none", Encoding.RAW),
    ):
        cache.reconfigure(codec=codec)
        for pool in (plain, *own.values()):
            if one_by_one:
                cache.put(pool, 1, 0, text_page(1))
            else:
                cache.put_many(pool, 1, [0], text_page(1))
        assert encodings(cache) == wanted | {plain: encoding}
        for pool in (plain, *own.values()):
            assert cache.get(pool, 1, 0) == text_page(1)


def test_zstandard_makes_smaller_blobs_than_lz4(make_cache: MakeCache) -> None:
    sizes = []
    for codec in ("lz4", "zstd"):
        cache = make_cache()
        pool = cache.create_pool(PERSISTENT, codec=codec)
        cache.put_many(pool, 1, range(20), b"".join(map(text_page, range(20))))
        sizes.append(cache.stats().bytes_local)
    assert sizes[1] < sizes[0]


@pytest.mark.parametrize("codec", ["lzo", "", "LZ4", 3])
def test_a_pool_with_an_unknown_codec_is_refused_without_side_effects(
    make_cache: MakeCache, codec: object
) -> None:
    cache = make_cache()
    with pytest.raises(ConfigError) as caught:
        cache.create_pool(PERSISTENT, codec=codec)
    assert (caught.value.key, caught.value.value) == ("codec", codec)
    assert caught.value.accepted == "one of: lz4, zstd, none"
    assert cache.stats().pools == 0
    assert cache.create_pool(PERSISTENT) == 0


def test_a_shared_pool_keeps_the_codec_it_was_made_with(make_cache: MakeCache) -> None:
    cache = make_cache()
    shared = UUID(int=7)
    pool = cache.create_pool(PERSISTENT, shared_uuid=shared, codec="zstd")
    assert cache.create_pool(PERSISTENT, shared_uuid=shared, codec="none") == pool
    assert cache.create_pool(PERSISTENT, shared_uuid=shared) == pool
    cache.put(pool, 1, 0, text_page(1))
    assert encodings(cache) == {pool: Encoding.ZSTD}


def test_the_next_pool_with_a_destroyed_ones_id_does_not_inherit_its_codec(
    make_cache: MakeCache,
) -> None:
    cache = make_cache()
    pool = cache.create_pool(PERSISTENT, codec="none")
    cache.destroy_pool(pool)
    assert cache.create_pool(PERSISTENT) == pool
    cache.put(pool, 1, 0, text_page(1))
    assert encodings(cache) == {pool: Encoding.LZ4}


def test_to_a_foreign_pool_a_codec_means_nothing(make_cache: MakeCache) -> None:
    cache = make_cache(foreign_bytes_max=2**20)
    pool = cache.create_pool(PERSISTENT, foreign=True, codec="zstd")
    blobs = packed([(1, 1, b"blob")])
    cache.adopt(pool, 1, blobs)
    assert cache.read_adopted(pool, 1, [1], [1]) == (b"\1", blobs)


# -- figures ---------------------------------------------------------------------------------------


def test_everything_is_zero_after_everything_is_flushed_and_peaks_stay(
    make_cache: MakeCache,
) -> None:
    """Behaviour 46: gauges fall to zero, never below, and peaks remember."""
    cache = make_cache(foreign_bytes_max=2**20)
    pool = cache.create_pool(PERSISTENT)
    foreign = cache.create_pool(EPHEMERAL, foreign=True)
    cache.put_many(pool, 1, range(100), b"".join(map(text_page, range(100))))
    spill_all(cache, where=1)
    cache.put_many(pool, 1, range(50, 150), b"".join(map(text_page, range(100))))
    cache.put(pool, 1, 200, ZERO)
    cache.adopt(foreign, 1, packed([(n, 1, b"blob") for n in range(30)]))
    frames = cache.stats().frames_used
    cache.flush_object(pool, 1)
    cache.destroy_pool(foreign)
    cache.drain_displaced()
    stats = cache.stats()
    gauges = [
        "frames_used", "zspages", "objects", "pages_local", "pages_same_filled", "pages_away",
        "pages_in_transit", "pages_foreign", "zombie_blobs", "pages_persistent", "pages_ephemeral",
        "bytes_local", "bytes_foreign", "bytes_foreign_slots", "displaced_pending",
    ]  # fmt: skip
    assert {name: getattr(stats, name) for name in gauges} == dict.fromkeys(gauges, 0)
    assert (stats.pages_local_peak, stats.pages_foreign_peak) == (100, 30)
    assert stats.frames_used_peak >= frames > 0
    assert all(value >= 0 for value in stats.as_dict().values() if isinstance(value, int))


def test_class_stats_sum_to_the_gauges(make_cache: MakeCache) -> None:
    """Behaviour 77: rows of the class table against the gauges."""
    cache = make_cache()
    pool = cache.create_pool(PERSISTENT)
    rng = random.Random(4)
    for n in range(200):
        cache.put(pool, 1, n, mixed_page(n, rng.randrange(4097)))
    stats, rows = cache.stats(), cache.class_stats()
    assert len(rows) == 119
    assert sum(row["obj_used"] for row in rows) == stats.pages_local
    assert sum(row["pages_used"] for row in rows) == stats.frames_used


def test_compaction_moves_nothing_that_a_user_can_see(make_cache: MakeCache) -> None:
    """Behaviour 74: pages and figures are the same, frames are fewer."""
    cache = make_cache()
    pool = cache.create_pool(PERSISTENT)
    pages = {n: mixed_page(n, 300 + n % 7 * 400) for n in range(600)}
    for n, page in pages.items():
        cache.put(pool, 1, n, page)
    for n in range(600):
        if n % 3:
            cache.flush(pool, 1, n)
            del pages[n]
    promised = sum(row["freeable"] for row in cache.class_stats())
    before = cache.stats()
    first = cache.compact(4)
    assert 4 <= first < promised
    assert first + cache.compact() == promised
    after = cache.stats()
    assert after.frames_used == before.frames_used - promised
    assert after.frames_compacted == promised
    assert after.objects_moved > 0
    assert after.bytes_local == before.bytes_local
    for n, page in pages.items():
        assert cache.get(pool, 1, n) == page


def test_excess_is_what_lies_above_a_watermark(make_cache: MakeCache) -> None:
    cache = make_cache(frames=100)
    pool = cache.create_pool(PERSISTENT)
    for n in range(60):
        cache.put(pool, 1, n, random_page(n))
    assert cache.excess_bytes(0.5) == 10 * PAGE_SIZE
    assert cache.excess_bytes(0.6) == 0
    assert cache.excess_bytes(0.9) == 0
