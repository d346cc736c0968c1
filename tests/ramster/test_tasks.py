"""Background tasks whose failure is noticed."""

from __future__ import annotations

import asyncio
import logging

import pytest

from ramster.tasks import SupervisedTasks, together
from tests.support.virtual_time import run


async def forever() -> None:
    await asyncio.Event().wait()


def test_a_failure_is_kept_told_and_logged_with_its_task(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail() -> None:
        raise LookupError("no such thing")

    async def main() -> None:
        tasks = SupervisedTasks()
        tasks.spawn(forever(), "other")
        tasks.spawn(fail(), "spiller")
        error = await asyncio.wait_for(tasks.wait_failed(), 1)
        assert isinstance(error, LookupError)
        assert tasks.failure is error
        await tasks.stop()

    with caplog.at_level(logging.CRITICAL):
        run(main())
    assert "spiller" in caplog.text


def test_stop_ends_tasks_and_those_that_they_start_on_their_way_out() -> None:
    async def main() -> None:
        tasks, ended = SupervisedTasks(), []

        async def child() -> None:
            try:
                await forever()
            finally:
                ended.append("child")

        async def parent() -> None:
            try:
                await forever()
            finally:
                tasks.spawn(child(), "child")
                ended.append("parent")

        tasks.spawn(parent(), "parent")
        await asyncio.sleep(0)
        await tasks.stop()
        assert ended == ["parent"] or ended == ["parent", "child"]
        assert len(asyncio.all_tasks()) == 1
        assert tasks.failure is None

    run(main())


def test_calls_run_side_by_side_and_all_of_them() -> None:
    async def main() -> None:
        done: list[int] = []
        gate = asyncio.Event()

        async def wait(number: int) -> None:
            if number == 0:
                await gate.wait()
            else:
                gate.set()
            done.append(number)

        await together([])
        await together([wait(1)])
        gate.clear()
        await together([wait(0), wait(1)])
        assert sorted(done) == [0, 1, 1]

    asyncio.run(main())
