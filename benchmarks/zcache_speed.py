"""Speed of the cache, each backend against LZ4 alone over the same pages in the same run.

    python -m benchmarks.zcache_speed [--data DIR] [--pages N] [--rounds N] [--json FILE]

Pages are cut from real files of mixed compressibility. Every round measures every operation once,
backends and bare loops one after the other; printed are medians over rounds, as microseconds a page
and as multiples of the bare loop: for the native backend a loop in Rust around the same LZ4, for
the Python one a loop in Python around the package lz4. For operations that should be short the
longest single call is printed, too.

The first puts into a new cache pay for memory that the system has to clear and map, about 1.4 us a
frame; later ones use frames again. Both are shown.

Single-threaded times are CPU time of the thread, user and system, so that waiting for a CPU does
not count; still, other load slows memory and caches for all. Two threads are measured by the clock:
each works on pages of its own in one cache, and the figure is pages a second of both against those
of one; it means nothing where anything else wants a CPU. What makes a number meaningless: data
unlike yours (``--data``); a comparison of numbers from different runs.
"""

from __future__ import annotations

import argparse
import json
import statistics
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import lz4.block

from benchmarks.figures import machine, show_table
from ramster.bench.pages import corpus
from zcache import PAGE_SIZE, CacheConfig, CacheContract, PoolKind
from zcache.backend import BACKENDS

BATCH = 64
LOADS = {"put": 1, "get": 0, "read-mostly": 10, "mixed": 2}
"""What threads do: of so many batches one is put, the others are got; 0: none is put."""

Batch = tuple[range, memoryview]


def timed(body: Callable[[], object]) -> float:
    """CPU seconds of this thread."""
    start = time.thread_time()
    body()
    return time.thread_time() - start


def drain(calls: Iterable[object]) -> None:
    """Do them all."""
    for _ in calls:
        pass


def batches_of(data: bytes) -> list[Batch]:
    """Indexes and pages of each batch."""
    view, pages = memoryview(data), len(data) // PAGE_SIZE
    runs = [range(at, min(at + BATCH, pages)) for at in range(0, pages, BATCH)]
    return [(run, view[run.start * PAGE_SIZE : run.stop * PAGE_SIZE]) for run in runs]


def new_cache(backend: str, data: bytes, factor: int = 2) -> tuple[CacheContract, int]:
    """A cache with room for everything, and a pool of it."""
    limit = factor * len(data) + 2**20
    cache = BACKENDS[backend](CacheConfig(pool_bytes_max=limit))  # type: ignore[call-arg]
    return cache, cache.create_pool(PoolKind.PERSISTENT)


def bare_python(data: bytes) -> dict[str, float]:
    """The package lz4 in a loop."""
    view = memoryview(data)
    cuts = [view[at : at + PAGE_SIZE] for at in range(0, len(data), PAGE_SIZE)]
    compress, decompress = lz4.block.compress, lz4.block.decompress
    blobs: list[bytes] = []
    return {
        "bare compress": timed(lambda: blobs.extend(compress(c, store_size=False) for c in cuts)),
        "bare decompress": timed(
            lambda: drain(decompress(b, uncompressed_size=PAGE_SIZE) for b in blobs)
        ),
    }


def bare_rust(data: bytes) -> dict[str, float]:
    """The native core's LZ4 in a loop in Rust."""
    from zcache import _native

    lengths, blocks = _native._bare_compress(data, True)
    into = bytearray(len(data))
    return {
        "bare compress": timed(lambda: _native._bare_compress(data, False)),
        "bare decompress": timed(lambda: _native._bare_decompress(lengths, blocks, into)),
    }


def one_round(backend: str, data: bytes) -> tuple[dict[str, float], dict[str, float]]:
    """Seconds a page by operation, and the longest single call in seconds."""
    pages = len(data) // PAGE_SIZE
    view = memoryview(data)
    cuts = [view[at : at + PAGE_SIZE] for at in range(0, len(data), PAGE_SIZE)]
    batches = batches_of(data)
    into = bytearray(BATCH * PAGE_SIZE)
    cache, pool = new_cache(backend, data)

    def puts() -> None:
        drain(cache.put_many(pool, 1, run, part) for run, part in batches)

    def flush_and_put() -> float:
        """Every page anew, in a cache that is full of others: seconds of the puts alone."""
        took = 0.0
        for run, part in batches:
            cache.flush_range(pool, 1, run.start, run.stop)
            start = time.thread_time()
            cache.put_many(pool, 1, run, part)
            took += time.thread_time() - start
        return took

    seconds = bare_rust(data) if backend == "native" else bare_python(data)
    seconds |= {
        "put_many (first use of memory)": timed(puts),
        "put_many (cache in use)": flush_and_put(),
        "get_many": timed(lambda: drain(cache.get_many(pool, 1, r, into) for r, _ in batches)),
        "put_many (over older pages)": timed(puts),
        "get": timed(lambda: drain(cache.get(pool, 1, n) for n in range(pages))),
        "put (over older pages)": timed(
            lambda: drain(cache.put(pool, 1, n, cut) for n, cut in enumerate(cuts))
        ),
        "flush": timed(lambda: drain(cache.flush(pool, 1, n) for n in range(pages))),
    }
    puts()
    return {name: value / pages for name, value in seconds.items()}, short_calls(cache, pool, pages)


def short_calls(cache: CacheContract, pool: int, pages: int) -> dict[str, float]:
    """The longest single call, in seconds, of those that an event loop makes."""
    longest = dict.fromkeys(("begin_spill(256 KiB)", "cancel_spill", "compact(8)", "stats"), 0.0)

    def note(name: str, body: Callable[[], Any]) -> Any:
        start = time.thread_time()
        result = body()
        longest[name] = max(longest[name], time.thread_time() - start)
        return result

    for _ in range(20):
        ticket = note("begin_spill(256 KiB)", lambda: cache.begin_spill(256 * 1024))
        note("cancel_spill", lambda ticket=ticket: cache.cancel_spill(ticket))
    for n in range(0, pages, 2):
        cache.flush(pool, 1, n)
    while note("compact(8)", lambda: cache.compact(8)):
        pass
    note("stats", cache.stats)
    return longest


def pages_a_second(backend: str, load: str, data: bytes, threads: int, rounds: int) -> float:
    """What so many threads get done together, each on an object of its own."""
    batches = batches_of(data)
    cache, pool = new_cache(backend, data, 2 * threads)
    for number in range(threads):
        drain(cache.put_many(pool, number, run, part) for run, part in batches)
    every = LOADS[load]
    begin, end = threading.Barrier(threads + 1), threading.Barrier(threads + 1)

    def work(number: int) -> None:
        into = bytearray(BATCH * PAGE_SIZE)
        begin.wait()
        for _ in range(rounds):
            for at, (run, part) in enumerate(batches):
                if every and at % every == 0:
                    cache.put_many(pool, number, run, part)
                else:
                    cache.get_many(pool, number, run, into)
        end.wait()

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    begin.wait()
    start = time.perf_counter()
    end.wait()
    took = time.perf_counter() - start
    for worker in workers:
        worker.join()
    return threads * rounds * len(data) / PAGE_SIZE / took


def measure_threads(backend: str, data: bytes, rounds: int) -> dict[str, tuple[float, float]]:
    """Medians of pages a second, of one thread and of two."""
    found = {}
    for load_name in LOADS:
        repeats = {"put": 2, "mixed": 3}.get(load_name, 8)
        if backend != "native":
            repeats = 1
        samples = [
            [pages_a_second(backend, load_name, data, threads, repeats) for threads in (1, 2)]
            for _ in range(rounds)
        ]
        one, two = (statistics.median(column) for column in zip(*samples, strict=True))
        found[load_name] = (one, two)
    return found


def show(backend: str, median: dict[str, float], longest: dict[str, float]) -> None:
    """The table of one backend."""
    rows = []
    for name, value in median.items():
        bare = "bare decompress" if "get" in name else "bare compress"
        times = f"{value / median[bare]:6.2f} x bare" if "put" in name or "get" in name else ""
        rows.append((name, f"{value:8.2f} us a page {times}"))
    show_table(f"{backend} backend, batches of {BATCH} pages", rows)
    show_table("longest single call", [(n, f"{v:8.3f} ms") for n, v in longest.items()])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="speed of the cache against bare LZ4")
    parser.add_argument("--data", type=Path, help="cut pages from the files of this directory")
    parser.add_argument("--pages", type=int, default=8192)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    options = parser.parse_args()
    if options.pages < BATCH:
        parser.error(f"--pages {options.pages}: accepted is {BATCH} or more")
    try:
        data = corpus(options.pages, directory=options.data)
    except ValueError as error:
        parser.error(str(error))
    pages = len(data) // PAGE_SIZE
    samples: dict[str, list[Any]] = {backend: [] for backend in sorted(BACKENDS)}
    for number in range(options.rounds + 1):  # the first one warms up
        for backend, rounds in samples.items():
            result = one_round(backend, data)
            if number:
                rounds.append(result)
    results: dict[str, Any] = {"machine": machine(), "pages": pages}
    for backend, rounds in samples.items():
        median = {
            name: statistics.median(seconds[name] for seconds, _ in rounds) * 1e6
            for name in rounds[0][0]
        }
        longest = {name: max(most[name] for _, most in rounds) * 1e3 for name in rounds[0][1]}
        threads = measure_threads(backend, data[: len(data) // 2], options.rounds)
        show(backend, median, longest)
        show_table(
            "threads, pages a second",
            [
                (name, f"one {one:>9,.0f}, two {two:>9,.0f}: {two / one:5.2f}")
                for name, (one, two) in threads.items()
            ],
        )
        results[backend] = {"us_a_page": median, "longest_ms": longest, "threads": threads}
    if options.json is not None:
        options.json.write_text(json.dumps(results))


if __name__ == "__main__":
    main()
