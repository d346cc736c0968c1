"""Speed and memory of the cache, against bare LZ4 over the same pages in the same run.

    python benchmarks/zcache_speed.py [--data DIR] [--pages N] [--rounds N] [--json FILE]

Pages are cut from real files: by default the standard library's sources and shared objects, half of
the pages from each. Every round measures every operation once, one after the other; printed are
medians over rounds, and for operations that should be short also the longest single call.

Times are CPU time of the thread, user and system, so that waiting for a CPU does not count; still,
other load slows memory and caches for all. What makes a number meaningless: data unlike yours
(``--data``); a comparison of numbers from different runs, because bare LZ4 alone varies by a third
from run to run on a shared machine.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import lz4.block

from zcache import PAGE_SIZE, Cache, CacheConfig, PoolKind

BATCH = 128


def load(directory: Path | None, pages: int) -> bytes:
    """``pages`` pages cut from files, whole pages only."""
    if directory is not None:
        return cut(sorted(p for p in directory.rglob("*") if p.is_file()), pages)
    stdlib = Path(sysconfig.get_paths()["stdlib"])
    sources = cut(sorted(stdlib.glob("*.py")), pages // 2)
    libraries = sorted(stdlib.glob("lib-dynload/*.so")) + sorted(
        Path("/usr/lib").glob("*-linux-gnu/*.so*")
    )
    return sources + cut(libraries, pages - len(sources) // PAGE_SIZE)


def cut(files: list[Path], pages: int) -> bytes:
    data = bytearray()
    for path in files:
        content = path.read_bytes()
        data += content[: len(content) // PAGE_SIZE * PAGE_SIZE]
        if len(data) >= pages * PAGE_SIZE:
            break
    return bytes(data[: pages * PAGE_SIZE])


def timed(body: Callable[[], object]) -> float:
    start = time.thread_time()
    body()
    return time.thread_time() - start


def drain(calls: Iterator[object]) -> None:
    for _ in calls:
        pass


def one_round(data: bytes) -> tuple[dict[str, float], dict[str, float]]:
    """Seconds a page by operation, and the longest single call in seconds."""
    pages = len(data) // PAGE_SIZE
    view = memoryview(data)
    cuts = [view[at : at + PAGE_SIZE] for at in range(0, len(data), PAGE_SIZE)]
    batches = [range(at, min(at + BATCH, pages)) for at in range(0, pages, BATCH)]
    parts = [view[b.start * PAGE_SIZE : b.stop * PAGE_SIZE] for b in batches]
    compress, decompress = lz4.block.compress, lz4.block.decompress
    into = bytearray(BATCH * PAGE_SIZE)
    cache = Cache(CacheConfig(pool_bytes_max=2 * len(data) + 2**20))
    pool = cache.create_pool(PoolKind.PERSISTENT)
    blobs: list[bytes] = []

    def all_pages() -> range:
        return range(pages)

    seconds = {
        "bare compress": timed(lambda: blobs.extend(compress(c, store_size=False) for c in cuts)),
        "bare decompress": timed(
            lambda: drain(decompress(b, uncompressed_size=PAGE_SIZE) for b in blobs)
        ),
        "put_many": timed(
            lambda: drain(
                cache.put_many(pool, 1, b, p) for b, p in zip(batches, parts, strict=True)
            )
        ),
        "get_many": timed(lambda: drain(cache.get_many(pool, 1, b, into) for b in batches)),
        "put_many (overwrite)": timed(
            lambda: drain(
                cache.put_many(pool, 1, b, p) for b, p in zip(batches, parts, strict=True)
            )
        ),
        "get": timed(lambda: drain(cache.get(pool, 1, n) for n in all_pages())),
        "flush": timed(lambda: drain(cache.flush(pool, 1, n) for n in all_pages())),
        "put": timed(lambda: drain(cache.put(pool, 1, n, cuts[n]) for n in all_pages())),
    }
    longest = {"begin_spill(256 KiB)": 0.0, "cancel_spill": 0.0, "compact(8)": 0.0, "stats": 0.0}
    for _ in range(20):
        start = time.thread_time()
        ticket = cache.begin_spill(256 * 1024)
        longest["begin_spill(256 KiB)"] = max(
            longest["begin_spill(256 KiB)"], time.thread_time() - start
        )
        assert ticket is not None
        start = time.thread_time()
        cache.cancel_spill(ticket)
        longest["cancel_spill"] = max(longest["cancel_spill"], time.thread_time() - start)
    for n in range(0, pages, 2):
        cache.flush(pool, 1, n)
    while True:
        start = time.thread_time()
        freed = cache.compact(8)
        longest["compact(8)"] = max(longest["compact(8)"], time.thread_time() - start)
        if not freed:
            break
    longest["stats"] = timed(cache.stats)
    return {name: value / pages for name, value in seconds.items()}, longest


FILL = """
import re, sys
from zcache import Cache, CacheConfig, PoolKind
def rss():
    return int(re.search(r"RssAnon:\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024
data = sys.stdin.buffer.read()
pages, rounds = len(data) // 4096, int(sys.argv[1])
cache = Cache(CacheConfig(pool_bytes_max=2**40))
pool = cache.create_pool(PoolKind.PERSISTENT)
cache.put(pool, 2**64, 0, data[:4096]); cache.flush(pool, 2**64, 0)
before = rss()
for n in range(0, rounds * pages, 64):
    at = n % (pages // 64 * 64)
    cache.put_many(pool, 1, range(n, n + 64), data[at * 4096 : (at + 64) * 4096])
stats = cache.stats()
stored = stats.pages_local
print(stored, (rss() - before - stats.frames_used * 4096) / stored, stats.metadata_bytes / stored,
      stats.frames_used * 4096 / stored, stats.bytes_local / stored)
"""


def memory(data: bytes) -> dict[str, float]:
    """Bytes a page beside the frames, of a process of its own, and by the cache's account."""
    child = subprocess.run(
        [sys.executable, "-c", FILL, "20"], input=data, capture_output=True, check=True
    )
    figures = [float(figure) for figure in child.stdout.split()]
    stored, real, account, frames, blobs = figures
    return {
        "pages": stored,
        "frames": frames,
        "blobs": blobs,
        "beside the frames, real": real,
        "beside the frames, account": account,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="cut pages from the files of this directory")
    parser.add_argument("--pages", type=int, default=8192)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write all numbers to this file")
    options = parser.parse_args()
    data = load(options.data, options.pages)
    pages = len(data) // PAGE_SIZE
    if pages < BATCH:
        parser.error(f"{pages} whole pages found; at least {BATCH} are needed")
    one_round(data)  # warm up
    rounds = [one_round(data) for _ in range(options.rounds)]
    median = {
        name: statistics.median(seconds[name] for seconds, _ in rounds) * 1e6
        for name in rounds[0][0]
    }
    longest = {name: max(r[name] for _, r in rounds) * 1e3 for name in rounds[0][1]}
    print(f"{pages} pages, medians of {options.rounds} rounds, us a page; share = bare / operation")
    for name, value in median.items():
        bare = "bare decompress" if name.startswith("get") else "bare compress"
        share = f"{median[bare] / value:6.2f}" if name.startswith(("get", "put")) else ""
        print(f"  {name:24}{value:8.2f} {share}")
    print("longest single call, ms")
    for name, value in longest.items():
        print(f"  {name:24}{value:8.2f}")
    taken = memory(data)
    print("memory, bytes a page")
    for name, value in taken.items():
        print(f"  {name:28}{value:10.1f}")
    if options.json:
        result = {"us_a_page": median, "longest_ms": longest, "memory": taken}
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
