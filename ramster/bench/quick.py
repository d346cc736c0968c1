"""The configuration ``quick``: a look at a change in under three minutes.

Covers: which cases it takes from the other modules. Does not cover: their workloads.
"""

from __future__ import annotations

import time

from ramster.bench.calibration import fixed_data
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
from zcache import PAGE_SIZE, Cache, CacheConfig, PoolKind

__all__ = ["CONFIGURATIONS", "WORKLOADS"]

_BATCH = 64
_PASSES = 5


def _put_get(context: Context) -> Samples:
    pages = context.pages(8192)
    data = memoryview(fixed_data(_BATCH))
    cache = Cache(CacheConfig(pool_bytes_max=2 * pages * PAGE_SIZE))
    pool = cache.create_pool(PoolKind.PERSISTENT)
    runs = [range(at, min(at + _BATCH, pages)) for at in range(0, pages, _BATCH)]
    put, got = [], []
    into = bytearray(len(data))
    for _ in range(_PASSES):
        start = time.perf_counter()
        for run in runs:
            cache.put_many(pool, 1, run, data[: len(run) * PAGE_SIZE])
        middle = time.perf_counter()
        for run in runs:
            cache.get_many(pool, 1, run, into)
        put.append(pages / (middle - start))
        got.append(pages / (time.perf_counter() - middle))
    assert into[: len(runs[-1]) * PAGE_SIZE] == data[: len(runs[-1]) * PAGE_SIZE]
    return {"put_pages_s": put, "get_pages_s": got}


WORKLOADS = (
    Workload(
        "cache-put-get",
        (
            Figure("put_pages_s", "pages/s", Better.HIGHER, "Pages put, in batches of 64."),
            Figure("get_pages_s", "pages/s", Better.HIGHER, "Pages got, in batches of 64."),
        ),
        _put_get,
    ),
)
CONFIGURATIONS = (
    Configuration(
        "quick",
        "a handful of cases in under three minutes",
        "Puts pages into a cache and gets them back.",
        (Case("cache-put-get", Subject.ZCACHE),),
        rounds=7,
    ),
)
