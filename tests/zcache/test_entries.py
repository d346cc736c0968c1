from array import array

from tests.zcache.pages import PERSISTENT, ZERO, spill_all, text_page
from zcache import CacheConfig, PoolKind, where_of
from zcache.cache import Cache
from zcache.entries import Entries


def cache_with_states() -> tuple[Cache, Entries, dict[str, int]]:
    cache = Cache(CacheConfig(pool_bytes_max=2**20))
    pool = cache.create_pool(PERSISTENT)
    cache.put(pool, 1, 0, text_page(0))
    spill_all(cache, where=3)
    cache.put(pool, 1, 1, text_page(1))
    assert cache.begin_spill(2**20)
    cache.put_many(pool, 1, [2, 3], text_page(2) + ZERO)
    entries = cache._entries
    found = [entries.find(entries.index.pool(pool), 1, index) for index in range(4)]
    return cache, entries, dict(zip(["away", "transit", "local", "same"], found, strict=True))


def test_dropping_a_page_in_any_state_lets_go_of_all_it_holds() -> None:
    """Behaviour 39: the handle is gone from the index with it."""
    cache, entries, by_state = cache_with_states()
    for state, entry in by_state.items():
        freed = entries.drop(entry)
        assert (freed >= 0) == (state in ("transit", "local"))
        assert len(entries.displaced) == 1  # the first one dropped is the one that is away
        cache.verify()
    assert entries.zsmalloc.frames_used == 0
    assert not any(entries.table.counts)


def test_an_away_page_is_described_alike_alone_and_in_columns() -> None:
    cache, entries, by_state = cache_with_states()
    alone = entries.away_page(by_state["away"])
    columns = cache.peek_away(0, 1, [0])
    assert alone == (
        columns.keys[0],
        columns.generations[0],
        columns.lengths[0],
        columns.encodings[0],
        columns.checksums[0],
        columns.wheres[0],
    )


def test_places_are_counted_by_kind_and_forgotten_when_empty() -> None:
    _, entries, by_state = cache_with_states()
    assert entries.away == {3: [0, 1]}
    entries.forget_stub(by_state["away"])
    assert entries.away == {}
    assert len(entries.displaced) == 0
    assert PoolKind.PERSISTENT == 1  # the position in the pair above


def test_the_pools_of_entries_are_a_column() -> None:
    cache, entries, by_state = cache_with_states()
    other = cache.create_pool(PERSISTENT)
    cache.put(other, 1, 0, text_page(0))
    entry = entries.find(entries.index.pool(other), 1, 0)
    wanted = array("Q", [by_state["local"], entry, by_state["same"], entry])
    assert entries.pool_ids(wanted) == array("I", [0, other, 0, other])


def test_positions_of_a_place_share_one_sum() -> None:
    """However many positions there are: no object a page above the page table (R5a)."""
    _, entries, by_state = cache_with_states()
    for position in range(1000):
        entries.count_away(where_of(3, position), 0, 1)
    assert entries.away == {3: [1000, 1]}
    for position in range(1000):
        entries.count_away(where_of(3, position), 0, -1)
    entries.forget_stub(by_state["away"])
    assert entries.away == {}
