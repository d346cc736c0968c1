"""Runs: what is measured, skipped, failed and kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from ramster.bench.configurations import WORKLOADS
from ramster.bench.plan import Step
from ramster.bench.results import Result, load_result
from ramster.bench.runner import Run, describe
from ramster.bench.variants import Variant
from ramster.errors import BenchError
from tests.support.bench_workloads import TESTED, configuration, variant


@pytest.fixture(autouse=True)
def known_workloads(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, workload in TESTED.items():
        monkeypatch.setitem(WORKLOADS, name, workload)


def nothing(step: Step) -> None:
    pass


def measured(folder: Path, *workloads: str, rounds: int = 2) -> Result:
    path = folder / "result.json"
    run = Run([configuration(*workloads, rounds=rounds)], {path: variant(folder)}, 1, 60)
    run.start()
    run.measure(nothing)
    return load_result(path)


def test_every_case_is_measured_once_a_round(tmp_path: Path) -> None:
    result = measured(tmp_path, "behaves", "environment")
    rows = sorted((row.round, row.case) for row in result.measurements)
    assert rows == [
        (number, f"{name} zcache -") for number in (1, 2) for name in ("behaves", "environment")
    ]
    assert sorted(row.order for row in result.measurements) == [1, 2, 3, 4]
    assert result.complete
    assert (result.skipped, result.failures) == ([], [])
    assert result.figures["behaves"][0].unit == "pages/s"
    assert result.versions["backend"] in ("native", "python")


def test_a_case_that_cannot_run_is_skipped_once_with_its_reason(tmp_path: Path) -> None:
    result = measured(tmp_path, "behaves", "missing")
    (skip,) = result.skipped
    assert (skip.case, skip.reason) == (
        "missing zcache -",
        "there is no such program: apt-get install it",
    )
    assert len(result.measurements) == 2


def test_failures_are_kept_with_last_words_and_the_run_goes_on(tmp_path: Path) -> None:
    result = measured(tmp_path, "behaves", "dies", "raises", "undeclared", rounds=3)
    assert len(result.measurements) == 3
    assert result.complete
    found = {row.case.split()[0]: row for row in result.failures}
    assert found["dies"].reason == "killed by SIGSEGV"
    assert found["dies"].last_words == "about to die"
    assert found["raises"].reason == "AssertionError: page 7 came back wrong"
    assert "Traceback" in found["raises"].last_words
    assert "does not declare" in found["undeclared"].reason
    # After two failures in a row a case is given up.
    assert sorted(row.round for row in result.failures) == [1, 1, 1, 2, 2, 2]


def test_answers_of_another_version_are_failures(tmp_path: Path) -> None:
    result = measured(tmp_path, "behaves", "newer")
    assert len(result.measurements) == 2
    assert {row.reason for row in result.failures} == {
        "its answer is of another version: this build has no figure newer"
    }


def test_variants_are_interleaved_and_each_has_its_file(tmp_path: Path) -> None:
    paths = {tmp_path / f"{name}.json": name for name in ("one", "two")}
    variants = {path: variant(tmp_path, name, RATE=f"{len(name)}") for path, name in paths.items()}
    run = Run([configuration("environment", rounds=3)], variants, 1, 60)
    run.start()
    run.measure(nothing)
    one, two = (load_result(path) for path in paths)
    assert one.session == two.session
    assert one.name == "one"
    assert one.variables["RATE"] == "3"
    for number in (1, 2, 3):
        orders = [row.order for r in (one, two) for row in r.measurements if row.round == number]
        assert sorted(orders) == [2 * number - 1, 2 * number]
    # The seed is the round's, so both were given the same work.
    assert [r.samples["rate_pages_s"] for r in one.measurements] == [
        r.samples["rate_pages_s"] for r in two.measurements
    ]


def test_what_was_measured_before_an_interruption_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    run = Run([configuration("behaves", rounds=5)], {path: variant(tmp_path)}, 1, 60)
    run.start()

    def interrupt(step: Step) -> None:
        if step.round == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.measure(interrupt)
    result = load_result(path)
    assert not result.complete
    assert [row.round for row in result.measurements] == [1, 2]


def test_the_file_is_there_after_each_round_and_not_complete(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    run = Run([configuration("behaves", rounds=2)], {path: variant(tmp_path)}, 1, 60)
    run.start()
    seen = []

    def look(step: Step) -> None:
        if step.round == 2:
            seen.append(load_result(path))

    run.measure(look)
    assert [(len(one.measurements), one.complete) for one in seen] == [(1, False)]


def test_a_variant_that_does_not_run_is_refused_before_anything_is_measured() -> None:
    with pytest.raises(BenchError, match=r"variant a does not run: .*accepted is one of: auto"):
        describe(Variant("a", variables={"ZCACHE_BACKEND": "rust"}))


def test_a_variant_made_of_parts_of_two_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ramster").mkdir()
    (tmp_path / "ramster" / "__init__.py").write_text("")
    old = Variant("old", variables={"PYTHONPATH": str(tmp_path)})
    with pytest.raises(BenchError, match=r"does not run: .*(another installation|No module named)"):
        describe(old)
