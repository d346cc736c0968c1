"""A block device over NBD: a node in zcache mode in one process, its client in another.

    python -m benchmarks.nbd_speed [--size 128MiB] [--seconds 3] [--transport tcp|unix]
                                   [--json FILE]

Clients: this project's own (asyncio, one connection) and fio, if it is installed. Shapes: requests
of 4 KiB at random places, one and sixteen in flight; requests of 128 KiB in order, four in flight.
The own client's data are pages of real files, and each read is compared; fio makes data of which 60
percent compress, and its reads find what the own client wrote last. The pool is large enough for
all of it: nothing is refused and nothing leaves.

What makes the figures doubtful: client and node share the processors; the own client costs as much
time as the node; a run of few seconds on a machine with other work shows the order, not the number.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.figures import machine, percentile, show_table
from ramster.demo.nodes import NodeProcess
from ramster.demo.sample import read_sample
from ramster.nbd.client import NbdClient
from ramster.nbd.listener import nbd_uri
from ramster.quantities import parse_size
from zcache import PAGE_SIZE

SEQUENTIAL_BYTES = 128 * 1024


class Shape(NamedTuple):
    """One kind of load; the names of fio's --rw."""

    pattern: str
    request_bytes: int
    in_flight: int

    @property
    def name(self) -> str:
        return f"{self.pattern} {self.request_bytes // 1024}k qd{self.in_flight}"


SHAPES = [
    Shape("write", SEQUENTIAL_BYTES, 4),
    Shape("read", SEQUENTIAL_BYTES, 4),
    Shape("randread", PAGE_SIZE, 1),
    Shape("randread", PAGE_SIZE, 16),
    Shape("randwrite", PAGE_SIZE, 1),
    Shape("randwrite", PAGE_SIZE, 16),
]


class Result(NamedTuple):
    """What came of one load."""

    iops: float
    mb_s: float
    p50_us: float
    p99_us: float

    def __str__(self) -> str:
        return (
            f"{self.iops:>9,.0f} /s {self.mb_s:>8,.1f} MB/s "
            f"p50 {self.p50_us:>8,.1f} us  p99 {self.p99_us:>8,.1f} us"
        )


def offsets(shape: Shape, size: int) -> Iterator[int]:
    """Where the requests go, without end; random ones in the same order in every run."""
    blocks = size // shape.request_bytes
    noise = random.Random(1)
    at = 0
    while True:
        yield (noise.randrange(blocks) if shape.pattern.startswith("rand") else at) * (
            shape.request_bytes
        )
        at = (at + 1) % blocks


async def own_client(url: str, shape: Shape, data: memoryview, seconds: float) -> Result:
    """Run one load with the project's client."""
    client = await NbdClient.connect(url)
    places = offsets(shape, len(data))
    times: list[float] = []
    length = shape.request_bytes

    async def read(offset: int) -> None:
        found = await client.read(offset, length)
        if found != bytes(data[offset : offset + length]):  # comparing a view is slow
            raise AssertionError(f"wrong bytes at {offset}")

    async def write(offset: int) -> None:
        await client.write(offset, data[offset : offset + length])

    send: Callable[[int], Awaitable[None]] = read if "read" in shape.pattern else write

    async def work(end: float) -> None:
        begun = time.perf_counter()
        while begun < end:
            await send(next(places))
            now = time.perf_counter()
            times.append(now - begun)
            begun = now

    start = time.perf_counter()
    await asyncio.gather(*(work(start + seconds) for _ in range(shape.in_flight)))
    took = time.perf_counter() - start
    await client.close()
    return Result(
        iops=len(times) / took,
        mb_s=len(times) * length / took / 1e6,
        p50_us=percentile(times, 0.5) * 1e6,
        p99_us=percentile(times, 0.99) * 1e6,
    )


def fio_client(fio: str, url: str, shape: Shape, size: int, seconds: float) -> Result:
    """Run one load with fio."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [
                fio,
                *(f"--name={shape.pattern}", "--ioengine=nbd", f"--uri={nbd_uri(url)}"),
                *(f"--rw={shape.pattern}", f"--bs={shape.request_bytes}", f"--size={size}"),
                *(f"--iodepth={shape.in_flight}", "--time_based", f"--runtime={seconds}"),
                *("--randseed=1", "--norandommap", "--refill_buffers"),
                *("--buffer_compress_percentage=60", "--output-format=json"),
                f"--aux-path={folder}",
            ],
            check=True,
            capture_output=True,
            text=True,
        )
    (job,) = json.loads(done.stdout[done.stdout.index("{") :])["jobs"]
    figures = job["read" if "read" in shape.pattern else "write"]
    shares = figures["clat_ns"]["percentile"]
    return Result(
        iops=figures["iops"],
        mb_s=figures["bw_bytes"] / 1e6,
        p50_us=shares["50.000000"] / 1e3,
        p99_us=shares["99.000000"] / 1e3,
    )


async def measure(size: int, seconds: float, transport: str) -> dict[str, Any]:
    """Every shape with every client, against one node."""
    data = memoryview(read_sample(size)[0])
    results: dict[str, Any] = {"machine": machine(), "transport": transport, "size_bytes": size}
    with tempfile.TemporaryDirectory() as folder:
        url = "tcp://127.0.0.1:0" if transport == "tcp" else f"unix://{folder}/nbd.sock"
        flags = (
            *("--mode", "zcache", "--pool-limit", str(2 * size), "--http", "off"),
            *("--nbd", url, "--export", f"disk={size}"),
        )
        async with NodeProcess("device", *flags) as node:
            url = node.endpoints["nbd"]
            for shape in SHAPES:
                result = await own_client(url, shape, data, seconds)
                results[f"own client, {shape.name}"] = result._asdict()
            fio = shutil.which("fio")
            for shape in SHAPES if fio else ():
                result = await asyncio.to_thread(fio_client, str(fio), url, shape, size, seconds)
                results[f"fio, {shape.name}"] = result._asdict()
    return results


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description="speed of a block device over NBD")
    parser.add_argument("--size", default="128MiB", type=parse_size)
    parser.add_argument("--seconds", default=3.0, type=float, help="of each shape (default: 3)")
    parser.add_argument("--transport", choices=("tcp", "unix"), default="tcp")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    arguments = parser.parse_args()
    size = arguments.size // SEQUENTIAL_BYTES * SEQUENTIAL_BYTES
    results = asyncio.run(measure(size, arguments.seconds, arguments.transport))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(results))
    show_table(
        f"NBD over {arguments.transport}, node in zcache mode ({results['machine']})",
        [
            (name, str(Result(**figures)))
            for name, figures in results.items()
            if isinstance(figures, dict)
        ],
    )


if __name__ == "__main__":
    main()
