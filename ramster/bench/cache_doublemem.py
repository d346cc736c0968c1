"""``cache-doublemem``: files twice as large as the memory of the cache in front of them.

Covers: the workload and its configuration. Does not cover: the file and the cache
(``file_cache.py``), what is behind it (``targets.py``).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import accumulate
from pathlib import Path

from ramster.bench.file_cache import DeviceFileCache, FileCache, SlowFile, StoreFileCache
from ramster.bench.model import Better, Case, Configuration, Context, Figure, Samples, Workload
from ramster.bench.stamped_pages import StampedPages, stamped
from ramster.bench.targets import SUBJECTS, Room, StoreTarget, Target, open_target
from zcache import PAGE_SIZE

__all__ = ["CONFIGURATIONS", "WORKLOADS", "order_of"]

_BUDGET_PAGES = 4096
_BUDGET_PAGES_MIN = 2048
"""With fewer the half-filled size classes of a pool take more than compression saves."""
_JOBS = 4
_BLOCK_PAGES = {"seq": 8, "uniform": 1, "zipf": 1}
"""A read of each pattern: 32 KiB in order, 4 KiB at random."""
_ZIPF_EXPONENT = 1.0
_WRITTEN_AT_ONCE = 256


def _run(context: Context) -> Samples:
    return asyncio.run(_measure(context))


async def _measure(context: Context) -> Samples:
    asked = context.parameters
    budget = context.pages(_BUDGET_PAGES, least=_BUDGET_PAGES_MIN) // 64 * 64
    pages = 2 * budget
    block_pages = _BLOCK_PAGES[str(asked["pattern"])]
    contents = stamped(float(asked["ratio"]), context.seed)
    path = context.scratch / "file"
    _write(path, contents, pages)
    room = Room(budget_bytes=budget * PAGE_SIZE, spill_ephemeral=True)
    async with open_target(
        str(asked["way"]), context.subject, room, pages, context.scratch
    ) as target:
        with SlowFile(path, float(asked["disk_us"]) / 1e6) as file:
            async with _cache_of(target, block_pages) as cache:
                reader = _Reader(file, cache, contents, block_pages)
                blocks = pages // block_pages
                for number, pattern in enumerate(["seq", str(asked["pattern"])]):
                    await _pass(reader, pattern, blocks, f"{context.seed} {number}")
                before = (await target.figures())["cache"]
                reader.hits = reader.misses = 0
                start = time.perf_counter()
                await _pass(reader, str(asked["pattern"]), blocks, f"{context.seed} measured")
                elapsed = time.perf_counter() - start
            after = (await target.figures())["cache"]
        target.check()
        reads = reader.hits + reader.misses
        return {
            "read_mb_s": reads * block_pages * PAGE_SIZE / 1e6 / elapsed,
            "hit_ratio": reader.hits / reads,
            "disk_reads": reader.misses,
            "evicted_pages": after["ephemeral_evicted"] - before["ephemeral_evicted"],
            "spilled_pages": after["pages_spilled"] - before["pages_spilled"],
            "resident_bytes": sum(target.resident_bytes().values()),
        }


def _write(path: Path, contents: StampedPages, pages: int) -> None:
    with path.open("wb") as out:
        for first in range(0, pages, _WRITTEN_AT_ONCE):
            out.write(contents.run(first, min(_WRITTEN_AT_ONCE, pages - first)))


@asynccontextmanager
async def _cache_of(target: Target, block_pages: int) -> AsyncIterator[FileCache]:
    if isinstance(target, StoreTarget):
        yield StoreFileCache(target.store, block_pages)
    else:
        async with target.connect() as device:
            yield DeviceFileCache(device, block_pages)


async def _pass(reader: _Reader, pattern: str, blocks: int, chance: str) -> None:
    """All jobs together read as many blocks as the file has."""
    orders = [list(order_of(pattern, job, blocks, f"{chance} {job}")) for job in range(_JOBS)]
    await asyncio.gather(*(reader.read(order) for order in orders))


def order_of(pattern: str, job: int, blocks: int, chance_of: str) -> Iterator[int]:
    """Blocks in the order in which a job reads them, as many as its quarter of the file has.

    In order ("seq"): its quarter, from its first block to its last. At random: any block of the
    file, evenly ("uniform") or by Zipf's law ("zipf"); the popular ones lie anywhere, and are the
    same for all jobs and at any time. ``chance_of``: equal texts give equal orders.
    """
    each = blocks // _JOBS
    if pattern == "seq":
        yield from range(job * each, (job + 1) * each)
        return
    chance = random.Random(chance_of)
    if pattern == "uniform":
        yield from (chance.randrange(blocks) for _ in range(each))
        return
    by_rank = list(range(blocks))
    random.Random(0).shuffle(by_rank)
    shares = list(accumulate(1 / rank**_ZIPF_EXPONENT for rank in range(1, blocks + 1)))
    yield from chance.choices(by_rank, cum_weights=shares, k=each)


class _Reader:
    """Reads blocks through a cache, and checks each page."""

    def __init__(
        self, file: SlowFile, cache: FileCache, contents: StampedPages, block_pages: int
    ) -> None:
        self._file = file
        self._cache = cache
        self._contents = contents
        self._block_pages = block_pages
        self.hits = 0
        self.misses = 0

    async def read(self, blocks: list[int]) -> None:
        size = self._block_pages * PAGE_SIZE
        for block in blocks:
            data = await self._cache.get(block)
            if data is None:
                self.misses += 1
                data = await self._file.read(block * size, size)
                await self._cache.put(block, data)
            else:
                self.hits += 1
            self._contents.check_run(block * self._block_pages, self._block_pages, 0, data)
            await asyncio.sleep(0)  # a store in this process gives the others no turn


_DOUBLEMEM = Workload(
    name="cache-doublemem",
    figures=(
        Figure("read_mb_s", "MB/s", Better.HIGHER, "Bytes of the file read by all jobs a second."),
        Figure("hit_ratio", "", Better.HIGHER, "Share of the reads that the cache answered."),
        Figure("disk_reads", "reads", Better.LOWER, "Reads that went to the file."),
        Figure("evicted_pages", "pages", Better.LOWER, "Ephemeral pages that the store dropped."),
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
{_JOBS} jobs read a file of twice the budget through a cache: in order in pieces of 32 KiB, each
job its quarter, or at random in pieces of 4 KiB, evenly or by Zipf's law (exponent
{_ZIPF_EXPONENT:g}). What is not in the cache is read from a real file in the scratch folder and
put into the cache. In each of three passes the jobs read as many bytes as the file has: in order,
so that each block has been asked for once, then twice by the pattern, of which the second time is
measured. Every page is checked.

After MMTests' config-io-fio-seqread-doublemem-32k-4t and config-io-fio-randread-doublemem-4k-4t,
which report read bandwidth of fio with files of twice the memory.

Over the Python API the cache is an ephemeral pool: the store drops pages as it likes (plain memory
the least recently used), and ramster spills them to a lender of the budget's size. Over NBD a
device must keep what was written, so the program keeps the list of blocks, and discards the least
recently used ones when a write is refused, as caches on a disk do; ramster's device spills.

The budget is {_BUDGET_PAGES * PAGE_SIZE >> 20} MiB for every subject. ratio says how far the file
compresses (1.0: not at all, where a compressed cache can only lose).

What makes the figures doubtful:
- The file is in the kernel's page cache, so each read of it waits until disk_us microseconds after
  it was asked: read_mb_s says as much about that number as about the cache. Look at hit_ratio.
- A pass in order over more than the memory is the worst case of a cache that drops the least
  recently used page: it hits nothing. Real readers are kinder.
- Evenly random reads hit as often as the cache holds of the file, whatever it drops; only Zipf's
  law tells a cache that chooses well from one that does not.
- The jobs are tasks of one thread; where they wait for the disk they wait together.
"""

WORKLOADS = (_DOUBLEMEM,)
CONFIGURATIONS = (
    Configuration(
        name="cache-doublemem",
        summary="a file of twice the memory, read in order and at random through a cache",
        text=_TEXT,
        cases=tuple(
            Case(
                "cache-doublemem",
                subject,
                {"way": way, "pattern": pattern, "ratio": ratio, "disk_us": 100},
            )
            for way in ("api", "nbd")
            for pattern, ratio in (("seq", 2.5), ("uniform", 2.5), ("zipf", 2.5), ("zipf", 1.0))
            for subject in SUBJECTS
        ),
    ),
)
