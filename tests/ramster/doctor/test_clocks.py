"""Clocks: the kernel's words, and jumps of a clock that a test moves."""

from __future__ import annotations

from pathlib import Path

import pytest

from ramster.doctor.clocks import (
    check_jumps,
    check_source,
    check_synchronised,
    jump_of,
    kernel_says_unsynced,
)
from ramster.doctor.findings import Status
from tests.support.machine_tree import make_machine

FOLDER = "sys/devices/system/clocksource/clocksource0"


@pytest.mark.parametrize(
    ("source", "status"), [("tsc", Status.OK), ("hpet", Status.NOTE), (None, Status.UNKNOWN)]
)
def test_a_slow_source_is_noted(tmp_path: Path, source: str | None, status: Status) -> None:
    files = {} if source is None else {f"{FOLDER}/current_clocksource": source}
    assert check_source(make_machine(tmp_path, files)).status is status


@pytest.mark.parametrize(
    ("unsynced", "status"), [(False, Status.OK), (True, Status.NOTE), (None, Status.UNKNOWN)]
)
def test_the_kernels_word(unsynced: bool | None, status: Status) -> None:
    assert check_synchronised(unsynced).status is status


def test_this_kernel_answers_or_is_not_asked() -> None:
    assert kernel_says_unsynced() in (True, False, None)


class HandClocks:
    """Two clocks; each look and each wait moves both, and the time of day may be set."""

    def __init__(self, jump_s: float, at_s: float) -> None:
        self.now = 100.0
        self.jump_s, self.at_s = jump_s, at_s

    def monotonic(self) -> float:
        self.now += 1e-6
        return self.now

    def realtime(self) -> float:
        self.now += 1e-6
        return 1.7e9 + self.now + (self.jump_s if self.now > 100.0 + self.at_s else 0.0)

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def jump(self) -> float:
        return jump_of(0.3, monotonic=self.monotonic, realtime=self.realtime, wait=self.wait)


@pytest.mark.parametrize("jump_s", [-3600.0, -0.02, 0.02, 1.0])
def test_a_jump_is_seen_with_its_sign_and_size(jump_s: float) -> None:
    seen = HandClocks(jump_s, 0.1).jump()
    assert seen == pytest.approx(jump_s, abs=1e-4)
    found = check_jumps(seen)
    assert found.status is Status.NOTE
    assert f"{seen:+.3f} s" in found.found


def test_clocks_that_go_together_are_in_order() -> None:
    assert check_jumps(HandClocks(0.0, 0.1).jump()).status is Status.OK


def test_a_pause_between_two_looks_is_no_jump() -> None:
    clocks = HandClocks(0.0, 0.1)
    looks = 0
    look = clocks.realtime

    def slow() -> float:
        nonlocal looks
        looks += 1
        if looks == 20:
            clocks.now += 0.05
        return look()

    clocks.realtime = slow  # type: ignore[method-assign]
    assert check_jumps(clocks.jump()).status is Status.OK
