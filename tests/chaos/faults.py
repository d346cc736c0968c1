"""Making one fault and taking it back, on record.

Covers: the kinds of ``schedule.py``. Does not cover: waiting for the cluster to recover
(``run.py``), the order of faults (``schedule.py``).
"""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.chaos.contents import PAGE_BYTES
from tests.chaos.fleet import DISK, MIB, Fleet
from tests.chaos.schedule import OWNER, PlannedFault
from tests.chaos.squeeze import squeeze
from tests.chaos.timeline import FaultRecord, Timeline
from tests.support.containers import ContainerNode

__all__ = ["Faults"]

_SQUEEZE_SHARE = 0.85
"""Of a lender's pool, what its own pages take in a squeeze; under the high watermark."""


class Faults:
    """Strikes nodes of a fleet, one at a time."""

    def __init__(self, fleet: Fleet, timeline: Timeline, say: Callable[[str], None]) -> None:
        self._fleet = fleet
        self._timeline = timeline
        self._say = say
        self._leases: dict[int, str | None] = {}

    def strike(self, planned: PlannedFault) -> FaultRecord:
        """Make the fault, hold it, take it back. The cluster need not be whole on return."""
        node = self._fleet.node(planned.target)
        acts = {
            "kill": self._kill,
            "pause": self._pause,
            "cut": self._cut,
            "restart": self._restart,
            "squeeze": self._squeeze,
            "rolling": self._restart,
            "owner-pause": self._pause,
        }
        self._fleet.look_after()
        view = None if planned.target == OWNER else self._fleet.view(planned.target)
        record = self._timeline.begin(planned.kind, planned.target)
        if view is not None:
            record.details["pages_there"] = view.pages_away
        self._leases[record.number] = None if view is None else view.lease
        there = "" if view is None else f", {view.pages_away} pages there"
        self._say(f"{planned.kind} {planned.target} for {planned.hold_s} s{there}")
        acts[planned.kind](node, planned, record)
        record.healed = time.monotonic()
        return record

    def settle(self, record: FaultRecord) -> None:
        """The cluster is whole again."""
        if record.target != OWNER:
            before = self._leases[record.number]
            view = self._fleet.view(record.target)
            record.lost_lease = view is None or before is None or view.lease != before
        record.whole = time.monotonic()

    def _kill(self, node: ContainerNode, planned: PlannedFault, record: FaultRecord) -> None:
        self._fleet.struck.add(node.name)
        node.kill()
        self._fleet.hold(planned.hold_s)
        self._start_again(node)

    def _pause(self, node: ContainerNode, planned: PlannedFault, record: FaultRecord) -> None:
        node.pause()
        try:
            self._fleet.hold(planned.hold_s)
        finally:
            node.unpause()

    def _cut(self, node: ContainerNode, planned: PlannedFault, record: FaultRecord) -> None:
        node.cut()
        try:
            self._fleet.hold(planned.hold_s)
        finally:
            node.heal()

    def _restart(self, node: ContainerNode, planned: PlannedFault, record: FaultRecord) -> None:
        self._fleet.struck.add(node.name)
        within_s = self._fleet.plan.drain_s()
        start = time.monotonic()
        code = node.stop(within_s)
        record.details["stopped_in_s"] = round(time.monotonic() - start, 2)
        if code != 0:
            self._fleet.findings.add(
                "stop",
                f"{node.name} was told to stop and ended with exit code {code} "
                f"(137: not within {within_s} s):\n{node.logs()}",
            )
        self._fleet.hold(planned.hold_s)
        self._start_again(node)

    def _start_again(self, node: ContainerNode) -> None:
        try:
            node.start_again()
        except AssertionError as late:
            self._fleet.findings.add("start", f"{node.name} did not come back: {late}")
        self._fleet.struck.discard(node.name)

    def _squeeze(self, node: ContainerNode, planned: PlannedFault, record: FaultRecord) -> None:
        pool = self._fleet.plan.pool_mib_of(node.name) * MIB
        pages = int(_SQUEEZE_SHARE * pool) // PAGE_BYTES
        try:
            figures = squeeze(node.nbd_url, DISK, record.number, pages, planned.hold_s)
        except OSError as error:
            self._fleet.findings.add("squeeze", f"{node.name} failed its own client: {error!r}")
            return
        record.details.update(figures.as_dict())
        if figures.wrong or figures.failed_reads:
            self._fleet.findings.add("squeeze", f"{node.name}'s own pages: {figures.as_dict()}")
