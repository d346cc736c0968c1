import json
from collections.abc import Callable

from tests.zcache.pages import PERSISTENT, spill_all, text_page
from zcache import CacheContract, CacheStats, where_of


def test_all_figures_survive_json() -> None:
    stats = CacheStats(puts=3, away_by_where={5: (2, 1)})
    read = json.loads(json.dumps(stats.as_dict()))
    assert read["puts"] == 3
    assert read["away_by_where"] == {"5": [2, 1]}
    assert read.keys() == set(CacheStats.__slots__)


def test_snapshots_share_nothing() -> None:
    first = CacheStats()
    first.away_by_where[1] = (1, 1)
    assert CacheStats().away_by_where == {}


def test_pages_away_are_summed_by_place_and_not_by_position(
    make_cache: Callable[..., CacheContract],
) -> None:
    cache = make_cache()
    pool = cache.create_pool(PERSISTENT)
    for position in (0, 1, 2**32 - 1):
        cache.put(pool, 1, position, text_page(1))
        spill_all(cache, where=where_of(9, position))
    assert cache.stats().away_by_where == {9: (3, 0)}
    cache.flush(pool, 1, 1)
    assert cache.stats().away_by_where == {9: (2, 0)}
    assert list(cache.drain_displaced().wheres) == [where_of(9, 1)]
