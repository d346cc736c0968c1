"""What a report shows."""

from __future__ import annotations

import math

import pytest

from ramster.bench.report_model import build
from tests.support.bench_results import failed, made

RATES = [100.0, 103, 98, 101, 99, 102, 100]


def rates(factor: float) -> dict[str, list[float]]:
    return {"put_pages_s": [factor * value for value in RATES]}


def test_of_one_result_ours_are_against_the_others() -> None:
    result = made(
        "a",
        {
            "nothing n=1": rates(4),
            "zcache n=1": rates(1),
            "nbdkit n=1": rates(0.5),
            "nothing n=2": rates(4),
            "zcache n=2": rates(2),
        },
        skipped={"redis n=1": "there is no redis-server"},
    )
    report = build([result], 5)
    assert report.names == ("nothing", "zcache", "nbdkit")
    tallies = {(t.name, t.base): t for t in report.tallies}
    assert tallies.keys() == {("zcache", "nothing"), ("zcache", "nbdkit")}
    against_nothing = tallies["zcache", "nothing"]
    assert (against_nothing.better, against_nothing.worse, against_nothing.same) == (0, 2, 0)
    assert against_nothing.overall == pytest.approx(math.sqrt(1 / 4 * 1 / 2))
    (win,) = report.wins
    assert (win.name, win.base, win.cases, win.of) == ("zcache", "nbdkit", ("mix n=1",), 1)
    assert win.factors == pytest.approx((2.0,))
    (loss,) = report.losses
    assert loss.cases == ("mix n=1", "mix n=2")
    assert loss.factors == pytest.approx((4.0, 2.0))
    (section,) = report.sections
    assert section.base == "nothing"
    assert section.missing == ("mix redis n=1: skipped: there is no redis-server",)
    (chart,) = section.charts
    assert [group.label for group in chart.groups] == ["n=1", "n=2"]
    assert [bar.name for bar in chart.groups[0].bars] == ["nothing", "zcache", "nbdkit"]
    assert chart.groups[0].bars[0].values == tuple(4 * value for value in RATES)


def test_of_one_result_without_others_the_first_of_ours_is_the_base() -> None:
    report = build([made("a", {"zcache": rates(1), "ramster-alone": rates(1)})], 5)
    assert [(t.name, t.base, t.same) for t in report.tallies] == [("ramster-alone", "zcache", 1)]
    assert (report.wins, report.losses) == ((), ())


def test_of_one_result_with_one_subject_there_is_nothing_to_compare() -> None:
    report = build([made("a", {"zcache": rates(1)})], 5)
    assert (report.tallies, report.sections[0].base) == ((), "")
    assert report.sections[0].charts[0].groups[0].bars[0].cell is None


def test_of_several_results_the_first_is_the_base() -> None:
    one = made("before", {"zcache n=1": rates(1)}, session="s")
    two = made("after", {"zcache n=1": rates(1.5)}, session="s")
    failed(two, "zcache n=1", "killed")
    report = build([one, two], 5)
    assert report.title == "after against before"
    (win,) = report.wins
    assert (win.name, win.base, win.cases) == ("after", "before", ("mix n=1 zcache",))
    (section,) = report.sections
    assert section.missing == ("after: mix zcache n=1, round 1: failed: killed",)
    assert [group.label for group in section.charts[0].groups] == ["n=1 (zcache)"]
    assert [bar.name for bar in section.charts[0].groups[0].bars] == ["before", "after"]
