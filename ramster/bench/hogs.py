"""Hogs: clients that write pages as fast as they can until they are stopped.

Covers: one hog as a task, and as a process of its own over NBD. Does not cover: what they hinder.

A refused write stops no hog; it goes on with the next pages.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from ramster.bench.device_pages import DevicePages, NbdPages, PagesRefusedError
from ramster.bench.stamped_pages import StampedPages, stamped
from ramster.bench.targets import DeviceTarget, Target
from ramster.demo.nodes import NodeProcess
from ramster.nbd.client import NbdClient

__all__ = ["BATCH_PAGES", "HogProcess", "hogs_at_work", "main", "write_pass"]

BATCH_PAGES = 32
"""Pages in one write, 128 KiB."""


async def write_pass(
    device: DevicePages,
    contents: StampedPages,
    first: int,
    pages: int,
    version: int,
    stopped: Callable[[], bool],
) -> int:
    """Write pages first .. first + pages - 1 once, or until ``stopped()``.

    Returns how many writes were refused.
    """
    refused = 0
    for at in range(first, first + pages, BATCH_PAGES):
        if stopped():
            break
        count = min(BATCH_PAGES, first + pages - at)
        try:
            await device.write(at, contents.run(at, count, version))
        except PagesRefusedError:
            refused += 1
        await asyncio.sleep(0)  # a store in this process gives the others no turn
    return refused


async def _push(
    device: DevicePages, contents: StampedPages, first: int, pages: int, stop: asyncio.Event
) -> None:
    version = 0
    while not stop.is_set():
        await write_pass(device, contents, first, pages, version, stop.is_set)
        version += 1


@asynccontextmanager
async def hogs_at_work(
    target: Target, hogs: int, first: int, pages: int, ratio: float, seed: int
) -> AsyncIterator[None]:
    """``hogs`` of them, each with its part of the pages from ``first`` on, inside of the block.

    Tasks where the store is in this process, processes where it is behind NBD.
    """
    each = pages // hogs
    async with AsyncExitStack() as stack:
        if isinstance(target, DeviceTarget):
            for hog in range(hogs):
                flags = {
                    "url": target.url,
                    "export": target.export,
                    "first": first + hog * each,
                    "pages": each,
                    "ratio": ratio,
                    "seed": seed,
                }
                words = [word for key, value in flags.items() for word in (f"--{key}", str(value))]
                await stack.enter_async_context(HogProcess(f"hog{hog}", *words))
            yield
            return
        stop = asyncio.Event()
        contents = stamped(ratio, seed)
        tasks = []
        for hog in range(hogs):
            device = await stack.enter_async_context(target.connect())
            work = _push(device, contents, first + hog * each, each, stop)
            tasks.append(asyncio.create_task(work, name=f"hog{hog}"))
        try:
            yield
        finally:
            stop.set()
            await asyncio.wait(tasks)
        for task in tasks:
            task.result()


class HogProcess(NodeProcess):
    """A hog as a process that ends with this one; see ``main`` for its flags."""

    program = "from ramster.bench.hogs import main; sys.exit(main(sys.argv[1:]))"


def main(arguments: Sequence[str]) -> int:
    """Write until SIGTERM; ready once the first batch was sent."""
    parser = argparse.ArgumentParser(prog="hog")
    for text in ("--name", "--url", "--export"):
        parser.add_argument(text, required=True)
    for number in ("--first", "--pages", "--seed"):
        parser.add_argument(number, type=int, required=True)
    parser.add_argument("--ratio", type=float, required=True)
    asyncio.run(_hog(parser.parse_args(arguments)))
    return 0


async def _hog(asked: argparse.Namespace) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    contents = stamped(asked.ratio, asked.seed)
    async with await NbdClient.connect(asked.url, asked.export) as client:
        device = NbdPages(client)
        first = min(BATCH_PAGES, asked.pages)
        await write_pass(device, contents, asked.first, first, 0, stop.is_set)
        print(f"hog: ready pages={asked.pages}", file=sys.stderr, flush=True)
        await _push(device, contents, asked.first, asked.pages, stop)
