"""An event loop on which waiting takes no time.

When nothing is ready to run, the clock jumps to the next timer. A run is then as fast as its work,
and the same seed gives the same run: nothing depends on how fast the machine is.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class DeadlockError(Exception):
    """Every task waits for something that no task and no timer will bring."""


class JumpingSelector(selectors.SelectSelector):
    """A selector that does not wait: it hands the time it should have waited to the loop."""

    jump: Callable[[float], None]

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise DeadlockError("nothing is ready and no timer is set")
        if not ready and timeout is not None and timeout > 0:
            self.jump(timeout)
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose ``time`` moves only when all tasks wait."""

    selector_class: type[JumpingSelector] = JumpingSelector

    def __init__(self, start_s: float = 1000.0) -> None:
        self._now = start_s
        selector = self.selector_class()
        selector.jump = self._jump
        super().__init__(selector)
        self._clock_resolution = 1e-9

    def time(self) -> float:
        return self._now

    def _jump(self, seconds: float) -> None:
        self._now += seconds


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in virtual time, like ``asyncio.run``."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(work)


async def until(
    condition: Callable[[], object], *, within_s: float = 600.0, every_s: float = 0.01
) -> None:
    """Wait, in virtual time, until the condition holds. Raises AssertionError if it does not in
    time.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    while not condition():
        assert loop.time() < deadline, f"not so within {within_s} s: {condition}"
        await asyncio.sleep(every_s)
