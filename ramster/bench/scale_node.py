"""A node that puts load on itself, in a process of its own: one of the nodes of ``cluster-scale``.

Covers: a node in ramster mode, pages of real files that readers and writers of its own go over, and
commands over a Unix socket. Does not cover: how many there are and which are full
(``cluster_scale.py``).

    python -m ramster.bench.scale_node --name NAME --folder FOLDER --pages N --times X --lend BYTES
        --rate PAGES/S --seed N [--peer HOST:PORT ...]

Logs ": ready peers=HOST:PORT control=PATH", as a node does, and ends at SIGTERM. A command is one
line of JSON, {"do": "fill"} or {"do": "run", "seconds": S}; so is its answer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ramster.addresses import PEER_PORT, parse_address
from ramster.bench.lending import OBJECT, Owner, pool_for, wait_until
from ramster.bench.pages import corpus
from ramster.bench.tail_latency import tail_samples
from ramster.config import Mode, NodeConfig
from ramster.demo.nodes import NodeProcess
from ramster.node import Node
from zcache import PAGE_SIZE, PoolKind

__all__ = ["ScaleNodeProcess", "command", "main"]

_WORKERS = 4
_WRITE_SHARE = 0.2
_HEADROOM = 0.8
"""Of a pool that is to hold everything without reaching its watermark."""


class ScaleNodeProcess(NodeProcess):
    """This module as a process that ends with this one; flags as above, without ``--name``."""

    program = "from ramster.bench.scale_node import main; sys.exit(main(sys.argv[1:]))"


async def command(path: str, what: dict[str, Any]) -> dict[str, Any]:
    """Send a command to a node's ``control`` endpoint and wait for the answer.

    Raises ConnectionError: the node ended, its log says why.
    """
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        writer.write(json.dumps(what).encode() + b"\n")
        line = await reader.readline()
    finally:
        writer.close()
    if not line:
        raise ConnectionError(f"the node behind {path} ended")
    answer: dict[str, Any] = json.loads(line)
    return answer


def main(arguments: Sequence[str]) -> int:
    """Run until SIGTERM."""
    parser = argparse.ArgumentParser(prog="scale_node")
    parser.add_argument("--name", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--pages", type=int, required=True)
    parser.add_argument(
        "--times",
        type=float,
        required=True,
        help="the pages in pools; 1 or less: the pool holds all",
    )
    parser.add_argument("--lend", type=int, default=0)
    parser.add_argument("--rate", type=float, default=0, help="pages a second; 0: what is possible")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--peer", action="append", default=[])
    asyncio.run(_serve(parser.parse_args(arguments)))
    return 0


async def _serve(asked: argparse.Namespace) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    data = corpus(asked.pages, seed=asked.seed)
    own = pool_for(data, asked.times)
    config = NodeConfig(
        mode=Mode.RAMSTER,
        name=asked.name,
        pool_limit=own if asked.times > 1 else round((own + asked.lend) / _HEADROOM),
        lend_limit=asked.lend,
        listen=parse_address("127.0.0.1:0", PEER_PORT),
        peer=tuple(parse_address(peer, PEER_PORT) for peer in asked.peer),
        http=None,
    )
    async with Node(config) as node:
        await wait_until(
            lambda: all(peer["state"] == "alive" for peer in node.figures()["peers"]),
            f"{asked.name} does not reach its peers",
        )
        pool = node.store.create_pool(PoolKind.PERSISTENT)
        load = _Load(Owner(node, [], pool, data), asked.rate, asked.seed)
        path = asked.folder / f"{asked.name}.sock"
        control = await asyncio.start_unix_server(load.answer, path)
        peers = node.endpoints["peers"]
        print(f"scale node: ready peers={peers} control={path}", file=sys.stderr, flush=True)
        await stop.wait()
        control.close()


class _Load:
    """Readers and writers of a node's own pages. Each page belongs to one worker, which knows what
    it wrote there last."""

    def __init__(self, owner: Owner, rate: float, seed: int) -> None:
        self._owner = owner
        self._pause_s = _WORKERS / rate if rate else 0.0
        self._chance = random.Random(seed)
        self._versions = [0] * owner.pages

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one command."""
        asked = json.loads(await reader.readline())
        try:
            told = await (self._fill() if asked["do"] == "fill" else self._run(asked["seconds"]))
        except Exception as error:  # noqa: BLE001  told to whoever asked
            told = {"failed": f"{type(error).__name__}: {error}"}
        writer.write(json.dumps(told).encode() + b"\n")
        await writer.drain()
        writer.close()

    async def _fill(self) -> dict[str, Any]:
        await self._owner.put_all()
        await self._owner.settle()
        return {"away": len(self._owner.away())}

    async def _run(self, seconds: float) -> dict[str, Any]:
        gets: list[float] = []
        puts: list[float] = []
        before = self._owner.figures()["cluster"]
        start = time.perf_counter()
        await asyncio.gather(
            *(self._work(worker, start, start + seconds, gets, puts) for worker in range(_WORKERS))
        )
        took = time.perf_counter() - start
        after = self._owner.figures()["cluster"]
        return {
            "pages_s": (len(gets) + len(puts)) / took,
            "spilled": after["spill_pages"] - before["spill_pages"],
            "fetched": after["pages_fetched"] - before["pages_fetched"],
            **tail_samples("get", gets),
        }

    async def _work(
        self, worker: int, due: float, end: float, gets: list[float], puts: list[float]
    ) -> None:
        """``due``: when the next page is; all workers keep the rate as long as they can."""
        mine = range(worker, self._owner.pages, _WORKERS)
        while True:
            due += self._pause_s
            # Also without a rate: a page at home gives the others no turn.
            await asyncio.sleep(max(0.0, due - time.perf_counter()) if self._pause_s else 0)
            if time.perf_counter() >= end:
                return
            page = self._chance.choice(mine)
            if self._chance.random() < _WRITE_SHARE:
                puts.append(await self._put(page))
            else:
                gets.append(await self._get(page))

    async def _put(self, page: int) -> float:
        owner = self._owner
        self._versions[page] += 1
        content = self._content(page)
        start = time.perf_counter()
        await owner.node.store.put_many(owner.pool, OBJECT, (page,), content)
        return time.perf_counter() - start

    async def _get(self, page: int) -> float:
        start = time.perf_counter()
        found = await self._owner.get(range(page, page + 1))
        seconds = time.perf_counter() - start
        assert found == self._content(page), f"page {page} came back wrong"
        return seconds

    def _content(self, page: int) -> bytes:
        """What the page was last written with; at first it is its own page of the data."""
        at = (page + 7 * self._versions[page]) % self._owner.pages * PAGE_SIZE
        return self._owner.data[at : at + PAGE_SIZE]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
