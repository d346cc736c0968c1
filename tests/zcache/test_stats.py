import json

from zcache import CacheStats


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
