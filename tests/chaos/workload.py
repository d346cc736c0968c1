"""Verifying NBD clients: random reads, writes and trims against the model, many at a time.

Covers: the connections, the requests, what becomes of their answers. Does not cover: which contents
are allowed (``model.py``), which errors are (``verdict.py``).

Runs on a thread and an event loop of its own. Every wait has its bound: a request that is not
answered within ``REQUEST_S`` is a finding, and so is a connection that breaks.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass
from random import Random
from typing import Any, Self, TypeVar

from ramster.nbd.client import NbdClient
from tests.chaos.contents import PAGE_BYTES
from tests.chaos.figures import RequestFigures, error_name
from tests.chaos.model import RegionModel
from tests.chaos.timeline import Timeline
from tests.chaos.verdict import Findings, explanation

__all__ = ["Workload"]

REQUEST_S = 60.0
PAGES_MAX = 32
_SIZES = (1, 1, 1, 1, 2, 4, 8, 16, 32)
_REWRITE_SHARE = 0.75
"""Of pages found lost, how many are written again at once; the others wait for a random write."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Rules:
    """What the answers are judged by."""

    timeline: Timeline
    findings: Findings
    replicas: int


class Workload:
    """Clients of one export. ``with Workload(...) as workload`` connects and disconnects."""

    def __init__(
        self,
        url: Callable[[], str],
        export: str,
        model: RegionModel,
        rules: Rules,
        *,
        connections: int = 4,
        depth: int = 3,
    ) -> None:
        self.model = model
        self.figures = RequestFigures(rules.timeline)
        self.rules = rules
        self._url = url
        self._export = export
        self._connections = connections
        self._depth = depth
        self._clients: list[NbdClient] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="chaos-workload")
        self._mixing: list[asyncio.Task[None]] = []
        self._stopping = False
        self._gave_up = False

    # -- from the thread that makes the faults -----------------------------------------------------

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self._run(self._connect(), 30)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        try:
            self._run(self._disconnect(), 30)
        finally:
            self._end()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, T], within_s: float) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(within_s)

    def write_all(self, within_s: float = 600) -> None:
        """Write every page once, in order."""
        self._run(self._in_order(self._write), within_s)

    def read_all(self, within_s: float = 600) -> None:
        """Read and compare every page once, in order."""
        self._run(self._in_order(self._read), within_s)

    def begin_read_all(self) -> Future[None]:
        """The same, while the caller does something else."""
        return asyncio.run_coroutine_threadsafe(self._in_order(self._read), self._loop)

    def start_mix(self) -> None:
        """Begin the random mix, which goes on until ``stop_mix``."""
        self._run(self._start_mix(), 10)

    def stop_mix(self) -> None:
        """End it, and raise what a worker died of."""
        self._run(self._stop_mix(), REQUEST_S + 30)

    def mix_is_running(self) -> bool:
        """Whether every worker is still at work."""
        return not any(task.done() for task in self._mixing)

    # -- on the loop -------------------------------------------------------------------------------

    async def _connect(self) -> None:
        for _ in range(self._connections):
            self._clients.append(await NbdClient.connect(self._url(), self._export))

    async def _disconnect(self) -> None:
        for task in self._mixing:
            task.cancel()
        await asyncio.gather(*self._mixing, return_exceptions=True)
        for client in self._clients:
            await client.close()

    async def _start_mix(self) -> None:
        self._stopping = False
        self._mixing = [
            asyncio.ensure_future(self._mix(number))
            for number in range(self._connections * self._depth)
        ]

    async def _stop_mix(self) -> None:
        self._stopping = True
        mixing, self._mixing = self._mixing, []
        await asyncio.gather(*mixing)

    async def _in_order(self, act: Callable[[int, int, int], Coroutine[Any, Any, None]]) -> None:
        """``act`` on the whole region, ``depth`` requests on each connection at a time."""
        starts = iter(range(0, self.model.pages, PAGES_MAX))

        async def work(number: int) -> None:
            for first in starts:
                if self._gave_up:
                    return
                await act(number, first, min(PAGES_MAX, self.model.pages - first))

        await asyncio.gather(*map(work, range(self._connections * self._depth)))

    async def _mix(self, number: int) -> None:
        random = Random(f"workload {self.model.seed} {number}")
        ahead = random.randrange(self.model.pages)
        while not (self._stopping or self._gave_up):
            lot = random.random()
            if lot < 0.08:  # a sequential reader
                ahead = 0 if ahead + PAGES_MAX > self.model.pages else ahead
                await self._read(number, ahead, PAGES_MAX, random)
                ahead += PAGES_MAX
                continue
            first, count = self._range(random)
            if lot < 0.65 or self.model.is_changing(first, count):
                await self._read(number, first, count, random)
            elif lot < 0.97:
                await self._write(number, first, count)
            else:
                await self._trim(number, first, count)

    def _range(self, random: Random) -> tuple[int, int]:
        """Two in three requests go anywhere, the others to the first eighth."""
        count = random.choice(_SIZES)
        pages = self.model.pages if random.random() < 0.67 else self.model.pages // 8
        return random.randrange(max(pages - count, 1)), count

    # -- one request -------------------------------------------------------------------------------

    async def _read(
        self, number: int, first: int, count: int, random: Random | None = None
    ) -> None:
        mark = self.model.begin_read(first, count)
        settled_at = self.model.settled_at(first)
        start = time.monotonic()
        data, error = await self._request(
            number, "read", count, lambda c: c.read(first * PAGE_BYTES, count * PAGE_BYTES)
        )
        if error is None:
            for wrong in self.model.check_read(mark, data):
                self._find("wrong bytes", f"{wrong}, read in {self._times(start)}")
        elif count > 1 and not self._gave_up:
            # Which of them? Also, those that are not lost must be readable.
            for page in range(first, first + count):
                await self._read(number, page, 1, random)
        else:
            self._judge_failed_read(first, error, settled_at, start)
            rewritable = random is not None and random.random() < _REWRITE_SHARE
            if rewritable and not self.model.is_changing(first, 1):
                await self._write(number, first, 1)

    def _judge_failed_read(self, page: int, error: str, settled_at: float, start: float) -> None:
        """``settled_at``: of the content that was there when the read began."""
        self.figures.pages_failed.add(page)
        reason = explanation(
            self.rules.timeline,
            self.rules.replicas,
            settled_at=settled_at,
            start=start,
            end=time.monotonic(),
        )
        if reason is not None and error == "EIO":
            self.figures.pages_explained += 1
            reason.pages_failed.add(page)
            return
        self.figures.pages_unexplained += 1
        written = self.rules.timeline.at(settled_at)
        self._find(
            "failed read", f"page {page}, written at {written:.1f} s: {error}, {self._times(start)}"
        )

    async def _write(self, number: int, first: int, count: int) -> None:
        start = time.monotonic()
        payload = self.model.begin_write(first, count)
        await self._change(
            number, "write", first, count, start, lambda c: c.write(first * PAGE_BYTES, payload)
        )

    async def _trim(self, number: int, first: int, count: int) -> None:
        start = time.monotonic()
        self.model.begin_trim(first, count)
        await self._change(
            number,
            *("trim", first, count, start),
            lambda c: c.trim(first * PAGE_BYTES, count * PAGE_BYTES),
        )

    async def _change(
        self,
        number: int,
        operation: str,
        first: int,
        count: int,
        start: float,
        call: Callable[[NbdClient], Coroutine[Any, Any, None]],
    ) -> None:
        error: str | None = "cancelled"
        try:
            _, error = await self._request(number, operation, count, call)
        finally:
            self.model.end_change(first, count, began_at=start, succeeded=error is None)
        if error is not None:
            text = f"pages {first}..{first + count - 1}: {error}, {self._times(start)}"
            self._find(f"failed {operation}", text)

    async def _request(
        self,
        number: int,
        operation: str,
        count: int,
        call: Callable[[NbdClient], Coroutine[Any, Any, T]],
    ) -> tuple[Any, str | None]:
        """The answer, or the name of the error; never waits for longer than ``REQUEST_S``."""
        place = number % self._connections
        start = time.monotonic()
        answer, error = None, None
        try:
            async with asyncio.timeout(REQUEST_S):
                answer = await call(self._clients[place])
        except TimeoutError as late:
            error = error_name(late.errno) if late.errno else "no answer"
            if not late.errno:  # else it is the server that says so
                self._find("no answer", f"{operation} of {count} pages, {self._times(start)}")
        except ConnectionError as broken:
            error = "connection"
            self._find("broken connection", f"{broken}, {self._times(start)}")
            await self._reconnect(place)
        except OSError as refused:
            error = error_name(refused.errno)
        self.figures.done(operation, start, time.monotonic(), count * PAGE_BYTES, error)
        return answer, error

    async def _reconnect(self, place: int) -> None:
        broken = self._clients[place]
        try:
            async with asyncio.timeout(REQUEST_S):
                await broken.close()
                fresh = await NbdClient.connect(self._url(), self._export)
        except OSError as error:
            self._gave_up = True
            self._find("broken connection", f"and no new one: {error}")
            return
        if self._clients[place] is broken:
            self._clients[place] = fresh
        else:  # another request of this connection was faster
            await fresh.close()

    def _find(self, rule: str, text: str) -> None:
        self.rules.findings.add(rule, text)

    def _times(self, start: float) -> str:
        timeline = self.rules.timeline
        end = time.monotonic()
        fault = timeline.in_force(start, end)
        return f"{timeline.at(start):.1f} to {timeline.at(end):.1f} s, fault: {fault}"
