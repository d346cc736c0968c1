"""Load on a block device over NBD: shapes of requests, by this project's client or by fio.

Covers: filling a device with pages, running one shape for some time, what it took. Does not cover:
what serves the device (``block_rivals.py``).
"""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass

from ramster.bench.block_rivals import EXPORT
from ramster.bench.model import Better, Figure
from ramster.bench.server_process import find_program
from ramster.bench.tail_latency import P50_P99_P999, tail_figures, tail_samples
from ramster.nbd.client import NbdClient
from ramster.nbd.listener import nbd_uri
from zcache import PAGE_SIZE

__all__ = [
    "CLIENTS",
    "COMPRESSED_PERCENT",
    "SHAPES",
    "Shape",
    "check",
    "fill",
    "run_fio",
    "run_own_client",
]

CLIENTS = ("fio", "own")
"""fio's nbd engine (libnbd, C), and this project's client (asyncio)."""

_WHOLE_BYTES = 128 * 1024
_WHOLE_AT_ONCE = 4
COMPRESSED_PERCENT = 60
"""How far fio's own data compress; the project's client writes pages of real files."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One kind of load."""

    write: bool
    random: bool
    request_bytes: int
    depth: int

    @property
    def name(self) -> str:
        """As in ``rand_read_4k_qd16``."""
        order = "rand" if self.random else "seq"
        way = "write" if self.write else "read"
        return f"{order}_{way}_{self.request_bytes // 1024}k_qd{self.depth}"

    @property
    def rate(self) -> str:
        """Requests a second at random, MB/s in order."""
        return f"{self.name}_iops" if self.random else f"{self.name}_mb_s"

    @property
    def figures(self) -> tuple[Figure, ...]:
        """The rate and what one request takes."""
        kib = f"{self.request_bytes // 1024} KiB"
        way = f"{'writes' if self.write else 'reads'} of {kib}"
        where = "at random places" if self.random else "in order"
        unit = "requests/s" if self.random else "MB/s"
        text = f"{way.capitalize()} {where}, {self.depth} under way"
        tail = tail_figures(
            self.name, f"One of these: {way} {where}, {self.depth} under way", P50_P99_P999
        )
        return (Figure(self.rate, unit, Better.HIGHER, f"{text}."), *tail)

    def samples(self, seconds: list[float], rate: float) -> dict[str, float]:
        """From the seconds of each request, and requests a second."""
        return self._samples(rate, tail_samples(self.name, seconds, P50_P99_P999))

    def fio_samples(self, job: dict[str, float], shares: dict[str, float]) -> dict[str, float]:
        """From what fio says of one direction, and its percentiles in nanoseconds."""
        found = {
            f"{self.name}_{share}_us": shares[f"{100 * part:.6f}"] / 1e3
            for share, part in P50_P99_P999.items()
        }
        return self._samples(job["iops"], found)

    def _samples(self, rate: float, tail: dict[str, float]) -> dict[str, float]:
        return {self.rate: rate if self.random else rate * self.request_bytes / 1e6, **tail}


SHAPES = (
    Shape(write=False, random=True, request_bytes=PAGE_SIZE, depth=1),
    Shape(write=False, random=True, request_bytes=PAGE_SIZE, depth=16),
    Shape(write=False, random=False, request_bytes=32 * 1024, depth=4),
    Shape(write=False, random=False, request_bytes=128 * 1024, depth=4),
    Shape(write=True, random=True, request_bytes=PAGE_SIZE, depth=1),
    Shape(write=True, random=True, request_bytes=PAGE_SIZE, depth=16),
    Shape(write=True, random=False, request_bytes=32 * 1024, depth=4),
    Shape(write=True, random=False, request_bytes=128 * 1024, depth=4),
)
"""Reads first: they find the pages that the device was filled with."""


async def fill(url: str, data: bytes) -> None:
    """Write all of the data from the start of the device on."""
    view = memoryview(data)

    async def write(client: NbdClient, at: int) -> None:
        await client.write(at, view[at : at + _WHOLE_BYTES])

    await _go_over(url, len(data), write)


async def check(url: str, data: bytes) -> None:
    """Read all of it. Raises AssertionError when a page came back wrong."""

    async def read(client: NbdClient, at: int) -> None:
        expected = data[at : at + _WHOLE_BYTES]
        found = await client.read(at, len(expected))
        assert found == expected, f"{len(expected)} bytes at {at} came back wrong"

    await _go_over(url, len(data), read)


async def _go_over(
    url: str, size_bytes: int, do: Callable[[NbdClient, int], Awaitable[None]]
) -> None:
    places = iter(range(0, size_bytes, _WHOLE_BYTES))
    async with await NbdClient.connect(url, EXPORT) as client:

        async def work() -> None:
            for at in places:
                await do(client, at)

        await asyncio.gather(*(work() for _ in range(_WHOLE_AT_ONCE)))


async def run_own_client(
    url: str, shape: Shape, data: bytes, seconds: float, seed: int
) -> dict[str, float]:
    """One shape over one connection; the device holds the data before and after.

    Raises AssertionError when a page came back wrong.
    """
    length = shape.request_bytes
    places = _places(shape, len(data), seed)
    taken: list[float] = []
    async with await NbdClient.connect(url, EXPORT) as client:

        async def work(end: float) -> None:
            while time.perf_counter() < end:
                at = next(places)
                expected = data[at : at + length]
                start = time.perf_counter()
                if shape.write:
                    await client.write(at, expected)
                    taken.append(time.perf_counter() - start)
                else:
                    found = await client.read(at, length)
                    taken.append(time.perf_counter() - start)
                    assert found == expected, f"{length} bytes at {at} came back wrong"

        start = time.perf_counter()
        await asyncio.gather(*(work(start + seconds) for _ in range(shape.depth)))
        took = time.perf_counter() - start
    return shape.samples(taken, len(taken) / took)


def _places(shape: Shape, size_bytes: int, seed: int) -> Iterator[int]:
    """Offsets of requests, without end."""
    blocks = size_bytes // shape.request_bytes
    chance = random.Random(seed)
    at = 0
    while True:
        yield (chance.randrange(blocks) if shape.random else at) * shape.request_bytes
        at = (at + 1) % blocks


def run_fio(
    url: str, shapes: Sequence[Shape], size_bytes: int, seconds: float, seed: int
) -> dict[str, float]:
    """Shapes one after the other by one run of fio, each over one connection.

    Raises WorkloadUnavailable: there is no fio; CalledProcessError: it failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        words = [find_program("fio", "fio"), "--output-format=json", f"--aux-path={folder}"]
        words += ["--ioengine=nbd", f"--uri={nbd_uri(url, EXPORT)}", f"--size={size_bytes}"]
        words += ["--time_based", f"--runtime={round(seconds * 1000)}ms", "--thread"]
        words += [f"--randseed={seed}", "--norandommap", "--refill_buffers"]
        words += [f"--buffer_compress_percentage={COMPRESSED_PERCENT}"]
        for shape in shapes:
            pattern = ("rand" if shape.random else "") + ("write" if shape.write else "read")
            words += [f"--name={shape.name}", "--stonewall", f"--rw={pattern}"]
            words += [f"--bs={shape.request_bytes}", f"--iodepth={shape.depth}"]
        done = subprocess.run(words, check=True, capture_output=True, text=True)
    found: dict[str, float] = {}
    jobs = json.loads(done.stdout[done.stdout.index("{") :])["jobs"]
    for shape, job in zip(shapes, jobs, strict=True):
        assert job["jobname"] == shape.name
        told = job["write" if shape.write else "read"]
        found |= shape.fio_samples(told, told["clat_ns"]["percentile"])
    return found
