"""The registry, and every configuration at a very small scale through the real runner."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from ramster.bench.configurations import _MODULES, CONFIGURATIONS, WORKLOADS
from ramster.bench.model import Configuration
from ramster.bench.plan import narrow
from ramster.bench.results import load_result
from ramster.bench.runner import Run
from ramster.bench.variants import Variant
from tests.support.bench_workloads import ROOT

CONFIGURED = [pytest.param(one, id=name) for name, one in CONFIGURATIONS.items()]


def test_names_are_unique() -> None:
    workloads = [workload.name for row, _ in _MODULES for workload in row]
    configurations = [one.name for _, row in _MODULES for one in row]
    assert len(workloads) == len(set(workloads)) == len(WORKLOADS)
    assert len(configurations) == len(set(configurations)) == len(CONFIGURATIONS)


@pytest.mark.parametrize("workload", WORKLOADS.values(), ids=lambda workload: workload.name)
def test_a_workload_declares_figures_that_can_be_read(workload) -> None:  # type: ignore[no-untyped-def]
    assert workload.figures
    assert len({figure.name for figure in workload.figures}) == len(workload.figures)
    for figure in workload.figures:
        assert re.fullmatch(r"[a-z][a-z0-9_]*", figure.name)
        assert figure.text.endswith("."), figure.name


@pytest.mark.parametrize("configuration", CONFIGURED)
def test_a_configuration_is_described_and_its_cases_exist(configuration: Configuration) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9-]*", configuration.name)
    assert 0 < len(configuration.summary) <= 100
    assert "\n" not in configuration.summary
    assert configuration.text
    assert configuration.rounds >= 5, "fewer rounds show no difference"
    keys = [case.key for case in configuration.cases]
    assert keys
    assert len(set(keys)) == len(keys)
    assert {case.workload for case in configuration.cases} <= WORKLOADS.keys()


def test_the_table_of_the_document_is_the_registry() -> None:
    text = (ROOT / "docs" / "bench.md").read_text()
    table = text.partition("\n## Configurations\n")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    assert rows == [f"| `{one.name}` | {one.summary} |" for one in CONFIGURATIONS.values()]


@pytest.mark.parametrize("configuration", CONFIGURED)
def test_a_configuration_runs(configuration: Configuration, tmp_path: Path) -> None:
    """One case of each workload on each subject, once, as small as it goes. Cases that this machine
    cannot run are named; where it can run none, the test is skipped."""
    path = tmp_path / "result.json"
    each = {(case.workload, case.subject): case for case in reversed(configuration.cases)}
    configuration = replace(configuration, cases=tuple(each.values()))
    small = narrow([configuration], rounds=1, scale=0.002)
    run = Run(small, {path: Variant("this", variables={"PYTHONPATH": str(ROOT)})}, 1, 60)
    run.start()
    run.measure(lambda step: None)
    result = load_result(path)
    assert result.failures == []
    assert len(result.measurements) + len(result.skipped) == len(configuration.cases)
    reasons = {skip.reason for skip in result.skipped}
    print("\n".join(sorted(f"{skip.case}: {skip.reason}" for skip in result.skipped)))
    assert all(reasons), "a case was skipped without a reason"
    if not result.measurements:
        pytest.skip("; ".join(sorted(reasons)))
