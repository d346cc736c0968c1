"""What pages cost in memory: beside their frames, in their frames, and after most were flushed.

    python -m benchmarks.zcache_memory [--data DIR] [--pages N] [--zram-pages N] [--json FILE]

Pages of real files, over and over, into a cache without a limit, in a process of its own for each
backend. Figures: bytes a page beside the frames, by the cache's account and by the process's size;
frames against the blobs in them, as filled and compacted; then 90 per cent of the pages are flushed
at random and the cache is compacted: what the process still has, against the blobs still stored.

Where this runs as root and the kernel has zram, the same pages go to a zram device with LZ4, too:
its ``mem_used_total`` beside our frames.

The default is 4 million pages for the native cache (a twentieth for the Python one, whose
tables grow by the same bytes a page), or as many as fit into half of the memory that is free.
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.figures import machine, show_table
from ramster.bench.pages import corpus
from zcache import PAGE_SIZE
from zcache.backend import BACKENDS

CORPUS_PAGES = 16384
PAGES = 4_000_000
PYTHON_SHARE = 20
BLOB_BYTES = 2700
"""About what a page of the corpus takes, for deciding how many fit."""

FILL = """
import json, random, re, sys
from array import array
from zcache import CacheConfig, PoolKind
from zcache.backend import BACKENDS

def anonymous():
    return int(re.search(r"RssAnon:\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024

pages, data = int(sys.argv[2]), sys.stdin.buffer.read()
view, there = memoryview(data), len(data) // 4096
cache = BACKENDS[sys.argv[1]](CacheConfig(pool_bytes_max=2**40))
pool = cache.create_pool(PoolKind.PERSISTENT)
cache.put(pool, 2**64, 0, data[:4096]); cache.flush(pool, 2**64, 0)
before = anonymous()
for n in range(0, pages, 64):
    at = n % (there // 64 * 64)
    cache.put_many(pool, 1, range(n, n + 64), view[at * 4096 : (at + 64) * 4096])
full, full_bytes = cache.stats(), anonymous() - before
cache.compact()
compacted = cache.stats()
stored = full.pages_local + full.pages_same_filled
order = array("I", range(pages))
random.Random(1).shuffle(order)
for n in range(pages * 9 // 10):
    cache.flush(pool, 1, order[n])
del order
cache.compact()
left, left_bytes = cache.stats(), anonymous() - before
print(json.dumps({
    "pages": stored,
    "beside the frames, account": full.metadata_bytes / stored,
    "beside the frames, process": (full_bytes - full.frames_used * 4096) / stored,
    "blob": full.bytes_local / full.pages_local,
    "frames / blobs, filled": full.frames_used * 4096 / full.bytes_local,
    "frames / blobs, compacted": compacted.frames_used * 4096 / compacted.bytes_local,
    "left: frames / blobs": left.frames_used * 4096 / left.bytes_local,
    "left: process / blobs": left_bytes / left.bytes_local,
    "left: beside the frames, account": left.metadata_bytes / left.pages_local,
    "left: beside the frames, process":
        (left_bytes - left.frames_used * 4096) / left.pages_local,
}))
"""


def available_bytes() -> int:
    """Memory that can be used without swapping."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 2**31


def fill(backend: str, data: bytes, pages: int) -> dict[str, float]:
    """The figures of one backend, from a process of its own."""
    command = [sys.executable, "-c", FILL, backend, str(pages // 64 * 64)]
    child = subprocess.run(
        command, input=data, capture_output=True, check=True, cwd=Path(__file__).parents[1]
    )
    figures: dict[str, float] = json.loads(child.stdout)
    return figures


def zram(data: bytes, algorithm: str = "lz4") -> dict[str, float] | None:
    """``data`` in a zram device of its own: bytes it uses and bytes of blobs, a page; or None, also
    where this kernel's has no such algorithm."""
    control = Path("/sys/class/zram-control")
    if os.geteuid() != 0:
        return None
    if not control.exists() and shutil.which("modprobe"):
        subprocess.run(["modprobe", "zram", "num_devices=0"], capture_output=True, check=False)
    if not control.exists():
        return None
    number = (control / "hot_add").read_text().strip()
    device, settings = Path(f"/dev/zram{number}"), Path(f"/sys/block/zram{number}")
    try:
        there = (settings / "comp_algorithm").read_text().replace("[", "").replace("]", "")
        if algorithm not in there.split():
            return None
        (settings / "comp_algorithm").write_text(algorithm)
        (settings / "disksize").write_text(str(len(data)))
        # Around the page cache, so that all is compressed when the write is done.
        file = os.open(device, os.O_WRONLY | os.O_DIRECT)
        try:
            with mmap.mmap(-1, 2**20) as aligned:
                for at in range(0, len(data), 2**20):
                    part = data[at : at + 2**20]
                    aligned[: len(part)] = part
                    os.pwrite(file, memoryview(aligned)[: len(part)], at)
        finally:
            os.close(file)
        (settings / "compact").write_text("1")
        _, blobs, used, *_ = map(int, (settings / "mm_stat").read_text().split())
    finally:
        (settings / "reset").write_text("1")
        (control / "hot_remove").write_text(number)
    return {"blobs": blobs * PAGE_SIZE / len(data), "used": used * PAGE_SIZE / len(data)}


def frames_of(backend: str, data: bytes) -> dict[str, float]:
    """``data`` in a cache: the same two figures."""
    from zcache import CacheConfig, PoolKind

    cache = BACKENDS[backend](CacheConfig(pool_bytes_max=2**40))  # type: ignore[call-arg]
    pool = cache.create_pool(PoolKind.PERSISTENT)
    pages = len(data) // PAGE_SIZE
    for at in range(0, pages, 64):
        some = range(at, min(pages, at + 64))
        cache.put_many(pool, 1, some, data[some.start * PAGE_SIZE : some.stop * PAGE_SIZE])
    cache.compact()
    stats = cache.stats()
    return {
        "blobs": stats.bytes_local / pages,
        "used": stats.frames_used * PAGE_SIZE / pages,
        "metadata": stats.metadata_bytes / pages,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="memory of the cache, a page")
    parser.add_argument("--data", type=Path, help="cut pages from the files of this directory")
    parser.add_argument("--pages", type=int, help=f"default: {PAGES}, or what fits")
    parser.add_argument("--zram-pages", type=int, default=65536)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    options = parser.parse_args()
    try:
        data = corpus(CORPUS_PAGES, directory=options.data)
    except ValueError as error:
        parser.error(str(error))
    pages = options.pages or min(PAGES, available_bytes() // 2 // BLOB_BYTES)
    results: dict[str, Any] = {"machine": machine()}
    for backend in sorted(BACKENDS):
        some = pages if backend == "native" else max(min(pages, 65536), pages // PYTHON_SHARE)
        results[backend] = fill(backend, data, some)
        rows = [(name, f"{value:,.3f}") for name, value in results[backend].items()]
        show_table(f"memory, {backend} backend: bytes a page, or ratios", rows)
    some_data = corpus(options.zram_pages, directory=options.data)
    backend = "native" if "native" in BACKENDS else "python"
    results["same pages, cache"] = frames_of(backend, some_data)
    results["same pages, zram"] = zram(some_data)
    show_table(
        f"{len(some_data) // PAGE_SIZE} pages, LZ4, compacted: bytes a page",
        [
            (name, ", ".join(f"{what} {value:,.1f}" for what, value in figures.items()))
            for name, figures in (
                (f"{backend} cache", results["same pages, cache"]),
                ("zram", results["same pages, zram"]),
            )
            if figures
        ],
    )
    if results["same pages, zram"] is None:
        print("  zram: not measured (it takes root, and a kernel that has it)")
    if options.json is not None:
        options.json.write_text(json.dumps(results))


if __name__ == "__main__":
    main()
