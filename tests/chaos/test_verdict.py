"""Which failed reads a fault explains, and which fault was in force when."""

from __future__ import annotations

import pytest

from tests.chaos.timeline import CALM, FaultRecord, Timeline
from tests.chaos.verdict import Findings, explanation


def after(kind: str, *, lost_lease: bool = True) -> Timeline:
    """One fault from 10 to 20 s."""
    timeline = Timeline()
    timeline.faults.append(
        FaultRecord(1, kind, "b", 10.0, healed=15.0, whole=20.0, lost_lease=lost_lease)
    )
    return timeline


def explained(timeline: Timeline, *, settled_at: float, start: float, replicas: int = 1) -> bool:
    found = explanation(timeline, replicas, settled_at=settled_at, start=start, end=start + 1)
    return found is not None


def test_a_read_before_any_fault_is_not_explained() -> None:
    assert not explained(Timeline(), settled_at=1.0, start=2.0)
    assert not explained(after("kill"), settled_at=1.0, start=2.0)


@pytest.mark.parametrize("kind", ["kill", "pause", "cut"])
def test_a_page_that_was_there_may_be_lost_until_it_is_written_again(kind: str) -> None:
    assert explained(after(kind), settled_at=1.0, start=12.0)
    assert explained(after(kind), settled_at=1.0, start=100.0)
    assert explained(after(kind), settled_at=19.0, start=100.0)
    assert not explained(after(kind), settled_at=21.0, start=100.0)


@pytest.mark.parametrize("kind", ["pause", "cut"])
def test_a_lender_that_kept_its_lease_has_lost_nothing(kind: str) -> None:
    timeline = after(kind, lost_lease=False)
    assert explained(timeline, settled_at=1.0, start=19.0)
    assert not explained(timeline, settled_at=1.0, start=21.0)


@pytest.mark.parametrize("kind", ["restart", "rolling", "squeeze", "owner-pause"])
def test_what_is_done_in_order_explains_nothing(kind: str) -> None:
    assert not explained(after(kind), settled_at=1.0, start=12.0)
    assert not explained(after(kind), settled_at=1.0, start=100.0)


def test_with_two_copies_nothing_is_explained() -> None:
    assert not explained(after("kill"), settled_at=1.0, start=12.0, replicas=2)


def test_a_fault_is_in_force_until_the_cluster_is_whole() -> None:
    timeline = after("cut")
    assert timeline.in_force(1.0, 9.0) == CALM
    assert timeline.in_force(9.0, 11.0) == "cut"
    assert timeline.in_force(19.0, 30.0) == "cut"
    assert timeline.in_force(21.0, 30.0) == CALM
    timeline.faults[0].whole = None
    assert timeline.in_force(21.0, 30.0) == "cut"


def test_findings_are_counted_and_the_first_ones_kept() -> None:
    findings = Findings()
    assert not findings
    for number in range(100):
        findings.add("wrong bytes", f"page {number}")
    assert findings
    assert findings.counts == {"wrong bytes": 100}
    assert findings.texts[0] == "wrong bytes: page 0"
    assert len(findings.texts) < 100
