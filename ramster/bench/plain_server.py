"""Plain memory as a block device, in a process of its own: "nothing" over NBD.

Covers: the project's own NBD server over a ``PlainStore``, so that the front-end costs what it
costs in front of a node; its figures on a Unix socket. Does not cover: any other server
(``peers-*`` measure those).

    python -m ramster.bench.plain_server --name NAME --budget BYTES --size BYTES --folder FOLDER

Listens on FOLDER/NAME.nbd and FOLDER/NAME.figures; logs ": ready nbd=... figures=...", as a node
does, and ends at SIGTERM.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from ramster.bench.plain_store import PlainStore
from ramster.demo.nodes import NodeProcess
from ramster.figures import Figures
from ramster.nbd.export import Export
from ramster.nbd.server import NbdServer
from zcache import PoolKind

__all__ = ["EXPORT", "PlainServerProcess", "fetch_plain_figures", "main"]

EXPORT = "disk"
"""The export's name."""


class PlainServerProcess(NodeProcess):
    """This module as a process that ends with this one; flags as above, without ``--name``."""

    program = "from ramster.bench.plain_server import main; sys.exit(main(sys.argv[1:]))"


async def fetch_plain_figures(path: str) -> Figures:
    """The figures of a plain server, whose endpoint ``figures`` is ``path``."""
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        figures: Figures = json.loads(await reader.read())
    finally:
        writer.close()
    return figures


def main(arguments: Sequence[str]) -> int:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="plain_server")
    parser.add_argument("--name", required=True)
    parser.add_argument("--budget", type=int, required=True)
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    asyncio.run(_serve(parser.parse_args(arguments)))
    return 0


async def _serve(asked: argparse.Namespace) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    store = PlainStore(asked.budget)
    pool = store.create_pool(PoolKind.PERSISTENT)
    nbd = NbdServer(store, [Export(EXPORT, asked.size, pool, 1)])

    async def tell(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(json.dumps(store.figures() | {"nbd": nbd.snapshot().as_dict()}).encode())
        await writer.drain()
        writer.close()

    url = await nbd.start(f"unix://{asked.folder / f'{asked.name}.nbd'}")
    path = asked.folder / f"{asked.name}.figures"
    figures = await asyncio.start_unix_server(tell, path)
    print(f"plain server: ready nbd={url} figures={path}", file=sys.stderr, flush=True)
    await stop.wait()
    figures.close()
    await nbd.close()
