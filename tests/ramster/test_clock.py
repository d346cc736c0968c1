"""The event loop's clock."""

from __future__ import annotations

import asyncio

import pytest

from ramster.clock import LoopClock
from tests.support.virtual_time import run


def test_it_tells_the_running_loops_time_and_waits_on_it() -> None:
    async def use() -> None:
        clock = LoopClock()
        start = clock.now()
        assert start == asyncio.get_running_loop().time()
        await clock.sleep(1000)
        assert clock.now() == pytest.approx(start + 1000)

    run(use())


def test_waiting_can_be_cancelled() -> None:
    async def use() -> None:
        waiting = asyncio.create_task(LoopClock().sleep(1000))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    run(use())
