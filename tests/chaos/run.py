"""One run of chaos: nodes, workload, faults one after the other, and what was found.

Covers: the order of things and their time limits. Does not cover: how the outcome is shown
(``report.py``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice

import docker

from tests.chaos.contents import PAGE_BYTES
from tests.chaos.faults import Faults
from tests.chaos.figures import RequestFigures
from tests.chaos.fleet import DISK, MIB, Fleet, FleetPlan, NodeMemory
from tests.chaos.model import RegionModel
from tests.chaos.schedule import PlannedFault
from tests.chaos.timeline import Timeline
from tests.chaos.verdict import Findings
from tests.chaos.workload import Rules, Workload

__all__ = ["ChaosPlan", "Outcome", "run_chaos"]

WHOLE_S = 120.0
"""How long a cluster may take to be whole again."""
_FINDINGS_MAX = 1000
"""No more faults after this many: the rest would tell nothing new."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChaosPlan:
    """What a run does."""

    seed: int
    fleet: FleetPlan
    faults: Iterable[PlannedFault]
    """Taken until they or the minutes are over."""
    minutes: float = 10.0
    faults_max: int | None = None
    connections: int = 4
    depth: int = 3
    """Requests under way on each connection."""


@dataclass
class Outcome:
    """What a run found."""

    seed: int
    replicas: int
    timeline: Timeline
    findings: Findings
    figures: RequestFigures
    memory: dict[str, NodeMemory]
    seconds: float = 0.0
    notes: dict[str, float] = field(default_factory=dict)
    """Figures of a scripted scenario."""


def printer(timeline: Timeline) -> Callable[[str], None]:
    """Prints lines that begin with the seconds of the run."""

    def say(text: str) -> None:
        print(f"[{timeline.at(time.monotonic()):7.1f} s] {text}", flush=True)

    return say


def run_chaos(engine: docker.DockerClient, image: str, plan: ChaosPlan) -> Outcome:
    """Run it; everything that was started is gone on return, also when this raises."""
    timeline, findings = Timeline(), Findings()
    say = printer(timeline)
    model = RegionModel(plan.seed, plan.fleet.region_mib * MIB // PAGE_BYTES)
    rules = Rules(timeline, findings, plan.fleet.replicas)
    say(f"seed {plan.seed}, replicas {plan.fleet.replicas}: starting the nodes")
    with (
        Fleet(engine, image, plan.fleet, findings) as fleet,
        Workload(
            lambda: fleet.owner.nbd_url,
            DISK,
            model,
            rules,
            connections=plan.connections,
            depth=plan.depth,
        ) as workload,
    ):
        outcome = Outcome(
            plan.seed, plan.fleet.replicas, timeline, findings, workload.figures, fleet.memory
        )
        if wait_whole(fleet, say):
            say(f"writing {plan.fleet.region_mib} MiB")
            workload.write_all()
            workload.start_mix()
            _make_faults(plan, fleet, Faults(fleet, timeline, say), workload, say)
            workload.stop_mix()
            say("reading every page")
            workload.read_all()
        fleet.look_after()
        fleet.check_memory()
        outcome.seconds = timeline.at(time.monotonic())
        say("removing the nodes")
    return outcome


def wait_whole(fleet: Fleet, say: Callable[[str], None]) -> bool:
    """Wait until the cluster is whole; a finding if that takes too long."""
    start = time.monotonic()
    if fleet.wait_whole(WHOLE_S):
        say(f"whole after {time.monotonic() - start:.1f} s")
        return True
    seen = {name: fleet.view(name) for name in fleet.plan.lenders}
    fleet.findings.add("not whole", f"within {WHOLE_S} s; {seen}")
    return False


def _make_faults(
    plan: ChaosPlan,
    fleet: Fleet,
    faults: Faults,
    workload: Workload,
    say: Callable[[str], None],
) -> None:
    end = time.monotonic() + plan.minutes * 60
    fleet.hold(2.0)
    for planned in islice(plan.faults, plan.faults_max):
        if time.monotonic() > end or not workload.mix_is_running():
            return
        record = faults.strike(planned)
        if not wait_whole(fleet, say):
            return
        faults.settle(record)
        if sum(fleet.findings.counts.values()) > _FINDINGS_MAX:
            return
        fleet.hold(planned.calm_s)
