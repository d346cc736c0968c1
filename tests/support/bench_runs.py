"""One run of a workload in this process, as small as it goes, and its samples checked.

Covers: every case of a configuration, or those asked for, through ``Workload.run``. Does not cover:
the runner and its processes (tests/ramster/bench/test_configurations.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from ramster.bench.configurations import CONFIGURATIONS, WORKLOADS
from ramster.bench.model import Case, Context, Samples

__all__ = ["cases", "first", "run"]


def cases(configuration: str) -> tuple[Case, ...]:
    """Those of a configuration."""
    return CONFIGURATIONS[configuration].cases


def first(samples: Samples, name: str) -> float:
    """The first sample of a figure."""
    found = samples[name]
    return float(found) if isinstance(found, int | float) else float(found[0])


def run(
    case: Case, scratch: Path, *, scale: float = 0.002, seed: int = 5, **changed: float | str
) -> Samples:
    """Samples, all declared, finite and not negative; every declared figure is there."""
    workload = WORKLOADS[case.workload]
    parameters: Mapping[str, float | str] = {**case.parameters, **changed}
    samples = workload.run(Context(case.subject, parameters, scale, seed, scratch))
    assert samples.keys() == {figure.name for figure in workload.figures}
    for name, value in samples.items():
        for one in [value] if isinstance(value, int | float) else value:
            assert math.isfinite(one), name
            assert one >= 0, name
    return samples
