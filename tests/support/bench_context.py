"""Running one workload of the benchmarks, small.

Covers: its context, and that it measured what it declares; in this process, or in one of its own,
whose memory shows what it stored. Does not cover: the runner.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from ramster.bench.model import Context, Parameter, Subject, Workload

__all__ = ["measured", "measured_apart"]

ROOT = Path(__file__).parents[2]


def measured(
    workload: Workload,
    subject: Subject,
    scratch: Path,
    scale: float = 0.05,
    seed: int = 5,
    **parameters: Parameter,
) -> dict[str, list[float]]:
    """Samples by figure, all of them declared and finite."""
    found = workload.run(Context(subject, parameters, scale, seed, scratch))
    samples = {
        name: [float(v) for v in (values if isinstance(values, Sequence) else [values])]
        for name, values in found.items()
    }
    assert samples.keys() <= {figure.name for figure in workload.figures}
    assert all(values and all(map(math.isfinite, values)) for values in samples.values())
    return samples


def measured_apart(
    workload: Workload,
    subject: Subject,
    scratch: Path,
    scale: float,
    **parameters: Parameter,
) -> dict[str, list[float]]:
    """As ``measured``, in a new process."""
    program = (
        "import json, sys; from pathlib import Path; "
        "from ramster.bench.configurations import WORKLOADS; "
        "from ramster.bench.model import Subject; "
        "from tests.support.bench_context import measured; "
        "name, subject, scratch, scale, parameters = json.loads(sys.argv[1]); "
        "print(json.dumps(measured(WORKLOADS[name], Subject(subject), Path(scratch), scale, "
        "**parameters)))"
    )
    request = json.dumps([workload.name, subject, str(scratch), scale, parameters])
    command = [sys.executable, "-c", program, request]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True)
    found: dict[str, list[float]] = json.loads(done.stdout)
    return found
