"""``peers-zram``: the cache in a program beside the kernel's own, a zram device.

Covers: the workload and its configuration. Does not cover: the device (``zram_device.py``).
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ramster.bench.model import (
    Better,
    Case,
    Configuration,
    Context,
    Figure,
    Samples,
    Subject,
    Workload,
    WorkloadUnavailable,
)
from ramster.bench.pages import corpus
from ramster.bench.tail_latency import tail_figures, tail_samples
from ramster.bench.zram_device import open_zram
from zcache import PAGE_SIZE, Cache, CacheConfig, PoolKind

__all__ = ["CONFIGURATIONS", "WORKLOADS"]

_PAGES = 32768
_PAGES_MIN = 512


@dataclass(frozen=True, slots=True)
class _Pages:
    """What is measured, whatever it is."""

    put: Callable[[int, bytes], None]
    get: Callable[[int], object]
    taken: Callable[[], int]
    """Bytes of memory."""


@contextlib.contextmanager
def _open(subject: Subject, size_bytes: int) -> Iterator[_Pages]:
    if subject is Subject.ZRAM:
        with open_zram(size_bytes) as device:
            yield _Pages(device.write, device.read, device.frame_bytes)
        return
    if subject is not Subject.ZCACHE:
        raise WorkloadUnavailable(f"{subject}: accepted is {Subject.ZCACHE} or {Subject.ZRAM}")
    cache = Cache(CacheConfig(pool_bytes_max=2 * size_bytes))
    pool = cache.create_pool(PoolKind.PERSISTENT)

    def taken() -> int:
        stats = cache.stats()
        return stats.frames_used * PAGE_SIZE + stats.metadata_bytes

    yield _Pages(
        lambda number, page: cache.put(pool, 1, number, page),
        lambda number: cache.get(pool, 1, number),
        taken,
    )


def _run(context: Context) -> Samples:
    count = context.pages(_PAGES, least=_PAGES_MIN)
    with _open(context.subject, count * PAGE_SIZE) as pages:
        data = corpus(count, seed=context.seed)
        before = pages.taken()
        puts = []
        for number in range(count):
            page = data[number * PAGE_SIZE : (number + 1) * PAGE_SIZE]
            start = time.perf_counter()
            pages.put(number, page)
            puts.append(time.perf_counter() - start)
        taken = pages.taken() - before
        order = list(range(count))
        random.Random(context.seed).shuffle(order)
        gets = []
        for number in order:
            start = time.perf_counter()
            found = pages.get(number)
            gets.append(time.perf_counter() - start)
            expected = data[number * PAGE_SIZE : (number + 1) * PAGE_SIZE]
            assert found == expected, f"page {number} came back wrong"
    return {
        "put_pages_s": count / sum(puts),
        "get_pages_s": count / sum(gets),
        **tail_samples("put", puts),
        **tail_samples("get", gets),
        "taken_bytes_page": taken / count,
    }


_ZRAM = Workload(
    name="peers-zram",
    figures=(
        Figure("put_pages_s", "pages/s", Better.HIGHER, "Pages put, one a call, in order."),
        Figure("get_pages_s", "pages/s", Better.HIGHER, "Pages got, one a call, at random."),
        *tail_figures("put", "Putting one page"),
        *tail_figures("get", "Getting one page"),
        Figure(
            "taken_bytes_page",
            "bytes",
            Better.LOWER,
            "Memory for a page of 4096 bytes: frames, and the cache's index.",
        ),
    ),
    run=_run,
)

_TEXT = f"""\
{_PAGES} pages of real files, put in order and got at random, one a call from one Python thread,
each compared. zcache is the cache in this program; zram is a device of the kernel's, added for this
and removed again, read and written past the page cache (O_DIRECT). Both compress with LZ4 and pack
with zsmalloc's rules. Without root the device is skipped.

What makes the figures doubtful: a zram page costs a system call and the block layer, a zcache page
a call into Python's extension; in real use zram is reached by page faults and costs a program no
call at all, and zcache mostly by a block device or a socket (peers-block, peers-kv). The cache's
index is counted and zram's table of slots (16 bytes a page) is not, as the kernel does not tell.
zram's zspages are as long as the kernel was built for, zcache's 8 frames.
"""

WORKLOADS = (_ZRAM,)
CONFIGURATIONS = (
    Configuration(
        name="peers-zram",
        summary="the cache in a program beside a zram device of the kernel (root)",
        text=_TEXT,
        cases=tuple(
            Case("peers-zram", subject, {"codec": "lz4"})
            for subject in (Subject.ZCACHE, Subject.ZRAM)
        ),
    ),
)
