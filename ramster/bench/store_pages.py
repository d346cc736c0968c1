"""The workload ``store-pages``: fill a store, read it, write over it, empty it.

Covers: rates in batches, latencies of single calls, memory; on data of a ratio and a share of
same-filled pages. Does not cover: which ratios (``store_load.py``).
"""

from __future__ import annotations

import random
from time import perf_counter_ns

from ramster.bench.local_stores import CacheStore, LocalStore, ample_bytes, open_store
from ramster.bench.mapped_pages import map_made
from ramster.bench.model import Better, Context, Figure, Samples, Workload
from ramster.bench.store_measures import (
    FRAMES_OVER_BLOBS,
    RESIDENT_BYTES_PAGE,
    anonymous_bytes,
    expect,
    frames_over_blobs,
    latencies,
    latency_figures,
    page_views,
    rates,
)
from zcache import PAGE_SIZE

__all__ = ["WORKLOAD"]

_PAGES = 8192
_SINGLE_CALLS = 4096
_BATCH = 64
_CHECKED = 8
"""Every so-manyth batch or page that is read is compared."""


def _run(context: Context) -> Samples:
    pages = context.pages(_PAGES) // _BATCH * _BATCH
    ratio, same = float(context.parameters["ratio"]), float(context.parameters["same"])
    data = map_made(context.scratch, pages, ratio, seed=context.seed, same_filled=same)
    chance = random.Random(context.seed)
    into = bytearray(_BATCH * PAGE_SIZE)
    before = anonymous_bytes()
    store = open_store(context.subject, ample_bytes(pages))
    samples: dict[str, float | list[float]] = {"put_pages_s": _fill(store, data)}
    samples["resident_bytes_page"] = max(0, anonymous_bytes() - before) / pages
    if isinstance(store, CacheStore):
        stats = store.cache.stats()
        samples |= frames_over_blobs(stats)
        if stats.bytes_local:
            samples["blob_ratio"] = stats.pages_local * PAGE_SIZE / stats.bytes_local
    samples["get_pages_s"] = _read(store, data, into, chance)
    samples |= _single_calls(store, data, context.pages(_SINGLE_CALLS), chance)
    return samples


def _batches(data: memoryview) -> list[tuple[range, memoryview]]:
    pages = len(data) // PAGE_SIZE
    return [
        (range(at, at + _BATCH), data[at * PAGE_SIZE : (at + _BATCH) * PAGE_SIZE])
        for at in range(0, pages, _BATCH)
    ]


def _fill(store: LocalStore, data: memoryview) -> list[float]:
    times = []
    for run, part in _batches(data):
        start = perf_counter_ns()
        store.put_many(run, part)
        times.append(perf_counter_ns() - start)
    return rates(times, _BATCH)


def _read(
    store: LocalStore, data: memoryview, into: bytearray, chance: random.Random
) -> list[float]:
    batches = _batches(data)
    chance.shuffle(batches)
    times = []
    for number, (run, part) in enumerate(batches):
        start = perf_counter_ns()
        store.get_many(run, into)
        times.append(perf_counter_ns() - start)
        if number % _CHECKED == 0:
            expect(into, part, f"pages {run}")
    return rates(times, _BATCH)


def _single_calls(
    store: LocalStore, data: memoryview, calls: int, chance: random.Random
) -> dict[str, float | list[float]]:
    """Write over some pages, read some, flush some, one by one."""
    views = page_views(data)
    contents = list(range(len(views)))
    put, got, flushed = [], [], []
    for index in chance.choices(range(len(views)), k=calls):
        content = contents[index] = chance.randrange(len(views))
        page = views[content]
        start = perf_counter_ns()
        store.put(index, page)
        put.append(perf_counter_ns() - start)
    for number, index in enumerate(chance.choices(range(len(views)), k=calls)):
        start = perf_counter_ns()
        found = store.get(index)
        got.append(perf_counter_ns() - start)
        if number % _CHECKED == 0:
            expect(found, views[contents[index]], f"page {index}")
    for index in chance.sample(range(len(views)), min(calls, len(views))):
        start = perf_counter_ns()
        store.flush(index)
        flushed.append(perf_counter_ns() - start)
        if index % _CHECKED == 0:
            expect(store.get(index), None, f"page {index} after its flush")
    return {
        **latencies("put", put),
        **latencies("get", got),
        "flush_pages_s": rates(flushed),
    }


WORKLOAD = Workload(
    "store-pages",
    (
        Figure(
            "put_pages_s",
            "pages/s",
            Better.HIGHER,
            "New pages put, in batches of 64, into a store that is empty at first.",
        ),
        Figure("get_pages_s", "pages/s", Better.HIGHER, "Pages got, in batches of 64."),
        Figure("flush_pages_s", "pages/s", Better.HIGHER, "Pages flushed, one a call."),
        *latency_figures("put"),
        *latency_figures("get"),
        FRAMES_OVER_BLOBS,
        Figure(
            "blob_ratio",
            "",
            Better.HIGHER,
            "Bytes of pages over bytes of their blobs, same-filled pages left out.",
        ),
        RESIDENT_BYTES_PAGE,
    ),
    _run,
)
