"""Spilling and fetching between two nodes on loopback, and what spilling costs local gets.

    python -m benchmarks.cluster_speed [--size 64MiB] [--data DIR] [--json FILE]

One process is the lender (``ramster serve``); this one is the owner, a node on its own event loop,
so that its page store is called without a front-end. Data are pages of real files. Figures:

- spill: compressed bytes that left, a second: while pages are put as fast as the store takes them,
  and with the pool filled first and nothing else to do;
- fetch: pages in order in batches of 32 (with readahead), at random one at a time, and sixteen at
  a time;
- one local get while spills are in flight, beside the same with none. A get's time runs from the
  moment its caller is ready to be served, so that it includes waiting for the event loop: that is
  what a spill's work on the loop costs others.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.figures import machine, percentile, show_table
from ramster.config import NodeConfig
from ramster.demo.nodes import NodeProcess
from ramster.demo.sample import compression_of, read_sample
from ramster.node import Node
from ramster.quantities import parse_size
from zcache import PAGE_SIZE, PoolKind

BATCH_PAGES = 32
RANDOM_GETS = 3000
HOT_PAGES = 64
LOCAL_GETS_MIN = 1000
DATA, HOT = 1, 2  # object ids


async def until(node: Node, share: float) -> None:
    """Wait until at most ``share`` of the pool is used and nothing is in transit."""
    while True:
        figures = node.figures()
        used = figures["pool"]["used_bytes"] <= share * figures["pool"]["limit_bytes"]
        if used and figures["pages"]["in_transit"] == 0:
            return
        await asyncio.sleep(0.001)


async def until_alive(node: Node) -> None:
    """Wait until the lender answers."""
    while True:
        if node.figures()["peers"][0]["state"] == "alive":
            return
        await asyncio.sleep(0.01)


async def put_all(node: Node, pool: int, data: bytearray) -> None:
    """Put every page, in batches of one 128 KiB request."""
    view = memoryview(data)
    pages = len(data) // PAGE_SIZE
    for start in range(0, pages, BATCH_PAGES):
        stop = min(start + BATCH_PAGES, pages)
        part = view[start * PAGE_SIZE : stop * PAGE_SIZE]
        await node.store.put_many(pool, DATA, range(start, stop), part)


async def spill_while_filling(node: Node, pool: int, data: bytearray) -> dict[str, float]:
    """Put far more than the pool holds."""
    start = time.perf_counter()
    await put_all(node, pool, data)
    seconds = time.perf_counter() - start
    spilled = node.figures()["cluster"]["spill_bytes"]
    return {
        "fill_mb_s": len(data) / seconds / 1e6,
        "spill_while_filling_mb_s": spilled / seconds / 1e6,
    }


async def probe(node: Node, pool: int, done: asyncio.Event, least: int) -> list[float]:
    """Get hot pages again and again until told, and at least so often; seconds each."""
    times = []
    into = bytearray(PAGE_SIZE)
    while len(times) < least or not done.is_set():
        start = time.perf_counter()
        await asyncio.sleep(0)
        await node.store.get_many(pool, HOT, (len(times) % HOT_PAGES,), into)
        times.append(time.perf_counter() - start)
    return times


async def empty_pool(node: Node, pool: int) -> tuple[float, float]:
    """Lower the watermarks and wait until the pool has emptied to them; bytes left, seconds."""
    cache = node.store.cache
    await until(node, 0.91)
    before = node.figures()["cluster"]["spill_bytes"]
    config = cache.config
    start = time.perf_counter()
    cache.reconfigure(high_watermark=0.3, low_watermark=0.3)
    await node.store.put_many(pool, HOT, (HOT_PAGES,), bytes(PAGE_SIZE))  # a put wakes the spiller
    await until(node, 0.3)
    seconds = time.perf_counter() - start
    cache.reconfigure(high_watermark=config.high_watermark, low_watermark=config.low_watermark)
    return node.figures()["cluster"]["spill_bytes"] - before, seconds


async def local_gets(node: Node, pool: int, data: bytearray) -> dict[str, float]:
    """One local get after the other: with nothing else going on, and while the pool is emptied."""
    await put_all(node, pool, data)
    await node.store.put_many(pool, HOT, range(HOT_PAGES), data[: HOT_PAGES * PAGE_SIZE])
    await until(node, 0.91)
    ended = asyncio.Event()
    ended.set()
    idle = await probe(node, pool, ended, 5000)
    spilling: list[float] = []
    while len(spilling) < LOCAL_GETS_MIN:
        ended.clear()
        gets = asyncio.create_task(probe(node, pool, ended, 1))
        await empty_pool(node, pool)
        ended.set()
        spilling += await gets
        await put_all(node, pool, data)
    return {
        "local_get_idle_p50_us": percentile(idle, 0.5) * 1e6,
        "local_get_idle_p99_us": percentile(idle, 0.99) * 1e6,
        "local_get_while_spilling_p50_us": percentile(spilling, 0.5) * 1e6,
        "local_get_while_spilling_p99_us": percentile(spilling, 0.99) * 1e6,
        "local_get_while_spilling_max_us": max(spilling) * 1e6,
        "local_gets_while_spilling": len(spilling),
    }


async def fetch(
    node: Node, pool: int, data: bytearray, runs: Iterable[range], at_once: int
) -> list[float]:
    """Get runs of pages, ``at_once`` in flight, and compare each; seconds a get."""
    waiting = iter(runs)
    times: list[float] = []

    async def work() -> None:
        for run in waiting:
            into = bytearray(len(run) * PAGE_SIZE)
            start = time.perf_counter()
            states = await node.store.get_many(pool, DATA, run, into)
            times.append(time.perf_counter() - start)
            if 0 in states or into != data[run.start * PAGE_SIZE : run.stop * PAGE_SIZE]:
                raise AssertionError(f"pages {run}: absent or wrong")

    await asyncio.gather(*(work() for _ in range(at_once)))
    return times


async def fetch_figures(node: Node, pool: int, data: bytearray) -> dict[str, float]:
    """Fetch pages that are away, in three manners."""
    pages = len(data) // PAGE_SIZE
    everything = range(pages)
    away = [everything[at] for at in node.store.cache.peek_away(pool, DATA, everything).positions]
    chosen = random.Random(1).sample(away, min(2 * RANDOM_GETS, len(away)))
    alone, together = chosen[: len(chosen) // 2], chosen[len(chosen) // 2 :]
    single = await fetch(node, pool, data, (range(page, page + 1) for page in alone), 1)
    start = time.perf_counter()
    await fetch(node, pool, data, (range(page, page + 1) for page in together), 16)
    together_s = time.perf_counter() - start
    runs = [range(start, start + BATCH_PAGES) for start in range(0, away[-1] - 31, BATCH_PAGES)]
    start = time.perf_counter()
    await fetch(node, pool, data, runs, 1)
    in_order_s = time.perf_counter() - start
    return {
        "fetch_random_p50_us": percentile(single, 0.5) * 1e6,
        "fetch_random_p99_us": percentile(single, 0.99) * 1e6,
        "fetch_random_16_pages_s": len(together) / together_s,
        "read_in_order_mb_s": len(runs) * BATCH_PAGES * PAGE_SIZE / in_order_s / 1e6,
    }


async def measure(size: int, folder: Path | None) -> dict[str, Any]:
    """All figures, from one pair of nodes."""
    data, _ = read_sample(size, folder)
    frames = compression_of(data) * len(data)
    pool_limit = int(frames / 5) // PAGE_SIZE * PAGE_SIZE
    lender_limit = int(frames * 2)
    lender_flags = (
        *("--mode", "ramster", "--listen", "127.0.0.1:0", "--http", "off"),
        *("--pool-limit", str(lender_limit), "--lend-limit", str(int(lender_limit * 0.9))),
    )
    async with NodeProcess("lender", *lender_flags) as lender:
        config = NodeConfig(
            mode="ramster",
            name="owner",
            pool_limit=pool_limit,
            lend_limit=0,
            listen="127.0.0.1:0",
            peer=(lender.endpoints["peers"],),
            http=None,
        )
        async with Node(config) as node:
            pool = node.store.create_pool(PoolKind.PERSISTENT)
            await until_alive(node)
            results: dict[str, Any] = await spill_while_filling(node, pool, data)
            left, seconds = await empty_pool(node, pool)
            results["spill_alone_mb_s"] = left / seconds / 1e6
            results |= await fetch_figures(node, pool, data)
            results |= await local_gets(node, pool, data)
            results["pages_lost"] = node.figures()["pages"]["lost"]
            node.store.cache.verify()
    results |= {"machine": machine(), "data_mb": len(data) / 1e6, "pool_mb": pool_limit / 1e6}
    return results


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description="speed of spilling and fetching")
    parser.add_argument("--size", default="64MiB", type=parse_size)
    parser.add_argument("--data", type=Path, metavar="DIR")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    arguments = parser.parse_args()
    results = asyncio.run(measure(arguments.size, arguments.data))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(results))
    show_table(
        "Spill and fetch, two processes on loopback",
        [
            (name, f"{value:,.1f}" if isinstance(value, float) else str(value))
            for name, value in results.items()
        ],
    )


if __name__ == "__main__":
    main()
