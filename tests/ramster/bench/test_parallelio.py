"""The workload on real targets, tiny."""

from __future__ import annotations

from pathlib import Path

import pytest

from ramster.bench.model import Context, Subject
from ramster.bench.parallelio import CONFIGURATIONS, WORKLOADS

(PARALLELIO,) = WORKLOADS


@pytest.mark.parametrize(
    ("way", "subject", "ratio", "full"),
    [
        ("api", "nothing", 2.5, True),
        ("api", "zcache", 2.5, False),
        ("api", "ramster-alone", 2.5, False),
        ("api", "ramster", 1.3, False),
        ("nbd", "nothing", 2.5, True),
        ("nbd", "zcache", 2.5, False),
        ("nbd", "ramster", 1.3, False),
    ],
)
def test_each_step_has_its_figures_and_only_full_memory_refuses(
    way: str, subject: str, ratio: float, full: bool, tmp_path: Path
) -> None:
    context = Context(Subject(subject), {"way": way, "ratio": ratio}, 0.02, 1, tmp_path)
    samples = PARALLELIO.run(context)
    assert samples.keys() == {figure.name for figure in PARALLELIO.figures}
    assert samples["refusals_0"] == samples["refusals_10"] == 0
    assert (samples["refusals_80"] != 0) == full
    assert (samples["out_pages_80"] != 0) == (subject == "ramster")
    assert all(samples[f"ops_s_{step}"] for step in (0, 10, 40, 80))


def test_every_case_is_of_its_workload() -> None:
    (configuration,) = CONFIGURATIONS
    assert {case.workload for case in configuration.cases} == {PARALLELIO.name}
    assert len({case.key for case in configuration.cases}) == len(configuration.cases) == 16
