"""An event loop in virtual time on which every node has a clock of its own and can be paused.

Covers: time that runs at another rate for some tasks, and stopping all that a node does, as
SIGSTOP does. Does not cover: what a node is (``node.py``).

A *life* is one run of a node's process. All that it does - tasks, callbacks, timers - carries its
life in a context variable, so the loop knows whose turn a callback is: it asks the life's clock for
the time, turns its timers into the loop's own time, and keeps its callbacks back while it is
paused. The code of a node runs unchanged, ``asyncio.timeout`` included.

Each pass of the loop takes ``PASS_S``, so no task can spin without time going on.
"""

from __future__ import annotations

import asyncio
import contextvars
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from tests.support.virtual_time import DeadlockError, JumpingSelector, VirtualTimeLoop

T = TypeVar("T")

PASS_S = 1e-6
"""What one pass of the loop costs."""

PASSES_MAX = 5_000_000
"""A run that takes more passes hangs; they take 50 to 200 thousand."""

_EARLY_S = 1e-9
"""A timer that fires this much before its time is not early: clocks are rounded."""

LIFE: contextvars.ContextVar[Life | None] = contextvars.ContextVar("life", default=None)


class Life:
    """One run of a node's process: its clock, and whether it is paused.

    ``rate``: seconds of its clock in a true second. ``start_s``: what its clock shows at first.
    """

    def __init__(
        self, loop: SimulationLoop, name: str, *, rate: float = 1.0, start_s: float = 0.0
    ) -> None:
        self.name = name
        self.context = contextvars.Context()
        self.context.run(LIFE.set, self)
        self.paused = False
        self.paused_s = 0.0
        """Seconds of its own clock that passed while it was paused."""
        self._loop = loop
        self._rate = rate
        self._start_s = start_s
        self._began_at = loop.true_time
        self._paused_at = 0.0
        self._held: list[_Step] = []

    def now(self) -> float:
        """What its clock shows."""
        return self._start_s + (self._loop.true_time - self._began_at) * self._rate

    def true_at(self, local: float) -> float:
        """The loop's time at which its clock will show ``local``, if it is not frozen till then."""
        return self._began_at + (local - self._start_s) / self._rate

    def pause(self) -> None:
        """Nothing of it runs from now on."""
        assert not self.paused, f"{self.name} is paused already"
        self.paused = True
        self._paused_at = self._loop.true_time

    def resume(self, *, frozen: bool = False) -> None:
        """All that came due runs now, in its order. ``frozen``: its clock stood still meanwhile,
        as that of a suspended machine may; else it went on, as for a stopped process.
        """
        if not self.paused:
            return
        self.paused = False
        duration = self._loop.true_time - self._paused_at
        if frozen:
            self._began_at += duration
        else:
            self.paused_s += duration * self._rate
        held, self._held = self._held, []
        for step in held:
            self._loop.again(step)

    def hold(self, step: _Step) -> None:
        """Keep a callback for when the life goes on."""
        self._held.append(step)


class _Step:
    """A callback or a timer of a life."""

    __slots__ = ("args", "callback", "context", "handle", "life", "when")

    handle: asyncio.Handle

    def __init__(
        self,
        life: Life,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        context: contextvars.Context,
        when: float | None,
    ) -> None:
        self.life = life
        self.callback = callback
        self.args = args
        self.context = context
        self.when = when

    def __call__(self) -> None:
        life = self.life
        if life.paused:
            life.hold(self)
        elif self.handle.cancelled():
            return  # while it was held
        elif self.when is not None and life.now() < self.when - _EARLY_S:
            life._loop.later(self)  # the life's clock stood still for a while
        else:
            self.callback(*self.args)


class _TimelessSelector(JumpingSelector):
    """Waits for nothing and looks at no socket: there is none on this loop."""

    passes = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise DeadlockError("nothing is ready and no timer is set")
        self.passes += 1
        if self.passes > PASSES_MAX:
            raise DeadlockError(f"no end after {PASSES_MAX} passes of the event loop")
        self.jump(max(timeout, PASS_S))
        return []


class SimulationLoop(VirtualTimeLoop):
    """Virtual time, a clock for each life."""

    selector_class = _TimelessSelector

    @property
    def true_time(self) -> float:
        """The simulation's own time, whoever asks."""
        return self._now

    def time(self) -> float:
        """The time by the clock of whoever asks."""
        life = LIFE.get()
        return self._now if life is None else life.now()

    def call_soon(  # type: ignore[override] # typeshed ties the arguments to the callback
        self,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        life = LIFE.get() if context is None else context.get(LIFE)
        if life is None:
            return super().call_soon(callback, *args, context=context)
        context = contextvars.copy_context() if context is None else context
        step = _Step(life, callback, args, context, None)
        step.handle = super().call_soon(step, context=context)
        return step.handle

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        life = LIFE.get() if context is None else context.get(LIFE)
        if life is None:
            return super().call_at(when, callback, *args, context=context)
        context = contextvars.copy_context() if context is None else context
        step = _Step(life, callback, args, context, when)
        handle = super().call_at(life.true_at(when), step, context=context)
        step.handle = handle
        return handle

    def again(self, step: _Step) -> None:
        """Run a held callback now; cancelling its first handle still cancels it."""
        super().call_soon(step, context=step.context)

    def later(self, step: _Step) -> None:
        """Run a timer that came early when its time has come."""
        assert step.when is not None
        super().call_at(step.life.true_at(step.when), step, context=step.context)


def simulation_loop() -> SimulationLoop:
    """The loop that the caller runs on."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SimulationLoop)
    return loop


async def _end_others() -> None:
    """Cancel all tasks but this one, those included that others start at their end."""
    while others := asyncio.all_tasks() - {asyncio.current_task()}:
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


def simulate(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on a new simulation loop, like ``asyncio.run``; leaves no task behind."""
    with asyncio.Runner(loop_factory=SimulationLoop) as runner:
        try:
            return runner.run(work)
        finally:
            runner.run(_end_others())
