"""How compressible the benchmarks' page data is, by several compressors.

    python -m benchmarks.page_data [--data DIR] [--pages N] [--json FILE]

Pages of real files, and pages made to ratios of 1 to 10: what LZ4 and Zstandard make of them page
by page as zcache stores them, Zstandard of runs of 8 pages (as nbdkit's memory disk does), and,
where this runs as root and the kernel has it, zram with each of its compressors; how the pages
spread, how much of them is zeros; and how fast they were made. Then pages of equal ratio by LZ4 are
compared by Zstandard, real ones and made ones.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.figures import machine, percentile, show_table
from benchmarks.zcache_memory import zram
from ramster.bench.page_templates import blob_length
from ramster.bench.pages import corpus, made, stored_ratio
from zcache import PAGE_SIZE, zstd

RATIOS = (1.0, 1.2, 1.5, 2.0, 3.0, 5.0, 7.0, 10.0)
RUN_PAGES = 8
ZRAM = ("lz4", "lzo-rle", "zstd")
BINS = ((1.2, 1.5), (1.5, 2.0), (2.0, 3.0), (3.0, 4.0), (4.0, 6.0), (6.0, 10.0))


def cut(data: bytes, size: int = PAGE_SIZE) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def zstandard_ratio(data: bytes, size: int) -> float:
    return len(data) / sum(min(size, len(zstd.compress(piece))) for piece in cut(data, size))


def figures_of(data: bytes) -> dict[str, float]:
    pages = cut(data)
    lengths = [blob_length(page) for page in pages]
    found = {"LZ4": stored_ratio(data)}
    if zstd.INSTALLED:
        found["Zstandard"] = zstandard_ratio(data, PAGE_SIZE)
        found[f"Zstandard, {RUN_PAGES} pages"] = zstandard_ratio(data, RUN_PAGES * PAGE_SIZE)
    for algorithm in ZRAM:
        stored = zram(data, algorithm)
        if stored is not None:
            found[f"zram {algorithm}"] = PAGE_SIZE / stored["blobs"]
    for share in (0.05, 0.50, 0.95):
        found[f"blob p{100 * share:.0f}"] = percentile(lengths, share)
    return found | {"zeros": data.count(0) / len(data), "most zeros": most_zeros(pages)}


def most_zeros(pages: list[bytes]) -> float:
    return max(page.count(0) for page in pages) / PAGE_SIZE


def timed(make: Callable[[], bytes]) -> float:
    """MB a second of this thread's processor time, the second time."""
    make()
    start = time.thread_time()
    size = len(make())
    return size / (time.thread_time() - start) / 1e6


def gains(pages: list[bytes]) -> dict[str, float]:
    """Zstandard's ratio over LZ4's, of pages by their ratio by LZ4; those that are mostly zeros
    left out."""
    found = {}
    for low, high in BINS:
        some = [page for page in pages if low <= PAGE_SIZE / blob_length(page) < high]
        some = [page for page in some if page.count(0) <= PAGE_SIZE // 2]
        if len(some) >= 32:
            lz4 = len(some) * PAGE_SIZE / sum(map(blob_length, some))
            found[f"{low:g} to {high:g}"] = zstandard_ratio(b"".join(some), PAGE_SIZE) / lz4
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="how compressible the benchmarks' data is")
    parser.add_argument("--data", type=Path, help="cut pages from the files of this directory")
    parser.add_argument("--pages", type=int, default=16384)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    options = parser.parse_args()
    if options.pages < 1:
        parser.error(f"--pages {options.pages}: accepted is 1 or more")
    try:
        real = corpus(options.pages, directory=options.data)
    except ValueError as error:
        parser.error(str(error))
    results: dict[str, Any] = {"machine": machine(), "corpus": figures_of(real)}
    show(f"{options.pages} pages of files", results["corpus"])
    everything = []
    for ratio in RATIOS:
        data = made(options.pages, ratio, seed=11)
        results[f"made {ratio:g}"] = found = figures_of(data)
        found["MB/s"] = timed(lambda ratio=ratio: made(options.pages, ratio, seed=12))  # type: ignore[misc]
        show(f"{options.pages} pages made to {ratio:g} : 1", found)
        everything += cut(data)
    if zstd.INSTALLED:
        results["gain, real"], results["gain, made"] = gains(cut(real)), gains(everything)
        show("Zstandard over LZ4 by ratio, real pages", results["gain, real"])
        show("Zstandard over LZ4 by ratio, made pages", results["gain, made"])
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=1))


def show(title: str, found: dict[str, float]) -> None:
    if found:
        show_table(title, [(name, f"{value:,.3f}") for name, value in found.items()])


if __name__ == "__main__":
    main()
