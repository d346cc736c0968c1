"""``cluster-fetch``: getting pages back that are at a lender.

Covers: the workload and its configuration. Does not cover: the nodes (``lending.py``).
"""

from __future__ import annotations

import asyncio
import random
import time

from ramster.bench.lending import BATCH_PAGES, Owner, open_owner
from ramster.bench.model import (
    Better,
    Case,
    Configuration,
    Context,
    Figure,
    Samples,
    Subject,
    Workload,
)
from ramster.bench.tail_latency import P50_P99_P999, tail_figures, tail_samples
from zcache import PAGE_SIZE

__all__ = ["CONFIGURATIONS", "WORKLOADS"]

_PAGES = 32768
_PAGES_MIN = 2048
_TIMES = 5.0
_SINGLE = 4000
_TOGETHER = 8000
_GETS_MIN = 200
_AT_ONCE = 16


def _run(context: Context) -> Samples:
    return asyncio.run(_measure(context))


async def _measure(context: Context) -> Samples:
    replicas = int(context.parameters["replicas"])
    pages = context.pages(_PAGES, least=_PAGES_MIN)
    async with open_owner(
        pages, _TIMES, seed=context.seed, lenders=replicas, replicas=replicas
    ) as owner:
        await owner.put_all()
        await owner.settle()
        away = owner.away_shuffled(random.Random(context.seed))
        single = context.pages(_SINGLE, least=_GETS_MIN)
        together = context.pages(_TOGETHER, least=_GETS_MIN)
        assert single + together <= len(away)
        alone, _ = await _fetch(owner, away[:single], 1)
        crowd, took = await _fetch(owner, away[single : single + together], _AT_ONCE)
        in_order = await _in_order(owner)
        owner.check()
    return {
        **tail_samples("fetch", alone, P50_P99_P999),
        **tail_samples("fetch16", crowd),
        "fetch16_pages_s": len(crowd) / took,
        "read_in_order_mb_s": in_order,
    }


async def _fetch(owner: Owner, pages: list[int], at_once: int) -> tuple[list[float], float]:
    """Seconds of each get of one page, and of all together."""
    seconds: list[float] = []
    start = time.perf_counter()
    runs = (range(page, page + 1) for page in pages)
    await owner.fetch(runs, at_once, seconds, time.perf_counter)
    return seconds, time.perf_counter() - start


async def _in_order(owner: Owner) -> float:
    """Everything from the first page on, most of it away: MB/s."""
    runs = [range(at, at + BATCH_PAGES) for at in range(0, owner.pages - BATCH_PAGES, BATCH_PAGES)]
    start = time.perf_counter()
    await owner.fetch(runs, 1, [], time.perf_counter)
    return len(runs) * BATCH_PAGES * PAGE_SIZE / (time.perf_counter() - start) / 1e6


_FETCH = Workload(
    name="cluster-fetch",
    figures=(
        *tail_figures(
            "fetch", "One get of one page that is away, nothing else going on", P50_P99_P999
        ),
        *tail_figures("fetch16", "The same with 16 gets under way"),
        Figure("fetch16_pages_s", "pages/s", Better.HIGHER, "Pages a second with 16 under way."),
        Figure(
            "read_in_order_mb_s",
            "MB/s",
            Better.HIGHER,
            "Reading everything in order, 128 KiB a get, with readahead; a part of it is local.",
        ),
    ),
    run=_run,
)

_TEXT = f"""\
Pages of real files in a pool that holds a fifth of them; the rest is at a lender. Pages that are
away are got at random, one at a time and {_AT_ONCE} at a time, each of them once; then all pages in
order, 128 KiB a get. Each page is fetched compressed, checked, decompressed and compared. A
page that is got once stays at the lender; one that is fetched again before long comes home.

The lender is a process of its own; the owner is the measuring process, called without a front-end.
With replicas=2 there are two lenders, each with a copy of every page.

What makes the figures doubtful: the loopback. A real network adds its own round trip to each single
fetch (some 50 to 200 us in a LAN) and limits the reading in order. Owner and lender share the
processors; on two of them a fetch is mostly the waking of the other process. In read_in_order_mb_s
about a fifth of the pages are local.
"""

WORKLOADS = (_FETCH,)
CONFIGURATIONS = (
    Configuration(
        name="cluster-fetch",
        summary="getting pages back from a lender: alone, 16 at once, in order",
        text=_TEXT,
        cases=tuple(
            Case("cluster-fetch", Subject.RAMSTER, {"replicas": replicas}) for replicas in (1, 2)
        ),
    ),
)
