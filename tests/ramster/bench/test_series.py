"""Results as rows."""

from __future__ import annotations

import dataclasses

import pytest

from ramster.bench.series import Key, gather, loops_by_round, mean_loops
from tests.support.bench_results import made


def test_each_figure_of_each_case_is_a_row_by_round() -> None:
    result = made(
        "a",
        {
            "zcache n=1": {"put_pages_s": [1, 2, 3], "pool_bytes": [5]},
            "nothing n=1": {"put_pages_s": [9]},
        },
        busy=0.25,
    )
    found = gather(result)
    zcache = Key("tested", "mix", "n=1", "zcache")
    assert list(found) == [
        (zcache, "put_pages_s"),
        (zcache, "pool_bytes"),
        (zcache._replace(subject="nothing"), "put_pages_s"),
    ]
    row = found[zcache, "put_pages_s"]
    assert row.values == {1: 1, 2: 2, 3: 3}
    assert row.busy == 0.25
    assert row.spread().mean == pytest.approx(18 / 11)


def test_the_machines_speed_is_the_median_of_a_rounds_loops() -> None:
    result = made("a", {"zcache": {"put_pages_s": [1, 2]}}, loops={"lz4": [0.1, 0.3]})
    first = result.measurements[0]
    result.measurements.append(
        dataclasses.replace(first, calibration={"before": {"lz4": 0.5}, "after": {"copy": 2.0}})
    )
    assert loops_by_round(result) == {"lz4": {1: 0.1, 2: 0.3}, "copy": {1: 2.0}}
    assert mean_loops(result) == {"lz4": 0.2, "copy": 2.0}
