"""A short run of chaos, and its two scripted scenarios, small; see ``tests/chaos``."""

from __future__ import annotations

import docker
import pytest

from tests.chaos.fleet import FleetPlan
from tests.chaos.kill_during_read import kill_during_read, plan_for
from tests.chaos.report import as_text
from tests.chaos.run import ChaosPlan, Outcome, run_chaos
from tests.chaos.schedule import one_by_one, schedule

pytestmark = [pytest.mark.container, pytest.mark.timeout(420, func_only=True)]

SEED = 155
"""One whose faults are short."""


def small(replicas: int) -> FleetPlan:
    return FleetPlan(replicas=replicas, pool_mib=16, region_mib=80, lender_pool_mib=64)


def assert_nothing_found(outcome: Outcome) -> None:
    assert not outcome.findings, as_text(outcome)
    assert outcome.figures.count("read") > 1000


def test_with_one_copy_faults_cost_what_they_explain(
    engine: docker.DockerClient, image: str
) -> None:
    kinds = ("kill", "pause", "cut")
    plan = ChaosPlan(seed=SEED, fleet=small(1), faults=schedule(SEED, kinds), faults_max=3)
    outcome = run_chaos(engine, image, plan)
    assert_nothing_found(outcome)
    assert {record.kind for record in outcome.timeline.faults} == set(kinds)
    assert outcome.figures.pages_explained > 0


def test_with_two_copies_one_fault_at_a_time_costs_nothing(
    engine: docker.DockerClient, image: str
) -> None:
    kinds = ("kill", "pause", "cut", "restart", "squeeze", "owner-pause")
    plan = ChaosPlan(seed=SEED, fleet=small(2), faults=schedule(SEED, kinds), faults_max=6)
    outcome = run_chaos(engine, image, plan)
    assert_nothing_found(outcome)
    assert {record.kind for record in outcome.timeline.faults} == set(kinds)
    assert not outcome.figures.errors


def test_a_lender_killed_in_the_middle_of_a_read_costs_no_error(
    engine: docker.DockerClient, image: str
) -> None:
    outcome = kill_during_read(engine, image, SEED, plan_for(0.25, 2, {}))
    assert_nothing_found(outcome)
    assert outcome.notes["read_mib"] == 256
    assert outcome.notes["failed_pages"] == 0


def test_lenders_restarted_one_by_one_lose_nothing_of_one_copy(
    engine: docker.DockerClient, image: str
) -> None:
    plan = ChaosPlan(seed=SEED, fleet=small(1), faults=one_by_one())
    outcome = run_chaos(engine, image, plan)
    assert_nothing_found(outcome)
    assert len(outcome.timeline.faults) == 4
    assert not outcome.figures.errors
