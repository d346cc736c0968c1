"""Workloads that behave and misbehave, known to measuring processes that ``variant`` starts."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from ramster.bench.configurations import WORKLOADS
from ramster.bench.model import (
    Better,
    Case,
    Configuration,
    Context,
    Figure,
    Samples,
    Subject,
    Workload,
    WorkloadUnavailable,
)
from ramster.bench.variants import Variant
from ramster.demo.nodes import NodeProcess

ROOT = Path(__file__).parents[2]
FIGURES = (
    Figure("rate_pages_s", "pages/s", Better.HIGHER, "A rate."),
    Figure("seed", "", Better.LOWER, "The seed it was given."),
)


def _behaves(context: Context) -> Samples:
    print("a workload may print what it likes")
    (context.scratch / "file").write_bytes(bytes(context.pages(100, least=1)))
    return {"rate_pages_s": [100.0, 102], "seed": context.seed}


def _raises(context: Context) -> Samples:
    raise AssertionError("page 7 came back wrong")


def _dies(context: Context) -> Samples:
    print("about to die", flush=True)
    os.kill(os.getpid(), 11)
    return {}


def _hangs(context: Context) -> Samples:
    """Starts a process and waits for it for ever; ``pids`` names the file for both pids."""
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"]) as started:
        _tell_pids(context, os.getpid(), started.pid)
        started.wait()
    return {}


def _tell_pids(context: Context, *pids: int) -> None:
    Path(str(context.parameters["pids"])).write_text(" ".join(map(str, pids)) + "\n")


class _Stubborn(NodeProcess):
    program = (
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "print(': ready now=1', file=sys.stderr, flush=True); signal.sigtimedwait([], 120)"
    )


def _has_nodes(context: Context) -> Samples:
    """Starts a node and one that ignores SIGTERM; ``pids`` names the file for both pids. Then it
    dies, or waits for ever, as ``then`` says."""

    async def run() -> None:
        async with NodeProcess("node", "--http", "off") as node, _Stubborn("stubborn") as stubborn:
            _tell_pids(context, node.pid, stubborn.pid)
            if context.parameters["then"] == "dies":
                os.kill(os.getpid(), 11)
            await asyncio.Event().wait()

    asyncio.run(run())
    return {}


def _missing(context: Context) -> Samples:
    raise WorkloadUnavailable("there is no such program: apt-get install it")


def _undeclared(context: Context) -> Samples:
    return {"other": 1}


def _environment(context: Context) -> Samples:
    return {"rate_pages_s": float(os.environ.get("RATE", "1")) * (1 + context.seed % 10 / 100)}


def _newer(context: Context) -> Samples:
    return {"newer": 1.0}


TESTED = {
    name: Workload(name, FIGURES, run)
    for name, run in {
        "behaves": _behaves,
        "raises": _raises,
        "dies": _dies,
        "hangs": _hangs,
        "has-nodes": _has_nodes,
        "missing": _missing,
        "undeclared": _undeclared,
        "environment": _environment,
        "newer": _newer,
    }.items()
}


def configuration(
    *workloads: str, rounds: int = 2, parameters: dict[str, str] | None = None
) -> Configuration:
    """These workloads, each on zcache."""
    cases = tuple(Case(name, Subject.ZCACHE, parameters or {}) for name in workloads)
    return Configuration("tested", "in tests", "For tests.", cases, rounds)


def variant(folder: Path, name: str = "this", **variables: str) -> Variant:
    """Its processes know the workloads above; ``folder`` gets the module that sees to it."""
    (folder / "sitecustomize.py").write_text("import tests.support.bench_workloads\n")
    path = os.pathsep.join([str(folder), str(ROOT)])
    return Variant(name, variables={"PYTHONPATH": path, **variables})


NEWER = Workload("newer", (Figure("newer", "", Better.LOWER, "Of a later version."),), _newer)
"""What a process of another version measures for the workload of this name."""

if "sitecustomize" in sys.modules and "pytest" not in sys.modules:
    WORKLOADS |= {**TESTED, "newer": NEWER}
