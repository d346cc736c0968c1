"""What explains that a page is lost.

Covers: whether a fault explains it for every copy that the page's stub names. Does not cover: the
faults on record (``troubles.py``), where copies are (``audit.py``), runs in which nothing may be
lost at all (``world.py``).
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.simulation import audit
from tests.simulation.node import SimulatedNode
from tests.simulation.troubles import Troubles

RECOVERY_S = 2.5
"""Within this time after a fault all that it kept from happening has happened, or was tried
again: a pause between two tries, a hello that waits for its deadline, and a heartbeat, by the
slowest clock, with a margin."""

EXPIRY_S = 0.96
"""A lease ends for no shorter trouble than this; calls that were sent before it count from when
they were sent."""

GAP_S = 0.8
"""Two troubles with less between them count as one: no word may have come through."""


PAUSES = ("pause", "suspension")
"""What a fault is called in which a node stands still."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """A page that a get could not have."""

    handle: audit.Handle
    where: int
    """Its word when the get began; 0 if it was not away."""
    stored_at: float
    began: float
    changed: bool
    """It was put or flushed meanwhile."""
    out_of_time: bool
    """The get took as long as it may: it may have waited where the page no longer is."""
    reason: str


class Explanations:
    """What the faults of a run explain. ``disk_troubles``: those of disks, by their node."""

    def __init__(
        self, nodes: dict[str, SimulatedNode], troubles: Troubles, disk_troubles: Troubles
    ) -> None:
        self._nodes = nodes
        self._troubles = troubles
        self._disk_troubles = disk_troubles

    def missing(self, node: SimulatedNode, loss: Loss) -> str | None:
        """Why a loss makes no sense; None if every copy has a reason."""
        pool, object_id, index = loss.handle
        away = audit.pages_away(node, pool, object_id, [index])
        if not away or away[0].where != loss.where:
            # It was brought home, moved or changed after a holder could not be asked.
            explained = loss.changed or self._any_trouble(node, loss)
            return None if explained else "it has moved, and nothing was wrong"
        page = away[0]
        if page.place.disk:
            unexplained = self._unreadable(node, page, loss)
            if unexplained is not None:
                return f"{page}: {unexplained}"
        for copy in page.copies:
            unexplained = self._unexplained(node, copy, loss)
            if unexplained is not None:
                return f"{copy}: {unexplained}"
        return None

    def _any_trouble(self, node: SimulatedNode, loss: Loss) -> bool:
        if self._disk_trouble(node, loss):
            return True
        others = [name for name in self._nodes if name != node.name]
        return any(
            self._troubles.between(node.name, other, loss.began - RECOVERY_S)
            or self._nodes[other].liar
            for other in others or [node.name]
        )

    def _disk_trouble(self, node: SimulatedNode, loss: Loss) -> bool:
        return self._disk_troubles.between(node.name, node.name, loss.began) is not None

    def _unreadable(self, node: SimulatedNode, page: audit.Away, loss: Loss) -> str | None:
        """Why it makes no sense that a page cannot be read from the file."""
        if not audit.file_holds(page, node):
            return "the file does not have it"
        if self._disk_trouble(node, loss) or (loss.out_of_time and self._any_trouble(node, loss)):
            return None
        return "it is in the file, and nothing is wrong with the disk"

    def _unexplained(self, node: SimulatedNode, copy: audit.Copy, loss: Loss) -> str | None:
        """Why it makes no sense that a copy cannot be had from its lender."""
        lender = self._nodes[copy.lender.node]
        if not lender.up or lender.cluster.incarnation != copy.lender.incarnation:
            return None
        lie = audit.was_lied_about(copy, lender)
        lease = audit.lease_of(copy.lender, lender)
        if lease is None:
            if self._only_stood_still(node, lender, loss):
                return "its lease ended, and its lender only stood still"
            longest = self._troubles.longest_s(
                node.name, lender.name, since=loss.stored_at - RECOVERY_S, gap_s=GAP_S
            )
            if longest >= EXPIRY_S:
                return None
            return f"its lease ended, and nothing came between for more than {longest:.2f} s"
        if lie == "forget":
            return None
        if not audit.holds(copy, lender, lease):
            return "the lender lives, knows the lease and does not hold it"
        if lie is not None or (loss.out_of_time and self._any_trouble(node, loss)):
            return None
        if self._troubles.between(node.name, lender.name, loss.began - RECOVERY_S) is None:
            return f"{lender.name} holds it, and nothing is between them"
        return None

    def _only_stood_still(self, node: SimulatedNode, lender: SimulatedNode, loss: Loss) -> bool:
        """Whether pauses of the lender are all that came between: leases last as much longer."""
        causes = self._troubles.all_between(
            node.name, lender.name, loss.stored_at - RECOVERY_S - EXPIRY_S
        )
        return all(one.what in PAUSES and one.nodes == (lender.name,) for one in causes)
