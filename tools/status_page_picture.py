"""Make the picture of the status page that is in docs/, from a live cluster with real data.

``python -m tools.status_page_picture docs/status-page.png`` starts three nodes as ``ramster
demo`` does, writes the demo's data to the first one again and again, reads it back, and takes the
picture after a while. With ``--url http://127.0.0.1:7780`` it takes that of a node that runs, as in
the cluster of docker-compose.yml. Needs Chromium and its driver (``install_browser.sh``).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import time
from contextlib import AsyncExitStack
from pathlib import Path

from ramster.demo.nodes import NodeProcess
from ramster.demo.sample import compression_of, read_sample
from ramster.nbd.client import NbdClient
from tests.support.browser import browser

__all__ = ["main"]

MIB = 2**20
CHUNK_BYTES = 128 * 1024


async def _start(nodes: AsyncExitStack, data: bytearray, kill: bool) -> list[NodeProcess]:
    """b and c, which lend; a, whose pool holds a fifth of the data."""
    needed = int(len(data) * compression_of(data)) + MIB
    room = str(needed * 3 // 4 + 4 * MIB)
    peers: list[str] = []
    started = []
    for name in ("b", "c"):
        flags = ["--mode", "ramster", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]
        node = NodeProcess(name, *flags, *peers, "--pool-limit", room, "--lend-limit", room)
        started.append(await nodes.enter_async_context(node))
        peers += ["--peer", node.endpoints["peers"]]
    if kill:
        peers += ["--peer", "127.0.0.1:9"]
    flags = ["--mode", "ramster", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", *peers]
    flags += ["--nbd", "tcp://127.0.0.1:0", "--export", f"disk={len(data)}", "--lend-limit", "0"]
    owner = NodeProcess("a", *flags, "--pool-limit", str(needed // 5))
    return [await nodes.enter_async_context(owner), *started]


async def _work(url: str, data: bytearray, until: float) -> None:
    """Write all, then read and rewrite parts at random, in waves, until a moment."""
    noise = random.Random(1)
    async with await NbdClient.connect(url, "disk") as client:
        for start in range(0, len(data), CHUNK_BYTES):
            await client.write(start, data[start : start + CHUNK_BYTES])
        while time.monotonic() < until:
            # A wave of work, and a calmer time, so that the charts have something to show.
            for _ in range(noise.randrange(40, 400)):
                start = noise.randrange(len(data) // 4096) * 4096
                length = min(4096 * noise.randrange(1, 17), len(data) - start)
                if noise.random() < 0.25:
                    await client.write(start, data[start : start + length])
                else:
                    await client.read(start, length)
                await asyncio.sleep(0.002)
            await asyncio.sleep(noise.random() * 1.5)


async def _show(options: argparse.Namespace) -> None:
    data, _ = read_sample(options.size_mib * MIB, None)
    async with AsyncExitStack() as nodes:
        owner, _, third = await _start(nodes, data, options.trouble)
        until = time.monotonic() + options.seconds
        work = asyncio.create_task(_work(owner.endpoints["nbd"], data, until))
        await asyncio.sleep(max(0.0, options.seconds - 25))
        if options.trouble:
            os.kill(third.pid, 9)
        await asyncio.to_thread(_take, owner.endpoints["http"], options)
        work.cancel()


def _take(url: str, options: argparse.Namespace) -> None:
    """Look for a while, so that rates are known, and take the picture."""
    with browser() as window:
        window.resize(options.width, 900, dark=options.dark, scale=options.scale)
        window.driver.get(f"{url}/")
        time.sleep(min(22.0, options.seconds / 2))
        height = window.run("return document.documentElement.scrollHeight")
        window.resize(options.width, height, dark=options.dark, scale=options.scale)
        time.sleep(0.5)
        window.picture(options.path)
        print("\n".join(window.complaints()))


def main() -> None:
    """Read the flags, take the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--seconds", type=float, default=100)
    parser.add_argument("--size-mib", type=int, default=96)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--scale", type=float, default=1)
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--trouble", action="store_true", help="with a dead and an absent peer")
    parser.add_argument("--url", help="of a node that runs")
    options = parser.parse_args()
    if options.url is not None:
        _take(options.url.rstrip("/"), options)
    else:
        asyncio.run(_show(options))


if __name__ == "__main__":
    main()
