"""Comparing results, and subjects of one."""

from __future__ import annotations

import math
import random

import pytest

from ramster.bench.compare import Verdict, compare_results, compare_subjects, is_speed
from ramster.errors import BenchError
from tests.support.bench_results import FIGURES, failed, made

RATES = [100.0, 103, 98, 101, 99, 102, 100]
SLOW = [value * 0.8 for value in (101.0, 102, 99, 100, 100, 101, 99)]


def test_a_slower_variant_of_the_same_session_is_worse() -> None:
    base = made("a", {"zcache n=1": {"put_pages_s": RATES}}, session="s")
    slow = made("b", {"zcache n=1": {"put_pages_s": SLOW}}, session="s")
    found = compare_results([base, slow], 5)
    (row,) = found.rows
    assert (found.pairs, found.notes) == ((True, True), ())
    assert [cell.verdict for cell in row.cells] == [Verdict.BASE, Verdict.WORSE]
    assert row.cells[1].gain_percent == pytest.approx(-20.2, abs=0.5)
    assert (found.worse, found.better) == (1, 0)
    assert found.overall("tested", 1) == pytest.approx(0.8, abs=0.01)
    turned = compare_results([slow, base], 5)
    assert turned.rows[0].cells[1].verdict is Verdict.BETTER
    assert compare_results([base, slow], 30).rows[0].cells[1].verdict is Verdict.SAME


def test_a_longer_time_is_worse_and_fewer_bytes_are_better() -> None:
    base = made("a", {"zcache": {"get_p99_us": RATES, "pool_bytes": [100.0] * 7}}, session="s")
    new = made(
        "b",
        {"zcache": {"get_p99_us": [1.5 * v for v in SLOW], "pool_bytes": [80.0] * 7}},
        session="s",
    )
    found = {row.figure.name: row.cells[1] for row in compare_results([base, new], 5).rows}
    assert found["get_p99_us"].verdict is Verdict.WORSE
    assert found["pool_bytes"].verdict is Verdict.BETTER
    assert found["pool_bytes"].gain_percent == 20


def test_a_small_loss_in_every_case_is_seen_in_all_of_them_together() -> None:
    chance = random.Random(3)

    def noisy(mean: float) -> list[float]:
        return [mean * math.exp(chance.gauss(0, 0.06)) for _ in range(7)]

    cases = [f"zcache n={n}" for n in range(12)]
    base = made("a", {key: {"put_pages_s": noisy(100)} for key in cases}, session="s")
    new = made("b", {key: {"put_pages_s": noisy(90)} for key in cases}, session="s")
    found = compare_results([base, new], 5)
    assert [row.summed for row in found.rows] == [False] * 12 + [True]
    assert found.rows[-1].key.label == "all 12 cases"
    assert found.rows[-1].cells[1].verdict is Verdict.WORSE
    assert found.rows[-1].cells[1].gain_percent == pytest.approx(-10, abs=3)
    # It adds nothing to the mean over figures, of which it is one already.
    ratios = [row.cells[1].spread.mean / row.cells[0].spread.mean for row in found.rows[:-1]]
    assert found.overall("tested", 1) == pytest.approx(math.prod(ratios) ** (1 / 12))


def test_drift_that_both_met_is_no_difference() -> None:
    drifting = [100.0, 90, 80, 70, 60, 50, 40]
    base = made("a", {"zcache": {"put_pages_s": drifting}}, session="s")
    new = made("b", {"zcache": {"put_pages_s": [v * 0.9 for v in drifting]}}, session="s")
    assert compare_results([base, new], 5).worse == 1
    apart = made("b", {"zcache": {"put_pages_s": [v * 0.9 for v in drifting]}})
    assert compare_results([base, apart], 5).worse == 0


def test_a_machine_that_was_slower_is_not_the_codes_fault() -> None:
    base = made("a", {"zcache": {"put_pages_s": RATES}}, loops={"lz4": [1.0] * 7})
    slow_machine = made("b", {"zcache": {"put_pages_s": SLOW}}, loops={"lz4": [1.25] * 7})
    found = compare_results([base, slow_machine], 5)
    assert found.worse == 0
    assert any("lz4 +25 %" in note for note in found.notes)
    same_machine = made("b", {"zcache": {"put_pages_s": SLOW}}, loops={"lz4": [1.0] * 7})
    assert compare_results([base, same_machine], 5).worse == 1


def test_waking_threads_matters_where_something_waits() -> None:
    loops = {"lz4": [1.0] * 7, "wake": [1.0] * 7}
    slow_loops = {"lz4": [1.0] * 7, "wake": [1.25] * 7}
    for busy, worse in ((1.0, 1), (0.3, 0)):
        base = made("a", {"zcache": {"put_pages_s": RATES}}, loops=loops, busy=busy)
        slow = made("b", {"zcache": {"put_pages_s": SLOW}}, loops=slow_loops, busy=busy)
        assert compare_results([base, slow], 5).worse == worse


def test_sizes_are_not_corrected_for_the_machines_speed() -> None:
    sizes = [100.0] * 7
    base = made("a", {"zcache": {"pool_bytes": sizes}}, loops={"lz4": [1.0] * 7})
    new = made("b", {"zcache": {"pool_bytes": [v * 1.2 for v in sizes]}}, loops={"lz4": [2.0] * 7})
    assert compare_results([base, new], 5).worse == 1
    assert [is_speed(figure) for figure in FIGURES] == [True, True, False]


def test_too_few_rounds_are_said_to_be_too_few() -> None:
    base = made("a", {"zcache": {"put_pages_s": [100.0, 101]}}, session="s")
    new = made("b", {"zcache": {"put_pages_s": [10.0, 11]}}, session="s")
    found = compare_results([base, new], 5)
    assert found.rows[0].cells[1].verdict is Verdict.UNTESTED
    assert found.rows[0].cells[1].gain_percent == pytest.approx(-89.6, abs=0.1)
    assert found.worse == 0


def test_from_nothing_to_something_is_a_difference() -> None:
    base = made("a", {"zcache": {"pool_bytes": [0.0] * 7}}, session="s")
    new = made("b", {"zcache": {"pool_bytes": [5.0] * 7}}, session="s")
    (row,) = compare_results([base, new], 5).rows
    assert (row.cells[1].verdict, row.cells[1].gain_percent) == (Verdict.WORSE, None)


def test_what_cannot_be_compared_is_noted_with_its_reason() -> None:
    rates = {"put_pages_s": RATES}
    base = made("a", {"zcache n=1": rates, "zcache n=2": rates, "redis n=1": rates})
    new = made(
        "b",
        {"zcache n=2": rates, "nbdkit n=1": rates},
        skipped={"redis n=1": "there is no redis-server"},
        complete=False,
    )
    failed(new, "redis n=1", "overridden by the skip")
    found = compare_results([base, new], 5)
    text = "\n".join(found.notes)
    assert "tested: mix zcache n=1: not compared with b: not measured" in text
    assert "redis n=1: not compared with b: skipped: there is no redis-server" in text
    assert "tested: mix nbdkit n=1: only in b; in a not measured" in text
    assert "b is partial" in text
    assert [row.key.label for row in found.rows] == ["n=2"]
    three = compare_results([base, new, made("c", {"zcache n=1": rates})], 5)
    assert [[cell.verdict for cell in row.cells[1:]] for row in three.rows] == [
        [Verdict.MISSING, Verdict.SAME],
        [Verdict.SAME, Verdict.MISSING],
    ]


def test_other_scales_and_machines_are_noted() -> None:
    base = made("a", {"zcache": {"put_pages_s": RATES}})
    new = made("b", {"zcache": {"put_pages_s": RATES}}, scale=0.1, machine={"model": "other"})
    text = "\n".join(compare_results([base, new], 5).notes)
    assert "its scale is 0.1, not 1" in text
    assert "another machine than a: model other, not a processor" in text


def test_subjects_of_one_result_are_compared_in_pairs() -> None:
    result = made(
        "a",
        {
            "nothing n=1": {"put_pages_s": RATES},
            "zcache n=1": {"put_pages_s": SLOW},
            "nothing n=2": {"put_pages_s": RATES},
            "nothing n=3": {"put_pages_s": RATES},
        },
        skipped={"zcache n=2": "why"},
    )
    found = compare_subjects(result, ["nothing", "zcache"], 5)
    assert found.names == ("nothing", "zcache")
    assert found.pairs == (True, True)
    assert [row.key.subject for row in found.rows] == ["a"]
    assert [row.cells[1].verdict for row in found.rows] == [Verdict.WORSE]
    assert found.notes == ("tested: mix a n=2: not compared with zcache: skipped: why",)


def test_subjects_that_were_not_measured_are_refused() -> None:
    result = made("a", {"zcache": {"put_pages_s": RATES}})
    with pytest.raises(BenchError, match="a has no measurements of 'redis'; it has zcache"):
        compare_subjects(result, ["zcache", "redis"], 5)
