"""A lender is killed in the middle of a long read; what the reader notices.

Covers: an owner and two lenders, so many GiB written once, then read in order; half-way one lender
gets SIGKILL and stays away. Does not cover: anything random (``run.py``).
"""

from __future__ import annotations

import threading
import time

import docker

from tests.chaos.contents import PAGE_BYTES
from tests.chaos.fleet import DISK, MIB, Fleet, FleetPlan
from tests.chaos.model import RegionModel
from tests.chaos.run import Outcome, printer, wait_whole
from tests.chaos.timeline import Timeline
from tests.chaos.verdict import Findings
from tests.chaos.workload import Rules, Workload

__all__ = ["kill_during_read", "plan_for"]

_LENDERS = ("b", "c")
_READ_S = 3600.0
_POLL_S = 0.02


def plan_for(gib: float, replicas: int, settings: dict[str, str]) -> FleetPlan:
    """Nodes whose lenders hold a copy of everything each."""
    region_mib = int(gib * 1024)
    return FleetPlan(
        replicas=replicas,
        lenders=_LENDERS,
        pool_mib=max(32, region_mib // 16),
        # The contents take a little more than half of their size; watermark and zspages on top.
        lender_pool_mib=64 + int(region_mib * 0.75),
        region_mib=region_mib,
        settings=settings,
    )


def kill_during_read(
    engine: docker.DockerClient, image: str, seed: int, plan: FleetPlan
) -> Outcome:
    """Run it; the outcome's notes are the figures of the read."""
    timeline, findings = Timeline(), Findings()
    say = printer(timeline)
    model = RegionModel(seed, plan.region_mib * MIB // PAGE_BYTES)
    rules = Rules(timeline, findings, plan.replicas)
    with (
        Fleet(engine, image, plan, findings) as fleet,
        Workload(lambda: fleet.owner.nbd_url, DISK, model, rules) as workload,
    ):
        outcome = Outcome(seed, plan.replicas, timeline, findings, workload.figures, fleet.memory)
        if wait_whole(fleet, say):
            say(f"writing {plan.region_mib} MiB")
            workload.write_all(_READ_S)
        if not findings and wait_whole(fleet, say):
            _read_and_kill(fleet, workload, timeline, outcome)
        fleet.look_after()
        fleet.check_memory()
        outcome.seconds = timeline.at(time.monotonic())
    return outcome


def _read_and_kill(fleet: Fleet, workload: Workload, timeline: Timeline, outcome: Outcome) -> None:
    say = printer(timeline)
    victim = _LENDERS[0]
    view = fleet.view(victim)
    there = 0 if view is None else view.pages_away
    say("reading in order")
    start = time.monotonic()
    reading = workload.begin_read_all()
    clock = threading.Event()
    half = workload.model.pages * PAGE_BYTES // 2
    while not reading.done() and workload.figures.bytes["read"] < half:
        clock.wait(_POLL_S)
    record = timeline.begin("kill", victim)
    record.details["pages_there"] = there
    before = workload.figures.bytes["read"] / MIB
    say(f"kill {victim} after {before:.0f} MiB, {there} pages there")
    fleet.look_after()
    fleet.struck.add(victim)
    fleet.node(victim).kill()
    reading.result(_READ_S)
    end = time.monotonic()
    stalls = [s for (kind, _), s in workload.figures.longest.items() if kind == "read"]
    outcome.notes.update(
        {
            "read_mib": workload.figures.bytes["read"] / MIB,
            "seconds": round(end - start, 2),
            "mib_per_s_before_the_kill": round(before / (record.began - start), 1),
            "mib_per_s_after_it": round(
                (workload.figures.bytes["read"] / MIB - before) / (end - record.began), 1
            ),
            "longest_stall_s": round(max(stall.seconds for stall in stalls), 3),
            "failed_pages": len(workload.figures.pages_failed),
        }
    )
