"""``cluster-spill``: how fast compressed pages leave for a lender, and what that costs local gets.

Covers: the workload and its configuration. Does not cover: the nodes (``lending.py``).
"""

from __future__ import annotations

import asyncio
import itertools
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
from ramster.bench.tail_latency import tail_figures, tail_samples
from zcache import PAGE_SIZE

__all__ = ["CONFIGURATIONS", "WORKLOADS"]

_PAGES = 16384
_PAGES_MIN = 2048
_TIMES = 2.5
_FILLS = 3
_HOT_OBJECT = 2
_HOT_PAGES = 64
_EMPTY_SHARE = 0.3
_IDLE_GETS = 3000
_IDLE_GETS_MIN = 200


def _run(context: Context) -> Samples:
    return asyncio.run(_measure(context))


async def _measure(context: Context) -> Samples:
    replicas = int(context.parameters["replicas"])
    pages = context.pages(_PAGES, least=_PAGES_MIN)
    async with open_owner(
        pages, _TIMES, seed=context.seed, lenders=replicas, replicas=replicas
    ) as owner:
        fill, filling, alone = [], [], []
        for _ in range(_FILLS):
            accepted_mb_s, left_mb_s = await _fill(owner)
            fill.append(accepted_mb_s)
            filling.append(left_mb_s)
            alone.append(await _empty(owner))
        idle, spilling = await _local_gets(owner, context.pages(_IDLE_GETS, least=_IDLE_GETS_MIN))
        found = await owner.get(range(BATCH_PAGES))
        owner.compare(range(BATCH_PAGES), found)
        owner.check()
    return {
        "fill_mb_s": fill,
        "spill_filling_mb_s": filling,
        "spill_alone_mb_s": alone,
        **tail_samples("get_idle", idle),
        **tail_samples("get_spilling", spilling),
    }


def _spilled(owner: Owner) -> float:
    return float(owner.figures()["cluster"]["spill_bytes"])


async def _fill(owner: Owner) -> tuple[float, float]:
    """Put all; MB/s of pages that were accepted, and of blobs that left until the last was."""
    before = _spilled(owner)
    start = time.perf_counter()
    await owner.put_all()
    seconds = time.perf_counter() - start
    left = _spilled(owner) - before
    await owner.settle()
    return len(owner.data) / seconds / 1e6, left / seconds / 1e6


async def _empty(owner: Owner) -> float:
    """Lower the watermarks of a full pool and wait until it has emptied to them: MB/s."""
    cache = owner.node.store.cache
    config = cache.config
    before = _spilled(owner)
    start = time.perf_counter()
    cache.reconfigure(high_watermark=_EMPTY_SHARE, low_watermark=_EMPTY_SHARE)
    # A put wakes the spiller.
    await owner.node.store.put_many(owner.pool, _HOT_OBJECT, (_HOT_PAGES,), bytes(PAGE_SIZE))
    await owner.settle(_EMPTY_SHARE)
    seconds = time.perf_counter() - start
    cache.reconfigure(high_watermark=config.high_watermark, low_watermark=config.low_watermark)
    return (_spilled(owner) - before) / seconds / 1e6


async def _local_gets(owner: Owner, least: int) -> tuple[list[float], list[float]]:
    """Seconds of gets of hot pages, with nothing else going on and while the pool is emptied."""
    await owner.put_all()
    await owner.settle()
    await _put_hot(owner)
    ended = asyncio.Event()
    ended.set()
    idle = await _probe(owner, ended, least)
    spilling: list[float] = []
    while len(spilling) < least // 3:
        ended.clear()
        gets = asyncio.create_task(_probe(owner, ended, 1))
        await _empty(owner)
        ended.set()
        spilling += await gets
        await owner.put_all()
        await owner.settle()
        await _put_hot(owner)  # what was put since has pushed them out
    return idle, spilling


async def _put_hot(owner: Owner) -> None:
    hot = owner.data[: _HOT_PAGES * PAGE_SIZE]
    await owner.node.store.put_many(owner.pool, _HOT_OBJECT, range(_HOT_PAGES), hot)
    await owner.settle()


async def _probe(owner: Owner, ended: asyncio.Event, least: int) -> list[float]:
    """Get hot pages one after the other until told, and at least so often.

    A get's time runs from the moment its caller is ready to be served, so that it includes waiting
    for the event loop: that is what a spill's work there costs others. A get of a page that has
    left nevertheless is none of those.
    """
    times: list[float] = []
    into = bytearray(PAGE_SIZE)
    away = owner.remote_hits
    for page in itertools.cycle(range(_HOT_PAGES)):
        if len(times) >= least and ended.is_set():
            break
        start = time.perf_counter()
        await asyncio.sleep(0)
        await owner.node.store.get_many(owner.pool, _HOT_OBJECT, (page,), into)
        took = time.perf_counter() - start
        if owner.remote_hits == away:
            times.append(took)
        away = owner.remote_hits
    return times


_SPILL = Workload(
    name="cluster-spill",
    figures=(
        Figure(
            "fill_mb_s",
            "MB/s",
            Better.HIGHER,
            "Pages that the pool accepts a second, most of which leave.",
        ),
        Figure(
            "spill_filling_mb_s",
            "MB/s",
            Better.HIGHER,
            "Compressed pages that leave a second meanwhile, each copy counted.",
        ),
        Figure(
            "spill_alone_mb_s",
            "MB/s",
            Better.HIGHER,
            "Compressed pages that leave a second when nothing else is done, each copy counted.",
        ),
        *tail_figures("get_idle", "A get of a local page, with nothing else going on"),
        *tail_figures(
            "get_spilling", "A get of a local page while pages leave as fast as they can"
        ),
    ),
    run=_run,
)

_TEXT = f"""\
Pages of real files are put into a pool that holds a {_TIMES:g}th of them, so that the rest leaves
for a lender, compressed. First as fast as the store accepts them; then the full pool's watermarks
are lowered to {_EMPTY_SHARE:.0%} and it empties, with nothing else to do. Last, one caller gets
pages that stay local, again and again, idle and while the pool empties.

Lenders are processes of their own; the owner is the measuring process, called without a front-end.
With replicas=2 there are two lenders and each page goes to both.

What makes the figures doubtful: owner and lenders share the processors and the loopback has no
limits of its own, so this is the cost of the work, not that of a network. A 1 Gbit/s link ends at
some 118 MB/s. A get that waits, waits for the owner's event loop: a program with a thread of its
own waits in the same way.
"""

WORKLOADS = (_SPILL,)
CONFIGURATIONS = (
    Configuration(
        name="cluster-spill",
        summary="how fast pages leave for lenders, and what that costs local gets",
        text=_TEXT,
        cases=tuple(
            Case("cluster-spill", Subject.RAMSTER, {"replicas": replicas}) for replicas in (1, 2)
        ),
    ),
)
