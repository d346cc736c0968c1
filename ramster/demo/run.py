"""The demo's course: data, nodes, passes, figures.

Covers: who is started with how much room, and the order of things. Does not cover: flags and output
(``commands/demo.py``).
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from ramster.config import Mode
from ramster.demo.nodes import NodeProcess, NodeProcessError
from ramster.demo.progress import Progress
from ramster.demo.report import DemoReport
from ramster.demo.sample import compression_of, read_sample
from ramster.demo.workload import Workload
from ramster.figures import Figures
from ramster.nbd.client import NbdClient
from ramster.quantities import show_size
from ramster.stats_client import fetch_figures
from zcache import PAGE_SIZE

__all__ = ["RANDOM_PAGES", "DemoPlan", "run_demo"]

RANDOM_PAGES = 8192
"""Most pages read at random."""

_EXPORT = "disk"
_ACQUAINTED_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoPlan:
    """What is asked for."""

    mode: Mode = Mode.RAMSTER
    size_bytes: int
    folder: Path | None = None
    seed: int = 0
    connect: tuple[str, str] | None = None
    """NBD address and export of a node that runs already."""
    stats_url: str = ""
    """Where that node serves its figures."""


async def run_demo(plan: DemoPlan, progress: Progress) -> DemoReport:
    """Run it; nodes that it started are gone when it returns or raises."""
    data, files = read_sample(plan.size_bytes, plan.folder)
    progress.say(f"data: {show_size(len(data))} of {files} files")
    async with AsyncExitStack() as nodes:
        if plan.connect is not None:
            return await _measure(plan, progress, data, files, plan.connect, plan.stats_url, {})
        owner, lenders = await _start_nodes(plan, progress, data, nodes)
        report = await _measure(
            plan,
            progress,
            data,
            files,
            (owner.endpoints["nbd"], _EXPORT),
            owner.endpoints["http"],
            {lender.name: lender.endpoints["http"] for lender in lenders},
        )
        for node in (owner, *lenders):
            node.check()
        return report


async def _start_nodes(
    plan: DemoPlan, progress: Progress, data: bytearray, nodes: AsyncExitStack
) -> tuple[NodeProcess, list[NodeProcess]]:
    """Node a, and in ramster mode b and c, which lend to it.

    Alone, a has room for all. With peers it has room for a fifth, as compressed as the data are,
    and each lender for three quarters of it.
    """
    needed = int(len(data) * compression_of(data)) + 2**20
    flags = ["--http", "127.0.0.1:0", "--nbd", "tcp://127.0.0.1:0"]
    flags += ["--export", f"{_EXPORT}={len(data)}", "--mode", plan.mode]
    if plan.mode is Mode.ZCACHE:
        progress.say(f"node a: room for {show_size(needed * 1.2)}, no peers")
        alone = NodeProcess("a", *flags, "--pool-limit", str(int(needed * 1.2)))
        return await nodes.enter_async_context(alone), []
    lenders = []
    for name in ("b", "c"):
        room = str(needed * 3 // 4 + 4 * 2**20)
        lender = NodeProcess(
            name,
            *("--mode", "ramster", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"),
            *("--pool-limit", room, "--lend-limit", room),
        )
        lenders.append(await nodes.enter_async_context(lender))
    for lender in lenders:
        flags += ["--peer", lender.endpoints["peers"]]
    pool = str(max(needed // 5, 16 * PAGE_SIZE))
    owner = NodeProcess(
        "a", *flags, "--listen", "127.0.0.1:0", "--pool-limit", pool, "--lend-limit", "0"
    )
    await nodes.enter_async_context(owner)
    await _wait_acquainted(owner)
    progress.say(
        f"node a: room for {show_size(int(pool))}; b and c lend {show_size(int(room))} each"
    )
    return owner, lenders


async def _wait_acquainted(owner: NodeProcess) -> None:
    deadline = time.monotonic() + _ACQUAINTED_S
    while True:
        figures = await asyncio.to_thread(fetch_figures, owner.endpoints["http"])
        states = {peer["address"]: peer["state"] for peer in figures["peers"]}
        if set(states.values()) == {"alive"}:
            return
        if time.monotonic() > deadline:
            raise NodeProcessError(f"node {owner.name} does not reach its peers: {states}")
        await asyncio.sleep(0.05)


async def _measure(
    plan: DemoPlan,
    progress: Progress,
    data: bytearray,
    files: int,
    device: tuple[str, str],
    stats_url: str,
    lender_urls: dict[str, str],
) -> DemoReport:
    async def figures(url: str) -> Figures:
        return await asyncio.to_thread(fetch_figures, url)

    before = await figures(stats_url)
    async with await NbdClient.connect(*device) as client:
        if client.size < len(data):
            del data[client.size // PAGE_SIZE * PAGE_SIZE :]
            progress.say(f"the export is smaller: {show_size(len(data))} are used")
        workload = Workload(client, data, progress)
        phases = [await workload.write()]
        written = await figures(stats_url)
        phases.append(await workload.read_in_order())
        phases.append(await workload.read_at_random(RANDOM_PAGES, plan.seed))
    return DemoReport(
        data_bytes=len(data),
        files=files,
        before=before,
        written=written,
        after=await figures(stats_url),
        lenders={name: await figures(url) for name, url in lender_urls.items()},
        phases=phases,
        unwritten_pages=workload.unwritten_pages,
    )
