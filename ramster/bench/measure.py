"""The process in which one case is measured: a request on standard input, an answer on another fd.

Covers: running one workload once, between two calibrations, and its cost to the process. Does not
cover: starting this process and ending it (``children.py``), which case when (``runner.py``).

    python -P -m ramster.bench.measure FD

The request is one line of JSON, the answer JSON on file descriptor FD; what a workload prints goes
nowhere near it. Standard input stays open while the parent lives: at its end this process kills its
group, so that nothing that it started outlives a parent that was killed.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ramster.bench.build import describe_versions, foreign_part
from ramster.bench.calibration import Calibration
from ramster.bench.machine import (
    describe_machine,
    load_average,
    peak_rss_bytes,
    restart_peak,
    steal_s,
)
from ramster.bench.mapped_pages import waited_s
from ramster.bench.model import Context, Samples, Subject, Workload, WorkloadUnavailable

__all__ = ["answer", "checked_samples", "main"]


def main(arguments: Sequence[str]) -> int:
    """Read, measure, answer."""
    request = json.loads(sys.stdin.buffer.readline())
    _end_with_the_parent(request.get("scratch"))
    reply = answer(request)
    with open(int(arguments[0]), "w", encoding="utf-8") as out:
        json.dump(reply, out, allow_nan=False)
    # Threads that a workload left behind do not keep the process.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def answer(request: Mapping[str, Any]) -> dict[str, Any]:
    """To ``{"describe": true}``: what this build is, or ``failed`` where it is parts of several.

    To a case: its samples and what they cost, or ``unavailable`` with the reason, or ``failed``
    with the words of the exception.
    """
    if request.get("describe"):
        if foreign := foreign_part():
            return {"failed": foreign}
        return {"machine": describe_machine(), "versions": describe_versions()}
    from ramster.bench.configurations import WORKLOADS

    workload = WORKLOADS.get(request["workload"])
    if workload is None:
        return {"unavailable": f"this build knows no workload {request['workload']!r}"}
    context = Context(
        Subject(request["subject"]),
        request["parameters"],
        request["scale"],
        request["seed"],
        Path(request["scratch"]),
    )
    try:
        return _measure(workload, context)
    except WorkloadUnavailable as reason:
        return {"unavailable": str(reason)}
    except Exception as error:  # noqa: BLE001  a workload's failure, told; the run goes on
        traceback.print_exc()
        return {"failed": f"{type(error).__name__}: {error}".removesuffix(": ")}


def _measure(workload: Workload, context: Context) -> dict[str, Any]:
    load, stolen, waited = load_average(), steal_s(), waited_s()
    before = Calibration().measure()
    restart_peak()
    cpu, start = time.process_time(), time.perf_counter()
    samples = workload.run(context)
    elapsed, cpu = time.perf_counter() - start, time.process_time() - cpu
    elapsed -= waited_s() - waited
    peak = peak_rss_bytes()
    after = Calibration().measure()
    stolen_after = steal_s()
    return {
        "samples": checked_samples(workload, samples),
        "elapsed_s": elapsed,
        "cpu_s": cpu,
        "peak_rss_bytes": peak,
        "load": load,
        "steal_s": None if stolen is None or stolen_after is None else stolen_after - stolen,
        "calibration": {"before": dict(before), "after": dict(after)},
    }


def checked_samples(workload: Workload, samples: Samples) -> dict[str, list[float]]:
    """Samples as lists. Raises ValueError for figures that the workload does not declare, for none
    at all, and for what is no finite number."""
    known = {figure.name for figure in workload.figures}
    if unknown := samples.keys() - known:
        raise ValueError(f"{workload.name} measured what it does not declare: {sorted(unknown)}")
    found = {}
    for name, values in samples.items():
        row = [float(v) for v in (values if isinstance(values, Sequence) else [values])]
        if not row or not all(map(math.isfinite, row)):
            raise ValueError(f"{workload.name}: {name} has no samples, or what is no number")
        found[name] = row
    if not found:
        raise ValueError(f"{workload.name} measured nothing")
    return found


def _end_with_the_parent(scratch: str | None) -> None:
    def wait() -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 4096):
                pass
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)
        os.killpg(0, signal.SIGKILL)

    if os.getpgid(0) == os.getpid():  # a group of its own, as children.py makes it
        threading.Thread(target=wait, name="parent", daemon=True).start()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
