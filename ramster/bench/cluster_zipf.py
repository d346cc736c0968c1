"""``cluster-zipf``: a skewed reader of more pages than the pool holds; hot pages come home.

Covers: the workload and its configuration. Does not cover: the nodes (``lending.py``).
"""

from __future__ import annotations

import asyncio
import random
import time
from itertools import accumulate

from ramster.bench.lending import Owner, open_owner
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

__all__ = ["CONFIGURATIONS", "WORKLOADS"]

_PAGES = 32768
_PAGES_MIN = 2048
_READS = 16000
_READS_MIN = 1000
_EXPONENT = 0.99
"""That of YCSB's zipfian workloads."""


def _run(context: Context) -> Samples:
    return asyncio.run(_measure(context))


async def _measure(context: Context) -> Samples:
    times = float(context.parameters["times"])
    pages = context.pages(_PAGES, least=_PAGES_MIN)
    async with open_owner(pages, times, seed=context.seed) as owner:
        await owner.put_all()
        await owner.settle()
        local = owner.pages - len(owner.away())
        reads = context.pages(_READS, least=_READS_MIN)
        weights = [rank**-_EXPONENT for rank in range(1, pages + 1)]
        chance = random.Random(context.seed)
        popular = chance.sample(range(pages), pages)
        keys = chance.choices(popular, cum_weights=list(accumulate(weights)), k=2 * reads)
        cold_share, _, _ = await _read(owner, keys[: reads // 10])
        await _read(owner, keys[reads // 10 : reads])
        share, seconds, took = await _read(owner, keys[reads:])
        owner.check()
    return {
        "local_share_cold": cold_share,
        "local_share": share,
        "local_share_best": sum(weights[:local]) / sum(weights),
        "read_pages_s": len(seconds) / took,
        **tail_samples("read", seconds),
    }


async def _read(owner: Owner, keys: list[int]) -> tuple[float, list[float], float]:
    """Share of reads that found their page at home, seconds of each, of all together."""
    before = owner.figures()["cluster"]
    seconds: list[float] = []
    start = time.perf_counter()
    await owner.fetch((range(key, key + 1) for key in keys), 1, seconds, time.perf_counter)
    took = time.perf_counter() - start
    after = owner.figures()["cluster"]
    away = after["remote_hits"] - before["remote_hits"]
    return 1 - away / len(keys), seconds, took


_ZIPF = Workload(
    name="cluster-zipf",
    figures=(
        Figure(
            "local_share_cold",
            "",
            Better.HIGHER,
            "Share of reads that found their page at home, at the start: where puts left them.",
        ),
        Figure(
            "local_share", "", Better.HIGHER, "The same once the pool has got to know the reader."
        ),
        Figure(
            "local_share_best",
            "",
            Better.HIGHER,
            "What it would be with the most popular pages at home, as many as were there at first.",
        ),
        Figure("read_pages_s", "pages/s", Better.HIGHER, "Reads a second, one at a time."),
        *tail_figures("read", "One read, of a page at home or away"),
    ),
    run=_run,
)

_TEXT = f"""\
A working set that needs two or four times the owner's pool, compressed; the rest is at a lender.
One reader gets single pages, the n-th in popularity 1 / n ** {_EXPONENT} as often as the first (the
law and exponent of YCSB), popular ones scattered over the range; each page is compared. A page that
is fetched again before long comes home, and cold ones leave for it. The first {_READS} reads warm
it up; then as many are measured.

What makes the figures doubtful: the loopback, as for cluster-fetch. p50 is that of a page at home
where more than half of the reads are, p99 always that of a fetch. local_share_best counts as many
pages as were at home after the puts; popular pages may compress better or worse than others.
"""

WORKLOADS = (_ZIPF,)
CONFIGURATIONS = (
    Configuration(
        name="cluster-zipf",
        summary="a skewed reader of 2 and 4 times the pool: what is served at home",
        text=_TEXT,
        cases=tuple(Case("cluster-zipf", Subject.RAMSTER, {"times": times}) for times in (2, 4)),
    ),
)
