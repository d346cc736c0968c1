"""Background tasks whose end by an error is noticed.

Covers: starting, counting out and ending the tasks of one owner; calls side by side. Does not
cover: what to do about a failure (``node.py`` stops with its reason).
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

from ramster.event_log import EventLog

__all__ = ["SupervisedTasks", "together"]

log = EventLog(__name__)


async def together(calls: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Run calls side by side; a single one without a task of its own."""
    if len(calls) == 1:
        await calls[0]
    else:
        await asyncio.gather(*calls)


class SupervisedTasks:
    """Tasks that run until they are done or ``stop`` is called; an exception in one is kept and
    told.
    """

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Task[None], None] = {}  # a dict: in the order of their start
        self._failed = asyncio.Event()
        self.failure: BaseException | None = None
        """What the first task that failed raised."""

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Start a task."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks[task] = None
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        del self._tasks[task]
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            log.critical("task_failed", "task {task} failed", cause=error, task=task.get_name())
            if self.failure is None:
                self.failure = error
                self._failed.set()

    async def wait_failed(self) -> BaseException:
        """Return the first failure, when there is one."""
        await self._failed.wait()
        assert self.failure is not None
        return self.failure

    async def stop(self) -> None:
        """Cancel every task and wait for their ends, those included that are started meanwhile."""
        while self._tasks:
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.sleep(0)  # let the last done callbacks run
