"""Fetch calls to lenders: few in flight, each for as many pages as are wanted by then.

Covers: one call and its repetition after failures, and joining what several gets want into one
call. Does not cover: which pages to ask for and what becomes of them (``fetcher.py``), the
connection (``peers.py``).

Why joining: a call for one page and a call for thirty take almost the same time at both ends, so
while ``CALLS_IN_FLIGHT_MAX`` calls to a lender are under way, what others want waits and leaves
together when one of them ends. A lone get is never delayed by it, and no get waits long for the
calls of others: one of those may be lost and take its whole deadline.
"""

from __future__ import annotations

import asyncio
from array import array
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from ramster.blobs import Blob
from ramster.clock import Clock
from ramster.cluster_config import ClusterConfig
from ramster.counters import ClusterCounters
from ramster.errors import (
    BadMessageError,
    PeerError,
    PeerRefusedError,
    PeerTimeoutError,
    PeerUnreachableError,
    UnknownLeaseError,
)
from ramster.fetch_reply import answers, check_fetch_reply
from ramster.lenders import Lender, LenderTable
from ramster.limits import FETCH_KEYS_MAX
from ramster.peers import Peers
from ramster.tasks import SupervisedTasks
from ramster.timings import Timings
from ramster.transport import FetchReply, FetchRequest
from zcache import PoolKind

__all__ = ["Answers", "CopyName", "FetchCalls"]

CALLS_IN_FLIGHT_MAX = 2
"""Calls to one lender for one kind of page: the lender works on one while another is on the wire.
Measured with what is now ``ramster bench run cluster-fetch``."""

JOINED_PAGES_MAX = 64
"""Pages beyond which no other get's pages are added to a call; 64 raw pages are half a reply."""

LINE_WAIT_MAX_S = 0.05
"""Longest wait for the calls of others; many times what a call takes."""

CopyName: TypeAlias = tuple[int, int]
"""(key, generation): what left home once, whoever holds copies of it now."""

Answers: TypeAlias = dict[CopyName, Blob | int]
"""A blob, or why there is none, for each copy asked for."""

OnTrouble: TypeAlias = Callable[[], None]
"""Called when a lender turns out to be unreachable; it is asked again all the same."""


@dataclass(slots=True)
class _Waiting:
    """What one get wants of a call to come."""

    names: list[CopyName]
    deadline: float
    on_trouble: OnTrouble
    answer: asyncio.Future[Answers]
    begun: bool = False
    """It is part of a call."""


@dataclass(slots=True)
class _Line:
    """The calls to one lender for one kind of page."""

    in_flight: int = 0
    waiting: deque[_Waiting] = field(default_factory=deque)


class FetchCalls:
    """Asks lenders for copies of pages."""

    def __init__(
        self,
        config: ClusterConfig,
        table: LenderTable,
        peers: Peers,
        clock: Clock,
        counters: ClusterCounters,
        tasks: SupervisedTasks,
        timings: Timings,
    ) -> None:
        self._config = config
        self._table = table
        self._peers = peers
        self._clock = clock
        self._counters = counters
        self._tasks = tasks
        self._timings = timings
        self._lines: dict[tuple[Lender, PoolKind], _Line] = {}

    async def ask(
        self,
        lender: Lender,
        kind: PoolKind,
        names: list[CopyName],
        deadline: float,
        on_trouble: OnTrouble = lambda: None,
    ) -> Answers:
        """Fetch copies by ``deadline`` (clock time); at most ``FETCH_KEYS_MAX`` names.

        Raises PeerError: none could be had. ``on_trouble`` may be called before.
        """
        line = self._lines.setdefault((lender, kind), _Line())
        if line.in_flight >= CALLS_IN_FLIGHT_MAX:
            found = await self._ask_with_others(line, names, deadline, on_trouble)
            if found is not None:
                return found
            line = self._lines.setdefault((lender, kind), _Line())
        line.in_flight += 1
        try:
            return await self._call(lender, kind, names, deadline, (on_trouble,))
        finally:
            self._next(lender, kind, line)

    async def _ask_with_others(
        self, line: _Line, names: list[CopyName], deadline: float, on_trouble: OnTrouble
    ) -> Answers | None:
        """Wait to be part of a call, and for its answer; None if no call has begun in time."""
        answer = asyncio.get_running_loop().create_future()
        waiting = _Waiting(names, deadline, on_trouble, answer)
        line.waiting.append(waiting)
        try:
            left = max(0.0, deadline - self._clock.now())
            await asyncio.wait((waiting.answer,), timeout=min(LINE_WAIT_MAX_S, left))
            if not waiting.begun:
                return None
            async with asyncio.timeout(max(0.0, deadline - self._clock.now())):
                return await waiting.answer
        except TimeoutError:
            raise PeerTimeoutError("no time left") from None
        finally:
            waiting.answer.cancel()  # nobody waits any more; nothing happens to an answer

    def _next(self, lender: Lender, kind: PoolKind, line: _Line) -> None:
        """A call has ended: begin the next one, for all who wait as far as they fit."""
        line.in_flight -= 1
        group: list[_Waiting] = []
        pages = 0
        while line.waiting:
            first = line.waiting[0]
            if group and pages + len(first.names) > JOINED_PAGES_MAX:
                break
            line.waiting.popleft()
            if not first.answer.done():  # else its get was cancelled or timed out
                first.begun = True
                group.append(first)
                pages += len(first.names)
        if group:
            line.in_flight += 1
            self._tasks.spawn(
                self._call_for(lender, kind, line, group), f"fetch from {lender.node}"
            )
        elif not line.in_flight:
            del self._lines[lender, kind]

    async def _call_for(
        self, lender: Lender, kind: PoolKind, line: _Line, group: list[_Waiting]
    ) -> None:
        """One call for several gets. Each of them watches its own deadline."""
        try:
            names = [name for waiting in group for name in waiting.names]
            found = await self._call(
                lender,
                kind,
                names,
                max(one.deadline for one in group),
                [one.on_trouble for one in group],
            )
        except PeerError as error:
            for waiting in group:
                if not waiting.answer.done():
                    waiting.answer.set_exception(error)
        else:
            for waiting in group:
                if not waiting.answer.done():
                    waiting.answer.set_result({name: found[name] for name in waiting.names})
        finally:
            for waiting in group:
                if not waiting.answer.done():  # cancelled, because this node stops
                    waiting.answer.set_exception(PeerUnreachableError("this node is stopping"))
            self._next(lender, kind, line)

    async def _call(
        self,
        lender: Lender,
        kind: PoolKind,
        names: list[CopyName],
        deadline: float,
        on_trouble: Sequence[OnTrouble],
    ) -> Answers:
        """Fetch, again after failures that may pass, until the deadline. Raises PeerError."""
        counters, config = self._counters, self._config
        assert len(names) <= FETCH_KEYS_MAX
        request = FetchRequest(
            lease=lender.lease,
            kind=kind,
            keys=array("Q", [key for key, _ in names]),
            generations=array("Q", [generation for _, generation in names]),
        )
        attempts = 0
        while True:
            gone = self._table.gone_reason(lender)
            if gone is not None:
                raise UnknownLeaseError(gone)
            if not self._peers.reachable(lender):
                raise PeerRefusedError(f"{lender.node} is out of touch")
            began = self._clock.now()
            left = deadline - began
            if left <= 0:
                raise PeerTimeoutError("no time left")
            counters.fetches += 1
            try:
                # The first attempts get half of the time: a lost message is asked for again.
                reply = await self._fetch(lender, request, left if attempts > 1 else left / 2)
                check_fetch_reply(request, reply)
            except PeerTimeoutError:
                counters.fetches_timed_out += 1
            except BadMessageError:
                counters.fetches_bad_answer += 1
                raise
            except UnknownLeaseError as error:
                counters.fetches_unknown_lease += 1
                raise UnknownLeaseError(self._table.gone_reason(lender) or str(error)) from error
            except PeerError:
                counters.fetches_unreachable += 1
                for tell in on_trouble:
                    tell()
            else:
                counters.pages_fetched += len(reply.blobs)
                counters.fetch_bytes += sum(reply.blobs.lengths)
                return dict(zip(names, answers(reply), strict=True))
            # A failure that came at once is not repeated at once.
            pause = config.reconnect_backoff_min_s * 2.0 ** min(attempts, 30)
            again_at = min(began + min(pause, config.reconnect_backoff_max_s), deadline)
            if again_at > self._clock.now():
                await self._clock.sleep(again_at - self._clock.now())
            attempts += 1

    async def _fetch(self, lender: Lender, request: FetchRequest, timeout_s: float) -> FetchReply:
        """One message, measured."""
        began = self._clock.now()
        try:
            return await self._peers.fetch(lender, request, timeout_s)
        finally:
            self._timings.fetch.observe(self._clock.now() - began, len(request.keys))
