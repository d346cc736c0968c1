"""Metrics of a node's own memory and cache."""

from __future__ import annotations

from ramster.metrics.node_rows import CACHE_ROWS, NODE_ROWS
from zcache import CacheStats

ROWS = {row.name: row for row in (*NODE_ROWS, *CACHE_ROWS)}


def test_outcomes_of_puts_and_gets_add_up_to_all_of_them() -> None:
    stats = {key: 1 << number for number, key in enumerate(CacheStats.__dataclass_fields__)}
    for name, keys in {
        "ramster_puts_total": ("stored", "refused_full", "refused_poor", "frozen"),
        "ramster_gets_total": ("hits", "misses", "away", "corrupt"),
    }.items():
        found = sum(value for _, value in ROWS[name].samples({"cache": stats}))
        wanted = [
            field
            for field in stats
            if field.startswith(("puts_", "gets_", "get_")) and field.endswith(keys)
        ]
        beginning = "put" if "puts" in name else "get"
        assert found == sum(stats[field] for field in wanted if field.startswith(beginning))


def test_watermarks_are_shares_of_the_limit() -> None:
    pool = {"high_watermark": 0.9, "low_watermark": 0.8}
    found = dict(ROWS["ramster_pool_watermark_ratio"].samples({"pool": pool}))
    assert found == {("high",): 0.9, ("low",): 0.8}
