"""``swap-stutterp``: how long a program waits for its memory while hogs push pages.

Covers: the workload and its configuration. Does not cover: the hogs (``hogs.py``), paging
(``pager.py``), what is behind it (``targets.py``).
"""

from __future__ import annotations

import asyncio
import time
from typing import Self

from ramster.bench.device_pages import DevicePages
from ramster.bench.hogs import BATCH_PAGES, hogs_at_work
from ramster.bench.model import Better, Case, Configuration, Context, Figure, Samples, Workload
from ramster.bench.pager import Pager
from ramster.bench.percentiles import latency_figures, latency_samples
from ramster.bench.stamped_pages import StampedPages, stamped
from ramster.bench.targets import SUBJECTS, Room, open_target
from zcache import PAGE_SIZE

__all__ = ["CONFIGURATIONS", "WORKLOADS"]

_BUDGET_PAGES = 8192
_BUDGET_PAGES_MIN = 2048
"""With fewer the half-filled size classes of a pool take more than compression saves."""
_MAPPING_PAGES = 128
_RESIDENT_PAGES = 32
_PAUSE_S = 0.005
_DURATION_S = 2.0
_RATIO = 2.5
_HOGS = 2

_PHASES = {
    "wake": "From when the program should have gone on after a pause to when it did",
    "map": "A new page of the mapping, for which an older one is evicted",
    "fault": "A page of the mapping that was evicted, read again",
    "unmap": f"The mapping of {_MAPPING_PAGES} pages given up",
}


def _run(context: Context) -> Samples:
    return asyncio.run(_measure(context))


async def _measure(context: Context) -> Samples:
    asked = context.parameters
    budget = context.pages(_BUDGET_PAGES, least=_BUDGET_PAGES_MIN)
    hogs_pages = round(budget * float(asked["hogs_times"]))
    pages = _MAPPING_PAGES + hogs_pages
    room = Room(budget_bytes=budget * PAGE_SIZE)
    async with open_target(
        str(asked["way"]), context.subject, room, pages, context.scratch
    ) as target:
        program = _Program(stamped(_RATIO, context.seed))
        hogs = hogs_at_work(target, _HOGS, _MAPPING_PAGES, hogs_pages, _RATIO, context.seed + 1)
        async with target.connect() as device, hogs:
            before = (await target.figures())["cache"]
            elapsed = await program.run(device, context.seconds(_DURATION_S))
            figures = (await target.figures())["cache"]
        target.check()
    found: dict[str, float] = {}
    for phase, seconds in program.seconds.items():
        found |= latency_samples(phase, seconds) if seconds else {}
    by_hogs = figures["puts_stored"] - before["puts_stored"] - program.pages_out
    return found | {
        "hog_pages_s": max(0, by_hogs) / elapsed,
        "refused_pages": program.pages_refused,
        "spilled_pages": figures["pages_spilled"] - before["pages_spilled"],
    }


class _Program:
    """Maps, touches and unmaps, with pauses, and measures each step."""

    def __init__(self, contents: StampedPages) -> None:
        self._contents = contents
        self.seconds: dict[str, list[float]] = {phase: [] for phase in _PHASES}
        self.pages_out = 0
        self.pages_refused = 0

    async def run(self, device: DevicePages, duration_s: float) -> float:
        """Cycles for so long, one at least; returns the seconds that they took."""
        start = time.perf_counter()
        cycle = 0
        while not cycle or time.perf_counter() - start < duration_s:
            due = time.perf_counter() + _PAUSE_S
            await asyncio.sleep(_PAUSE_S)
            self.seconds["wake"].append(max(0.0, time.perf_counter() - due))
            pager = Pager(device, _RESIDENT_PAGES, cluster=1)
            await self._cycle(pager, cycle)
            self.pages_out += pager.pages_out
            self.pages_refused += pager.pages_refused
            cycle += 1
        return time.perf_counter() - start

    async def _cycle(self, pager: Pager, version: int) -> None:
        for number in range(_MAPPING_PAGES):
            page = self._contents.page(number, version)
            async with self._timed("map"):
                await pager.set(number, page)
        for number in range(_MAPPING_PAGES):
            async with self._timed("fault") as timed:
                found = await pager.read(number)
                timed.counts = found is not None  # else it was refused, and is not there to read
            if found is not None:
                self._contents.check(number, version, found)
        async with self._timed("unmap"):
            await pager.discard(0, _MAPPING_PAGES)

    def _timed(self, phase: str) -> _Timed:
        return _Timed(self.seconds[phase])


class _Timed:
    """Measures its block, from getting in line behind those that share the event loop."""

    def __init__(self, seconds: list[float]) -> None:
        self._seconds = seconds
        self.counts = True

    async def __aenter__(self) -> Self:
        self._start = time.perf_counter()
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.counts:
            self._seconds.append(time.perf_counter() - self._start)


_STUTTERP = Workload(
    name="swap-stutterp",
    figures=(
        *(figure for phase, text in _PHASES.items() for figure in latency_figures(phase, text)),
        Figure("hog_pages_s", "pages/s", Better.HIGHER, "Pages of hogs that were stored a second."),
        Figure(
            "refused_pages",
            "pages",
            Better.LOWER,
            "Evicted pages of the program for which there was no room: it would have been killed.",
        ),
        Figure("spilled_pages", "pages", Better.LOWER, "Pages that went to a lender."),
    ),
    run=_run,
)

_TEXT = f"""\
A program maps {_MAPPING_PAGES} pages of which {_RESIDENT_PAGES} stay in memory, touches them all
again and unmaps them, with a pause of {_PAUSE_S * 1000:g} ms before each round, while {_HOGS} hogs
write `hogs_times` the budget over and over as fast as they can. Each page is one request; every
page that comes back is checked.

After MMTests' config-pagereclaim-stutterp-noreaders, whose mmap-latency maps 128 MB, writes to
every page and unmaps it every 5 ms beside memory hogs and writers, and reports the latencies of
map, fault and unmap. Here map and fault are those of one page, and wake is the delay of the
program itself.

The budget is {_BUDGET_PAGES * PAGE_SIZE >> 20} MiB for every subject; ramster has as much again
at a lender. hogs_times=0.75 fits as it is, 2.0 fits compressed ({_RATIO} to 1), 3.0 needs the
lender.

What makes the figures doubtful:
- Where refused_pages is not 0 the program would have been killed; its latencies mean nothing.
  A low latency beside a low hog_pages_s is no gain either: the hogs hindered less.
- Over the Python API program, hogs and node share one thread: a step waits for one turn of every
  hog, of {BATCH_PAGES} pages, and wake says how long others held the thread. Over NBD the hogs are
  processes; on 2 processors they, the node and the program are more than there are.
- The maximum of a run of {_DURATION_S:g} s is one event, often of the machine and not of the cache.
- The timer of a pause is no better than the machine's: wake is rarely below 100 us.
"""

WORKLOADS = (_STUTTERP,)
CONFIGURATIONS = (
    Configuration(
        name="swap-stutterp",
        summary="latencies of a program's memory while hogs push pages",
        text=_TEXT,
        cases=tuple(
            Case("swap-stutterp", subject, {"way": way, "hogs_times": times})
            for way in ("api", "nbd")
            for times in (0.75, 2.0, 3.0)
            for subject in SUBJECTS
        ),
    ),
)
