"""``peers-block``: a node as a block device beside the memory disks of nbdkit and qemu-nbd.

Covers: the workload and its configuration. Does not cover: the servers (``block_rivals.py``), the
load (``block_load.py``).
"""

from __future__ import annotations

import asyncio

from ramster.bench.block_load import (
    CLIENTS,
    COMPRESSED_PERCENT,
    SHAPES,
    check,
    fill,
    run_fio,
    run_own_client,
)
from ramster.bench.block_rivals import RIVALS, open_block_server
from ramster.bench.model import (
    Better,
    Case,
    Configuration,
    Context,
    Figure,
    Samples,
    Workload,
)
from ramster.bench.pages import corpus
from ramster.bench.server_process import find_program
from zcache import PAGE_SIZE

__all__ = ["CONFIGURATIONS", "WORKLOADS"]

_PAGES = 16384
_PAGES_MIN = 512
_PAGES_STEP = 32
_SHAPE_S = 0.3
_SHAPE_S_MIN = 0.03


def _run(context: Context) -> Samples:
    return asyncio.run(_measure(context))


async def _measure(context: Context) -> Samples:
    with_fio = context.parameters["client"] == "fio"
    if with_fio:
        find_program("fio", "fio")
    # Whole requests of the longest shape.
    pages = context.pages(_PAGES, least=_PAGES_MIN) // _PAGES_STEP * _PAGES_STEP
    size = pages * PAGE_SIZE
    async with open_block_server(context.subject, size, context.scratch) as server:
        data = corpus(pages, seed=context.seed)
        empty = server.held()
        await fill(server.url, data)
        full = server.held()
        await check(server.url, data)
        seconds = context.seconds(_SHAPE_S, least=_SHAPE_S_MIN)
        found: dict[str, float] = {}
        if with_fio:
            found = await asyncio.to_thread(
                run_fio, server.url, SHAPES, size, seconds, context.seed
            )
        else:
            for shape in SHAPES:
                found |= await run_own_client(server.url, shape, data, seconds, context.seed)
    return {"held_bytes_page": (full - empty) / pages, "held_bytes": full, **found}


_BLOCK = Workload(
    name="peers-block",
    figures=(
        Figure(
            "held_bytes_page",
            "bytes",
            Better.LOWER,
            "Memory that the server took for a page of 4096 bytes when it was filled.",
        ),
        Figure(
            "held_bytes",
            "bytes",
            Better.LOWER,
            "All memory of the full server, its program included, files of programs not.",
        ),
        *(figure for shape in SHAPES for figure in shape.figures),
    ),
    run=_run,
)

_TEXT = f"""\
A device of {_PAGES * PAGE_SIZE >> 20} MiB over NBD on a Unix socket, filled with pages of real
files; then its memory is read, then eight shapes of load run on it for {_SHAPE_S:g} s each, reads
first: 4 KiB at random places with 1 and 16 under way, 32 KiB and 128 KiB in order with 4.

zcache is a node with LZ4, zcache-zstd the same with Zstandard, nbdkit its memory plugin as it is
(pages as they are), nbdkit-zstd the same with allocator=zstd, qemu-nbd a raw file on a tmpfs. Each
is the only server there while it is measured, and gets the same requests over one connection.

client=fio is fio's nbd engine, in C, which costs little: its figures show the servers.
client=own is this project's client, in Python; it needs nothing that is not here, compares all that
it reads, and costs more time than any server, so differences look smaller than they are. Compare
only within one client.

What makes the figures doubtful:
- nbdkit answers from 16 threads and qemu-nbd does its files' work in threads; a node answers from
  one event loop. More processors help them and not the node.
- nbdkit-zstd packs 32 KiB together: it is denser than any packing of single pages, and a write of
  4 KiB has it unpack and pack all 32. Its random writes are slow for that, its reads in order not.
- What fio writes compresses by {COMPRESSED_PERCENT} per cent and is new for each request; what the
  own client writes is what is there already, pages of real files. fio does not compare what it
  reads: before its first shape the own client reads and compares the whole device.
- A memory disk that compresses nothing (nbdkit, qemu-nbd) has less to do than a node, and holds all
  4096 bytes of a page for it.
"""

WORKLOADS = (_BLOCK,)
CONFIGURATIONS = (
    Configuration(
        name="peers-block",
        summary="a node over NBD beside nbdkit (plain, zstd) and qemu-nbd on a tmpfs",
        text=_TEXT,
        cases=tuple(
            Case("peers-block", subject, {"client": client})
            for client in CLIENTS
            for subject in RIVALS
        ),
    ),
)
