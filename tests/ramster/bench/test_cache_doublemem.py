"""The workload on real targets, tiny."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from ramster.bench.cache_doublemem import CONFIGURATIONS, WORKLOADS, order_of
from ramster.bench.model import Context, Samples, Subject

(DOUBLEMEM,) = WORKLOADS


def run(way: str, subject: str, pattern: str, ratio: float, scratch: Path) -> Samples:
    parameters = {"way": way, "pattern": pattern, "ratio": ratio, "disk_us": 20}
    samples = DOUBLEMEM.run(Context(Subject(subject), parameters, 0.02, 1, scratch))
    assert samples.keys() == {figure.name for figure in DOUBLEMEM.figures}
    return samples


@pytest.mark.parametrize("way", ["api", "nbd"])
def test_in_order_plain_memory_hits_nothing_and_a_compressed_one_all(
    way: str, tmp_path: Path
) -> None:
    plain = run(way, "nothing", "seq", 2.5, tmp_path)
    assert plain["hit_ratio"] == 0
    assert plain["disk_reads"] == 2 * 2048 // 8
    packed = run(way, "zcache", "seq", 2.5, tmp_path)
    assert packed["hit_ratio"] == 1
    assert packed["disk_reads"] == packed["evicted_pages"] == 0


@pytest.mark.parametrize("way", ["api", "nbd"])
def test_what_does_not_compress_fits_only_with_a_lender(way: str, tmp_path: Path) -> None:
    alone = run(way, "ramster-alone", "seq", 1.0, tmp_path)
    with_peers = run(way, "ramster", "seq", 1.0, tmp_path)
    assert alone["hit_ratio"] < with_peers["hit_ratio"]  # type: ignore[operator]
    assert alone["spilled_pages"] == 0


def test_orders_are_as_long_as_a_quarter_and_as_even_as_they_say() -> None:
    quarters = [list(order_of("seq", job, 400, "x")) for job in range(4)]
    assert [block for quarter in quarters for block in quarter] == list(range(400))
    for pattern in ("uniform", "zipf"):
        order = list(order_of(pattern, 0, 400, "x"))
        assert len(order) == 100
        assert set(order) <= set(range(400))
        assert order == list(order_of(pattern, 0, 400, "x"))
        assert order != list(order_of(pattern, 0, 400, "y"))
    most = {
        pattern: Counter(order_of(pattern, 0, 40_000, "x")).most_common(1)[0]
        for pattern in ("uniform", "zipf")
    }
    assert most["zipf"][1] > 10 * most["uniform"][1]
    # The same blocks are popular whoever asks.
    assert Counter(order_of("zipf", 3, 40_000, "z")).most_common(1)[0][0] == most["zipf"][0]


def test_every_case_is_of_its_workload() -> None:
    (configuration,) = CONFIGURATIONS
    assert {case.workload for case in configuration.cases} == {DOUBLEMEM.name}
    assert len({case.key for case in configuration.cases}) == len(configuration.cases) == 32
