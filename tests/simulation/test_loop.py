"""A clock for each life, and pauses that stop all of it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from tests.simulation.loop import Life, simulate, simulation_loop
from tests.support.virtual_time import DeadlockError


def in_life(life: Life, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    return simulation_loop().create_task(work, context=life.context)


async def local_time() -> float:
    await asyncio.sleep(0)
    return asyncio.get_running_loop().time()


def test_a_life_has_its_own_clock_at_its_own_rate() -> None:
    async def main() -> None:
        life = Life(simulation_loop(), "a", rate=2.0, start_s=500.0)
        assert await in_life(life, local_time()) == pytest.approx(500.0, abs=1e-3)
        began = simulation_loop().true_time
        await in_life(life, asyncio.sleep(3.0))
        assert simulation_loop().true_time - began == pytest.approx(1.5, abs=1e-3)
        assert await in_life(life, local_time()) == pytest.approx(503.0, abs=1e-2)

    simulate(main())


def test_timeouts_follow_the_clock_of_the_life() -> None:
    async def limited() -> None:
        async with asyncio.timeout(1.0):
            await asyncio.Event().wait()

    async def main() -> None:
        life = Life(simulation_loop(), "a", rate=0.5)
        began = simulation_loop().true_time
        with pytest.raises(TimeoutError):
            await in_life(life, limited())
        assert simulation_loop().true_time - began == pytest.approx(2.0, abs=1e-3)

    simulate(main())


def test_nothing_of_a_paused_life_runs_and_all_of_it_afterwards_in_order() -> None:
    async def main() -> None:
        life, ran = Life(simulation_loop(), "a"), []

        async def work(name: str, pause_s: float) -> None:
            await asyncio.sleep(pause_s)
            ran.append(name)

        tasks = [in_life(life, work("late", 0.2)), in_life(life, work("soon", 0.1))]
        await asyncio.sleep(0)
        life.pause()
        await asyncio.sleep(5.0)
        assert not ran
        life.resume()
        await asyncio.gather(*tasks)
        assert ran == ["soon", "late"]
        assert life.paused_s == pytest.approx(5.0, abs=1e-3)

    simulate(main())


@pytest.mark.parametrize(("frozen", "left_s"), [(False, 0.0), (True, 0.9)])
def test_a_frozen_clock_stands_still_and_its_timers_with_it(frozen: bool, left_s: float) -> None:
    async def main() -> None:
        life = Life(simulation_loop(), "a")
        task = in_life(life, asyncio.sleep(1.0))
        await asyncio.sleep(0.1)
        life.pause()
        await asyncio.sleep(5.0)
        resumed_at = simulation_loop().true_time
        life.resume(frozen=frozen)
        await task
        assert simulation_loop().true_time - resumed_at == pytest.approx(left_s, abs=1e-3)

    simulate(main())


def test_a_timer_that_is_cancelled_while_it_is_held_does_not_fire() -> None:
    async def main() -> None:
        life = Life(simulation_loop(), "a")
        fired: list[int] = []
        loop = simulation_loop()
        handle = loop.call_at(life.now() + 0.1, fired.append, 1, context=life.context)
        life.pause()
        await asyncio.sleep(1.0)
        life.resume()
        handle.cancel()
        await asyncio.sleep(1.0)
        assert not fired

    simulate(main())


def test_a_run_leaves_no_task_behind_even_one_that_starts_others() -> None:
    ended: list[str] = []

    async def stubborn(depth: int) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(str(depth))
            if depth:
                simulation_loop().create_task(stubborn(depth - 1))

    async def main() -> None:
        simulation_loop().create_task(stubborn(1))
        await asyncio.sleep(0)

    simulate(main())
    assert ended[0] == "1"


def test_a_run_in_which_all_wait_for_each_other_ends() -> None:
    with pytest.raises(DeadlockError):
        simulate(asyncio.Event().wait())
