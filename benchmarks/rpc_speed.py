"""How fast pages travel between two processes on this machine.

    python -m benchmarks.rpc_speed [--seconds 2] [--json FILE]

Two processes over loopback, each with one event loop: this one is the owner, the other a lender
whose handler only keeps the last batch. Measured are the calls of ``ramster.rpc`` as the cluster
makes them: conversion, checks and gRPC on both sides; not zcache, not compression. The variable
GRPC_EXPERIMENTS is passed on to gRPC, so that its switches can be compared.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
from array import array
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import perf_counter

from benchmarks.figures import machine, percentile
from ramster.rpc import GrpcTransport, PeerServer
from ramster.transport import (
    FetchReply,
    FetchRequest,
    FiguresRequest,
    FlushRequest,
    Heartbeat,
    HeartbeatReply,
    Hello,
    HelloReply,
    SpillReply,
    SpillRequest,
)
from zcache import BLOB_FOUND, Encoding, PackedBlobs, PoolKind

DEADLINE_S = 30.0
BLOB_BYTES = 2048
"""Bytes of a compressed page in the spill measurements (ratio 2:1)."""


class KeepingHandler:
    """A lender that keeps the last batch and answers from it."""

    def __init__(self) -> None:
        self.blobs = PackedBlobs()

    def on_hello(self, _: Hello) -> HelloReply:
        return HelloReply(node="lender", incarnation=1, lease=1, room_bytes=1, lease_s=60)

    def on_heartbeat(self, _: Heartbeat) -> HeartbeatReply:
        return HeartbeatReply(incarnation=1, room_bytes=1, foreign_pages=len(self.blobs))

    def on_spill(self, request: SpillRequest) -> SpillReply:
        self.blobs = request.blobs
        return SpillReply(statuses=bytes(len(request.blobs)), room_bytes=1)

    def on_fetch(self, request: FetchRequest) -> FetchReply:
        wanted = len(request.keys)
        payload = memoryview(self.blobs.payload)[: sum(self.blobs.lengths[:wanted])]
        blobs = PackedBlobs(
            keys=request.keys,
            generations=request.generations,
            lengths=self.blobs.lengths[:wanted],
            encodings=self.blobs.encodings[:wanted],
            checksums=self.blobs.checksums[:wanted],
            payload=payload,
        )
        return FetchReply(found=bytes([BLOB_FOUND]) * wanted, blobs=blobs)

    def on_flush(self, _: FlushRequest) -> None:
        self.blobs = PackedBlobs()

    def on_figures(self, _: FiguresRequest) -> bytes:
        return b"{}"


def batch(pages: int, blob_bytes: int) -> PackedBlobs:
    return PackedBlobs(
        keys=array("Q", range(pages)),
        generations=array("Q", [1]) * pages,
        lengths=array("H", [blob_bytes]) * pages,
        encodings=bytearray([Encoding.RAW if blob_bytes == 4096 else Encoding.LZ4]) * pages,
        checksums=array("Q", range(pages)),
        payload=random.Random(1).randbytes(pages * blob_bytes),
    )


async def timed(call: Callable[[], Awaitable[object]], seconds: float) -> list[float]:
    """Run a call again and again; sorted times in seconds. The first tenth warms up and is not
    counted.
    """
    times: list[float] = []
    start = perf_counter()
    while (now := perf_counter()) < start + seconds * 1.1:
        await call()
        if now >= start + seconds * 0.1:
            times.append(perf_counter() - now)
    return sorted(times)


async def in_parallel(
    call: Callable[[], Awaitable[object]], width: int, seconds: float
) -> tuple[list[float], float]:
    """``width`` callers at a time; sorted times and the rate of calls a second."""
    runs = await asyncio.gather(*(timed(call, seconds) for _ in range(width)))
    times = sorted(time for run in runs for time in run)
    return times, len(times) / seconds


def row(
    name: str, times: list[float], pages: int, rate: float, page_bytes: int
) -> dict[str, object]:
    return {
        "what": name,
        "calls": len(times),
        "p50_us": round(percentile(times, 0.5) * 1e6, 1),
        "p99_us": round(percentile(times, 0.99) * 1e6, 1),
        "pages_per_s": round(rate * pages),
        "mb_per_s": round(rate * pages * page_bytes / 1e6, 1),
    }


async def measure(address: str, seconds: float) -> list[dict[str, object]]:
    transport = GrpcTransport()
    link = transport.link(address)
    rows: list[dict[str, object]] = []

    def spiller(pages: int, blob_bytes: int) -> Callable[[], Awaitable[object]]:
        request = SpillRequest(
            lease=1, epoch=1, batch=1, kind=PoolKind.PERSISTENT, blobs=batch(pages, blob_bytes)
        )
        return lambda: link.spill(request, DEADLINE_S)

    def fetcher(pages: int) -> Callable[[], Awaitable[object]]:
        request = FetchRequest(
            lease=1,
            kind=PoolKind.PERSISTENT,
            keys=array("Q", range(pages)),
            generations=array("Q", [1]) * pages,
        )
        return lambda: link.fetch(request, DEADLINE_S)

    async def add(
        name: str, call: Callable[[], Awaitable[object]], pages: int, size: int, width: int = 1
    ) -> None:
        times, rate = await in_parallel(call, width, seconds)
        rows.append(row(name, times, pages, rate, size))

    await spiller(128, 4096)()
    for pages in (1, 8, 32, 128):
        await add(f"fetch {pages} x 4096 B", fetcher(pages), pages, 4096)
    await add("fetch 1 x 4096 B, 8 in flight", fetcher(1), 1, 4096, 8)
    for pages in (64, 128, 256):
        call = spiller(pages, BLOB_BYTES)
        await add(f"spill {pages} x {BLOB_BYTES} B", call, pages, BLOB_BYTES)
        await add(f"spill {pages} x {BLOB_BYTES} B, 2 in flight", call, pages, BLOB_BYTES, 2)
    await spiller(128, 4096)()
    rows.append(await fetch_under_spills(fetcher(1), spiller(256, BLOB_BYTES), seconds))
    beat = Heartbeat(lease=1, incarnation=1)
    await add("heartbeat", lambda: link.heartbeat(beat, DEADLINE_S), 0, 0)
    await transport.close()
    return rows


async def fetch_under_spills(
    fetch: Callable[[], Awaitable[object]], spill: Callable[[], Awaitable[object]], seconds: float
) -> dict[str, object]:
    """Fetches of one page while spills of 512 KiB follow each other."""

    async def spill_on() -> None:
        while True:
            await spill()

    spilling = asyncio.create_task(spill_on())
    times, rate = await in_parallel(fetch, 1, seconds)
    spilling.cancel()
    await asyncio.gather(spilling, return_exceptions=True)
    return row("fetch 1 page while spilling", times, 1, rate, BLOB_BYTES)


async def serve() -> None:
    server = PeerServer(KeepingHandler())
    print(await server.start("127.0.0.1:0"), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)  # until the owner ends
    await server.stop(0)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the peer layer between two processes.")
    parser.add_argument("--seconds", type=float, default=2.0, help="time for each line (default 2)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve())
        return
    command = [sys.executable, "-m", "benchmarks.rpc_speed", "--serve"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as lender:
        assert lender.stdout is not None
        address = lender.stdout.readline().strip()
        if not address:
            raise SystemExit("the lender did not start")
        rows = asyncio.run(measure(address, options.seconds))
        assert lender.stdin is not None
        lender.stdin.close()
    import grpc
    from google.protobuf import __version__ as protobuf_version

    conditions = {
        "machine": machine(),
        "grpcio": grpc.__version__,
        "protobuf": protobuf_version,
        "GRPC_EXPERIMENTS": os.environ.get("GRPC_EXPERIMENTS", ""),
        "load": round(os.getloadavg()[0], 2),
    }
    if options.json is not None:
        options.json.write_text(json.dumps({"conditions": conditions, "rows": rows}))
    print("; ".join(f"{key}: {value}" for key, value in conditions.items()))
    print(f"{'what':36} {'p50 us':>9} {'p99 us':>9} {'pages/s':>9} {'MB/s':>8}")
    for line in rows:
        print(
            f"{line['what']:36} {line['p50_us']:>9} {line['p99_us']:>9} "
            f"{line['pages_per_s']:>9} {line['mb_per_s']:>8}"
        )


if __name__ == "__main__":
    main()
