"""The workload on real targets, tiny."""

from __future__ import annotations

from pathlib import Path

import pytest

from ramster.bench.model import Context, Subject
from ramster.bench.swap_stutterp import CONFIGURATIONS, WORKLOADS

(STUTTERP,) = WORKLOADS


@pytest.mark.parametrize(
    ("way", "subject", "times"),
    [
        ("api", "nothing", 0.75),
        ("api", "zcache", 1.5),
        ("api", "ramster-alone", 1.5),
        ("api", "ramster", 3.0),
        ("nbd", "zcache", 1.5),
        ("nbd", "ramster", 3.0),
    ],
)
def test_where_all_fits_every_phase_has_its_latencies(
    way: str, subject: str, times: float, tmp_path: Path
) -> None:
    context = Context(Subject(subject), {"way": way, "hogs_times": times}, 0.02, 1, tmp_path)
    samples = STUTTERP.run(context)
    assert samples.keys() == {figure.name for figure in STUTTERP.figures}
    assert samples["refused_pages"] == 0
    for phase in ("wake", "map", "fault", "unmap"):
        found = [samples[f"{phase}_{name}_us"] for name in ("p50", "p95", "p99", "max")]
        assert found == sorted(found)  # type: ignore[type-var]
    assert samples["hog_pages_s"]


def test_a_program_whose_pages_are_refused_says_so(tmp_path: Path) -> None:
    parameters = {"way": "nbd", "hogs_times": 2.0}
    samples = STUTTERP.run(Context(Subject.NOTHING, parameters, 0.02, 1, tmp_path))
    assert samples["refused_pages"]


def test_every_case_is_of_its_workload() -> None:
    (configuration,) = CONFIGURATIONS
    assert {case.workload for case in configuration.cases} == {STUTTERP.name}
    assert len({case.key for case in configuration.cases}) == len(configuration.cases) == 24
