"""The debug check finds what is planted. It looks into the Python implementation."""

from collections.abc import Callable

import pytest

from tests.zcache.pages import EPHEMERAL, PERSISTENT, ZERO, packed, text_page
from zcache import PAGE_SIZE, CacheConfig, VerifyError
from zcache.cache import Cache
from zcache.entries import Entries
from zcache.page_table import AWAY, LOCAL, SAME_FILLED, TRANSIT
from zcache.page_table import PERSISTENT as PERSISTENT_FLAG
from zcache.verify import verify_allocator


@pytest.fixture
def cache() -> Cache:
    """Pages in every state."""
    cache = Cache(CacheConfig(pool_bytes_max=2**22, foreign_bytes_max=2**20))
    pool, other = cache.create_pool(PERSISTENT), cache.create_pool(EPHEMERAL)
    foreign = cache.create_pool(EPHEMERAL, foreign=True)
    cache.put_many(pool, 1, range(30), b"".join(map(text_page, range(30))))
    ticket = cache.begin_spill(2**20, pages_max=5)
    assert ticket is not None
    cache.finish_spill(ticket, 7)
    cache.begin_spill(2**20, pages_max=5)
    cache.put_many(other, 1, [0, 5000], text_page(1) + ZERO)
    cache.adopt(foreign, 1, packed([(n, 1, b"x" * 100) for n in range(10)]))
    for index in (12, 13, 20):
        cache.flush(pool, 1, index)
    cache.put(pool, 1, 13, text_page(50))
    cache.verify()
    return cache


def entry_in(entries: Entries, state: int) -> int:
    table = entries.table
    return next(e for e in range(5, len(table.flags)) if table.flags[e] & 0x1C == state)


def plant(name: str, e: Entries) -> None:  # noqa: C901 - a table of damages
    table, zs, index = e.table, e.zsmalloc, e.index
    local = entry_in(e, LOCAL)
    owner = e.owner(local)
    match name:
        case "count of pages":
            table.counts[LOCAL | PERSISTENT_FLAG] += 1
        case "count of bytes":
            table.bytes[LOCAL | PERSISTENT_FLAG] -= 1
        case "foreign slots":
            e.foreign_slot_bytes += 16
        case "bytes of a foreign pool":
            e.index.any_pool(2).blob_bytes += 1
        case "bytes of an own pool":
            e.index.any_pool(0).blob_bytes += 1
        case "length":
            table.lengths[local] += 40
        case "checksum":
            table.checksums[local] ^= 1
        case "blob":
            zs.overwrite(table.words[local], b"\xff\xff")
        case "location":
            table.words[local], table.words[local + 1] = (
                table.words[local + 1],
                table.words[local],
            )
        case "index of an entry":
            table.indexes[local] += 1
        case "owner of an entry":
            table.owners[local] += 1
        case "kind of an entry":
            table.flags[local] ^= PERSISTENT_FLAG
        case "state of an entry":
            table.flags[local] = (table.flags[local] & ~0x1C) | TRANSIT
        case "generation":
            table.generations[local] = table.generation + 9
        case "where":
            table.words[entry_in(e, AWAY)] = 8
        case "places":
            e.away[9] = [1, 0]
        case "no place":
            table.words[entry_in(e, AWAY)] = 1 << 32
            e.away = {7: [0, 4], 0: [0, 1]}
        case "queue link":
            table.next[local] = table.next[table.next[local]]
        case "queue member lost":
            table.unlink(local)
        case "free list":
            table.free_head = table.next[table.free_head]
        case "free list names a page":
            table.next[table.free_head] = local
        case "leaf slot":
            owner.leaves[0][table.indexes[local] & 63] = 0  # type: ignore[index]
        case "leaf count":
            owner.leaves[0][64] += 1  # type: ignore[index]
        case "object's pages":
            owner.pages += 1
        case "objects":
            index.object_count += 1
        case "object unreachable":
            del owner.pool.objects[owner.object_id]
        case "same-filled with a length":
            table.lengths[entry_in(e, SAME_FILLED)] = 8
        case "puts":
            e.counters.puts += 1
        case "gets":
            e.counters.get_misses += 1
        case "negative counter":
            e.counters.puts_frozen -= 1
            e.counters.puts -= 1
        case _:
            damage_allocator(name, e)


def damage_allocator(name: str, e: Entries) -> None:
    zs, zspages = e.zsmalloc, e.zsmalloc.zspages
    location = e.table.words[entry_in(e, LOCAL)]
    zspage = location >> zs.window_shift
    klass = zspages.klass[zspage]
    match name:
        case "frames":
            zs.frames_used += 1
        case "frames above the limit":
            zs.frames_ceiling = 1
        case "class objects":
            zs.class_used[klass] += 1
        case "class zspages":
            zs.class_zspages[klass] += 1
        case "zspage used":
            zspages.used[zspage] -= 1
        case "zspage class":
            zspages.klass[zspage] = klass + 1
        case "open bands":
            zspages.open_bands[klass] ^= 1 << 3
        case "band counts":
            zspages.band_counts[klass * 12 + 4] += 1
        case "slot's owner":
            zs._words[location >> 26][((location & (2**26 - 1)) >> 3) - 1] += 2
        case "free slots":
            damaged = next(z for z in range(zspages.heads, len(zspages.free)) if zspages.free[z])
            zspages.free[damaged] = 0
        case _:
            raise AssertionError(name)


@pytest.mark.parametrize(
    "name",
    [
        "count of pages", "count of bytes", "foreign slots",
        "bytes of a foreign pool", "bytes of an own pool", "length", "checksum", "blob",
        "location", "index of an entry", "owner of an entry", "kind of an entry",
        "state of an entry", "generation", "where", "places", "no place", "queue link",
        "queue member lost", "free list", "free list names a page", "leaf slot", "leaf count",
        "object's pages", "objects", "object unreachable", "same-filled with a length", "puts",
        "gets", "negative counter", "frames", "frames above the limit", "class objects",
        "class zspages", "zspage used", "zspage class", "open bands", "band counts",
        "slot's owner", "free slots",
    ],
)  # fmt: skip
def test_each_planted_inconsistency_is_found(cache: Cache, name: str) -> None:
    plant(name, cache._entries)
    with pytest.raises(VerifyError) as caught:
        cache.verify()
    assert caught.value.findings
    assert str(caught.value)


def test_a_ticket_that_lost_its_pages_is_found(cache: Cache) -> None:
    cache._spills.pages_open += 1
    with pytest.raises(VerifyError, match="tickets"):
        cache.verify()


def test_a_sound_cache_passes(cache: Cache) -> None:
    cache.verify()
    table = cache._entries.table
    table.words[entry_in(cache._entries, AWAY)] |= 12 << 32  # a position is no affair of a cache's
    cache.verify()
    assert verify_allocator(cache._entries.zsmalloc) == []
    assert cache.stats().frames_used * PAGE_SIZE > 0


def test_all_findings_are_told(cache: Cache) -> None:
    damages: list[Callable[[], None]] = [
        lambda: plant("puts", cache._entries),
        lambda: plant("foreign slots", cache._entries),
        lambda: plant("open bands", cache._entries),
    ]
    for damage in damages:
        damage()
    with pytest.raises(VerifyError) as caught:
        cache.verify()
    assert len(caught.value.findings) == 3
