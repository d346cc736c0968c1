"""The workload ``store-limit``: a reader whose pages do not all fit.

Covers: ephemeral pages in a pool at its limit: hits, evictions, rates. Does not cover: where a page
that was missed comes from: it is put again at once, as if reading it took no time.

Plain memory keeps as many pages as fit into the pool's bytes as they are, the least recently used
one goes: the same memory without compression.
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Sequence
from time import perf_counter_ns

from ramster.bench.local_stores import CacheStore, RecentPages
from ramster.bench.mapped_pages import map_made
from ramster.bench.model import (
    Better,
    Context,
    Figure,
    Samples,
    Subject,
    Workload,
    WorkloadUnavailable,
)
from ramster.bench.skewed_keys import zipf
from ramster.bench.store_measures import (
    anonymous_bytes,
    expect,
    latencies,
    latency_figures,
    page_views,
    rates,
)
from zcache import PAGE_SIZE, PoolKind

__all__ = ["WORKLOAD"]

_WORKING_SET = 16384
_WORKING_SET_LEAST = 4096
"""In a small pool the zspages that each class of sizes leaves open are more than all else."""
_READS_PER_PAGE = 4
_UNCOUNTED = 1 / 4
"""Share of reads, the first ones, in which the pool comes to rest."""
_RATIO = 2.0


def _run(context: Context) -> Samples:
    pages = context.pages(_WORKING_SET, _WORKING_SET_LEAST)
    pool_bytes_max = int(pages * PAGE_SIZE * float(context.parameters["pool"]))
    data = map_made(context.scratch, pages, _RATIO, seed=context.seed)
    views = page_views(data)
    keys = zipf(_READS_PER_PAGE * pages, pages, random.Random(context.seed))
    first = int(len(keys) * _UNCOUNTED)
    reads = len(keys) - first
    times, gets = array("q", bytes(8 * reads)), array("q", bytes(8 * reads))
    before = anonymous_bytes()
    store = _open(context.subject, pool_bytes_max)
    for key, page in enumerate(views):
        store.put(key, page)
    _read(store, views, keys[:first], times, gets)
    dropped = _dropped(store)
    hits = _read(store, views, keys[first:], times, gets)
    grown = max(0, anonymous_bytes() - before)
    return {
        "hit_ratio": hits / reads,
        "evicted_per_read": (_dropped(store) - dropped) / reads,
        "reads_s": rates(times),
        **latencies("get", gets),
        "resident_over_pool": grown / pool_bytes_max,
    }


def _open(subject: Subject, pool_bytes_max: int) -> CacheStore | RecentPages:
    if subject is Subject.ZCACHE:
        return CacheStore(pool_bytes_max, PoolKind.EPHEMERAL)
    if subject is Subject.NOTHING:
        return RecentPages(pool_bytes_max // PAGE_SIZE)
    raise WorkloadUnavailable(f"{subject}: store-* measures nothing and zcache, in one process")


def _dropped(store: CacheStore | RecentPages) -> int:
    return store.cache.stats().ephemeral_evicted if isinstance(store, CacheStore) else store.dropped


def _read(
    store: CacheStore | RecentPages,
    views: Sequence[memoryview],
    keys: Sequence[int],
    times: array[int],
    gets: array[int],
) -> int:
    """Hits. Enters nanoseconds of each read (a miss with its put) and of each get."""
    hits = 0
    for number, key in enumerate(keys):
        start = perf_counter_ns()
        page = store.get(key)
        got = perf_counter_ns()
        if page is None:
            store.put(key, views[key])
            times[number] = perf_counter_ns() - start
        else:
            times[number] = got - start
            hits += 1
            expect(page, views[key], f"page {key}")
        gets[number] = got - start
    return hits


WORKLOAD = Workload(
    "store-limit",
    (
        Figure("hit_ratio", "", Better.HIGHER, "Share of reads that found their page."),
        Figure("evicted_per_read", "", Better.LOWER, "Pages dropped to make room, a read."),
        Figure("reads_s", "reads/s", Better.HIGHER, "Reads, a miss with the put that follows it."),
        *latency_figures("get"),
        Figure(
            "resident_over_pool",
            "",
            Better.LOWER,
            "Anonymous memory that the process grew by, over the pool's limit.",
        ),
    ),
    _run,
)
