"""The last minutes of a node: samples, rates, bounds."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
from itertools import pairwise
from typing import Any

from ramster.config import Mode
from ramster.figures import Figures
from ramster.history import COLUMNS, INTERVAL_S, PAUSE_MAX_S, SAMPLES_MAX, History
from tests.ramster.test_figures import CLUSTER, collected


class Timeline:
    """A clock that jumps over waits and ends after a number of them; figures that change."""

    def __init__(
        self, waits: int, *, cost_s: float = 0.0, wait_s: float = 0.0, late_s: float = 0.0
    ) -> None:
        self.time = 100.0
        self.spent = 5.0
        self.pauses: list[float] = []
        self.figures: Any = copy.deepcopy(collected(Mode.RAMSTER, CLUSTER))
        self._waits = waits
        self._cost_s = cost_s
        self._wait_s = wait_s
        self._late_s = late_s

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.time += seconds + self._late_s
        if len(self.pauses) > self._waits:
            raise asyncio.CancelledError

    def look(self) -> Figures:
        self.time += self._cost_s + self._wait_s
        self.spent += self._cost_s
        self.figures["uptime_s"] = self.time
        self.figures["cache"]["puts"] += 10
        self.figures["cluster"]["spill_bytes"] += 4096
        self.figures["writeback"]["bytes_written"] += 100
        return copy.deepcopy(self.figures)


def sampled(timeline: Timeline) -> list[dict[str, float]]:
    history = History(timeline.look, timeline, lambda: timeline.spent)
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(history.run())
    shown = json.loads(json.dumps(history.as_dict(), allow_nan=False))
    assert shown["columns"] == list(COLUMNS)
    return [dict(zip(COLUMNS, sample, strict=True)) for sample in shown["samples"]]


def test_a_sample_has_gauges_and_the_rates_since_the_one_before() -> None:
    first, second, third = sampled(Timeline(2))
    assert first["puts_per_s"] == 0
    assert second["puts_per_s"] == third["puts_per_s"] == 10 / INTERVAL_S
    assert second["spilled_bytes_per_s"] == 4196 / INTERVAL_S
    assert second["pool_limit_bytes"] == 2**20
    assert second["lost_pages"] == 2
    assert second["uptime_s"] - first["uptime_s"] == INTERVAL_S
    assert second["late_s"] == 0


def test_a_node_that_stood_still_says_for_how_long() -> None:
    first, second = sampled(Timeline(1, late_s=0.75))
    assert (first["late_s"], second["late_s"]) == (0, 0.75)
    assert second["puts_per_s"] == round(10 / (INTERVAL_S + 0.75), 3)


def test_the_last_minutes_are_kept_and_no_more() -> None:
    samples = sampled(Timeline(SAMPLES_MAX + 50))
    assert len(samples) == SAMPLES_MAX
    assert samples[-1]["uptime_s"] - samples[0]["uptime_s"] == (SAMPLES_MAX - 1) * INTERVAL_S
    assert samples[-1]["uptime_s"] == 100 + (SAMPLES_MAX + 50) * INTERVAL_S


def test_samples_that_cost_much_are_rare() -> None:
    timeline = Timeline(5, cost_s=0.01)
    sampled(timeline)
    assert all(9.9 < pause <= 10 for pause in timeline.pauses)


def test_samples_that_had_to_wait_are_as_many_as_others() -> None:
    """The thread was preempted, or its process stopped, in the middle of a sample."""
    timeline = Timeline(5, wait_s=0.02)
    sampled(timeline)
    assert all(INTERVAL_S - 0.1 < pause <= INTERVAL_S for pause in timeline.pauses)


def test_however_much_a_sample_costs_there_is_one_a_minute() -> None:
    timeline = Timeline(5, cost_s=10.0)
    samples = sampled(timeline)
    gaps = [after["uptime_s"] - before["uptime_s"] for before, after in pairwise(samples)]
    assert gaps == [PAUSE_MAX_S] * 5


def test_counters_of_a_part_that_does_not_run_are_zero_and_none_falls_below() -> None:
    timeline = Timeline(1)
    timeline.figures["cluster"] = {"spill_bytes": -10_000}
    timeline.figures["writeback"] = {"bytes_written": 0}
    timeline.figures["accounting"]["resident"] = None
    first, second = sampled(timeline)
    assert first["resident_bytes"] == 0
    assert second["fetched_pages_per_s"] == 0


def test_it_shows_nothing_before_it_runs() -> None:
    timeline = Timeline(0)
    history = History(timeline.look, timeline)
    assert history.as_dict()["samples"] == []
    assert timeline.pauses == []
