"""One run: a seed and a profile, from the first hello to books that agree.

Covers: the order of things, and what a run tells. Does not cover: what is set up and broken
(``profiles``), how often (``runner.py``).
"""

from __future__ import annotations

import asyncio
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.simulation import audit
from tests.simulation.faults import Faults
from tests.simulation.loop import simulate, simulation_loop
from tests.simulation.node import SimulatedNode
from tests.simulation.profiles import PROFILES, Profile
from tests.simulation.world import REST_S, World
from tests.support.virtual_time import until

LEAVE_S = 1.0
"""Copies are gone within this time after their pages or their owner: less than a lease."""

LOOK_S = 0.37
"""Between two looks whether all is at rest; in step with no heartbeat, or they would meet for ever.
"""

LAST_EVENTS = 60
"""Events of a failed run that are shown."""


@dataclass(slots=True)
class Outcome:
    """What became of one run."""

    seed: int
    profile: str
    backend: str = "python"
    """Which implementation of the cache the nodes had."""
    digest: int = 0
    """Of all events, in order."""
    events: int = 0
    messages: int = 0
    losses: int = 0
    refusals: int = 0
    longest_s: dict[str, float] = field(default_factory=dict)
    counted: Counter[str] = field(default_factory=Counter)
    """What all nodes counted over all their lives."""
    failure: str | None = None
    """What was wrong, where it showed."""
    last: list[str] = field(default_factory=list)
    """The last events before a failure."""

    def replay(self) -> str:
        """The command that does it again."""
        words = f"--seed {self.seed} --profile {self.profile}"
        if self.backend != "python":
            words += f" --backend {self.backend}"
        return f"python -m tests.simulation {words} --trace"

    def report(self) -> str:
        """A failure, for people."""
        return "\n".join(
            [
                f"seed {self.seed}, profile {self.profile}: {self.failure}",
                f"the last {len(self.last)} of {self.events} events:",
                *self.last,
                f"again: {self.replay()}",
            ]
        )


def run_seed(seed: int, profile: str, *, backend: str = "python", echo: bool = False) -> Outcome:
    """Run one history and tell what became of it; the same arguments give the same run.

    ``backend``: one of ``BACKENDS``. Broken variants need the Python one, into which they reach.
    """
    outcome = Outcome(seed, profile, backend)
    try:
        simulate(_History(outcome, PROFILES[profile], echo).run())
    except Exception as error:  # noqa: BLE001 - it is what the run tells
        lines = traceback.format_exception_only(error)
        frames = traceback.extract_tb(error.__traceback__)[-4:]
        where = " < ".join(f"{frame.name}:{frame.lineno}" for frame in reversed(frames))
        outcome.failure = f"{''.join(lines).strip()} (in {where})"
    return outcome


class _History:
    """The run itself."""

    def __init__(self, outcome: Outcome, profile: Profile, echo: bool) -> None:
        self._outcome = outcome
        self._profile = profile
        self._echo = echo

    async def run(self) -> None:
        outcome, loop = self._outcome, simulation_loop()
        seed = f"{outcome.profile} {outcome.seed}"
        random = Random(seed)
        world = World(seed, self._profile.set_up(random), backend=outcome.backend, echo=self._echo)
        loop.set_exception_handler(lambda loop, context: _on_stray_error(world, context))
        work = loop.create_task(self._all(world, random))
        try:
            await asyncio.wait((work, world.failed), return_when=asyncio.FIRST_COMPLETED)
            if world.failed.done():
                world.failed.result()
            await work
        finally:
            world.failed.cancel()
            outcome.digest, outcome.events = world.trace.digest, world.trace.events
            outcome.last = world.trace.last(LAST_EVENTS)
            outcome.messages = world.network.messages
            outcome.losses, outcome.refusals = world.losses, world.refusals
            outcome.longest_s = world.longest_s
            for node in world.nodes.values():
                outcome.counted.update(node.counted)
            for node in world.nodes.values():  # what is paused could not be ended
                if node.lives:
                    node.resume()

    async def _all(self, world: World, random: Random) -> None:
        faults = Faults(world, random)
        for node in world.nodes.values():
            await node.start()
            world.begin_programs(node)
        await self._profile.break_things(world, faults, random)
        await faults.end_all()
        world.check()
        await self._come_to_rest(world)
        await world.read_all()
        await self._come_to_rest(world)
        await self._leave(world, faults, random.choice(list(world.nodes.values())))

    async def _leave(self, world: World, faults: Faults, last: SimulatedNode) -> None:
        """All programs but those of one node give their pages up, and that node leaves with them:
        nothing is left anywhere.
        """
        others = [node for node in world.nodes.values() if node is not last]
        for node in others or [last]:
            await world.flush_all(node)
        owners = [(node.name, node.cluster.incarnation) for node in others]
        await self._until(lambda: _kept(others or [last]) + audit.left_of(owners, world.nodes))
        await faults.leave(last)
        await self._until(
            lambda: [
                f"{node.name} holds {pages} pages of others"
                for node in others
                if (pages := node.cache.stats().pages_foreign)
            ]
        )
        for node in others:
            await node.stop()

    async def _until(self, left: Callable[[], list[str]]) -> None:
        """Nothing is left soon."""
        try:
            await until(lambda: not left(), within_s=LEAVE_S, every_s=0.1)
        except AssertionError:
            raise AssertionError(f"left behind after {LEAVE_S:g} s: {left()[:4]}") from None

    async def _come_to_rest(self, world: World) -> None:
        """Liveness: without faults all is well within bounded time."""
        world.resting = True
        try:
            await until(lambda: not world.unrest(), within_s=REST_S, every_s=LOOK_S)
        except AssertionError:
            raise AssertionError(f"no rest within {REST_S:g} s: {world.unrest()[:4]}") from None
        world.check()


def _kept(nodes: list[SimulatedNode]) -> list[str]:
    """What nodes that have no pages any more still have in their files."""
    return [
        f"{node.name} has {file.pages} pages and {file.bytes_used} bytes in its file"
        for node in nodes
        if (file := node.writeback) is not None and (file.pages or file.bytes_used)
    ]


def _on_stray_error(world: World, context: dict[str, Any]) -> None:
    """An error that nobody waits for is the run's."""
    error = context.get("exception")
    if error is not None:
        world.fail(error)
