"""``swap-usemem``: programs that need more memory than there is go over it again and again.

Covers: the workload and its configuration. Does not cover: paging (``pager.py``), what is behind it
(``targets.py``).
"""

from __future__ import annotations

import asyncio
import time

from ramster.bench.model import Better, Case, Configuration, Context, Figure, Samples, Workload
from ramster.bench.pager import Pager
from ramster.bench.stamped_pages import StampedPages, stamped
from ramster.bench.targets import SUBJECTS, Room, Target, open_target
from zcache import PAGE_SIZE

__all__ = ["CONFIGURATIONS", "WORKLOADS"]

_BUDGET_PAGES = 8192
_BUDGET_PAGES_MIN = 2048
"""With fewer the half-filled size classes of a pool take more than compression saves."""
_RATIO = 2.5


def _run(context: Context) -> Samples:
    return asyncio.run(_measure(context))


async def _measure(context: Context) -> Samples:
    asked = context.parameters
    budget = context.pages(_BUDGET_PAGES, least=_BUDGET_PAGES_MIN)
    workers = int(asked["workers"])
    each = round(budget * float(asked["times"])) // workers
    contents = stamped(_RATIO, context.seed)
    room = Room(budget_bytes=budget * PAGE_SIZE)
    async with open_target(
        str(asked["way"]), context.subject, room, each * workers, context.scratch
    ) as target:
        # A sixteenth of the budget is what the programs keep in memory of their own.
        resident_max = max(64, budget // 16 // workers)
        start = time.perf_counter()
        pagers = await asyncio.gather(
            *(
                _work(target, contents, worker * each, each, int(asked["loops"]), resident_max)
                for worker in range(workers)
            )
        )
        elapsed = time.perf_counter() - start
        user, system = target.processor_s()
        figures = await target.figures()
        target.check()
        return {
            "elapsed_s": elapsed,
            "user_s": user,
            "system_s": system,
            "touched_pages_s": each * workers * int(asked["loops"]) / elapsed,
            "refused_pages": sum(pager.pages_refused for pager in pagers),
            "spilled_pages": figures["cache"]["pages_spilled"],
            "resident_bytes": sum(target.resident_bytes().values()),
        }


async def _work(
    target: Target, contents: StampedPages, first: int, pages: int, loops: int, resident_max: int
) -> Pager:
    """One program: read each page of its own, check it, change it; over and over."""
    versions = [0] * pages
    async with target.connect() as device:
        pager = Pager(device, resident_max)
        for _ in range(loops):
            for n in range(pages):
                page = await pager.read(first + n)
                if page is not None:
                    contents.check(first + n, versions[n], page)
                versions[n] += 1
                await pager.set(first + n, contents.page(first + n, versions[n]))
                if not n % 64:
                    await asyncio.sleep(0)  # a store in this process gives the others no turn
    return pager


_USEMEM = Workload(
    name="swap-usemem",
    figures=(
        Figure("elapsed_s", "s", Better.LOWER, "From the first touch to the last."),
        Figure(
            "user_s", "s", Better.LOWER, "Processor time in user mode of all processes together."
        ),
        Figure("system_s", "s", Better.LOWER, "The same in the kernel; in steps of 10 ms."),
        Figure(
            "touched_pages_s", "pages/s", Better.HIGHER, "Pages read, checked and changed a second."
        ),
        Figure(
            "refused_pages",
            "pages",
            Better.LOWER,
            "Evicted pages for which there was no room: each would have killed the program.",
        ),
        Figure("spilled_pages", "pages", Better.LOWER, "Pages that went to a lender."),
        Figure(
            "resident_bytes",
            "bytes",
            Better.LOWER,
            "Anonymous memory of all processes at the end, of this one what it grew by.",
        ),
    ),
    run=_run,
)

_TEXT = f"""\
Programs with more memory than there is: each owns a share of a working set of `times` the budget,
keeps a small part of it resident (a sixteenth of the budget in all) and goes over the rest in
order, `loops` times: reads each page, checks it and changes it, so that every touch is a fault and
an eviction. 8 pages are read and evicted together, as a kernel does with swap.

After MMTests' config-workload-usemem and config-workload-usemem-swap-ramdisk, which report user,
system and elapsed time by the number of threads. Unlike there, the pages are not nearly zero:
they compress {_RATIO} to 1.

The budget is {_BUDGET_PAGES * PAGE_SIZE >> 20} MiB for every subject: of plain pages for nothing,
of pool for the others; ramster has as much again at a lender, which is a process of its own. At
times=1.5 the working set fits into a compressed pool, at times=2.5 only with a lender.

What makes the figures doubtful:
- Where refused_pages is not 0 the program would have been killed. Its speed means nothing then:
  a refused page costs no work later on. Compare speeds only between subjects that refuse nothing.
- "Nothing" is memory without a copy to disk. A real machine without zcache swaps to a disk, which
  is slower by as much as the disk is.
- Workers over the Python API are tasks of one thread and cannot be faster than one. Over NBD they
  are connections from one process to another, so two processors work.
- resident_bytes holds the interpreters of the server and of the lender, some 20 MiB each, and what
  the pager keeps.
"""

WORKLOADS = (_USEMEM,)
CONFIGURATIONS = (
    Configuration(
        name="swap-usemem",
        summary="programs go over 1.5 and 2.5 times the memory that there is",
        text=_TEXT,
        cases=tuple(
            Case(
                "swap-usemem",
                subject,
                {"way": way, "times": times, "workers": workers, "loops": loops},
            )
            for way, loops in (("api", 6), ("nbd", 3))
            for times, workers in ((1.5, 1), (2.5, 1), (1.5, 4))
            for subject in SUBJECTS
        ),
    ),
)
