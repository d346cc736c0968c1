"""How fast the machine is just now: three short loops over fixed data, none of them ours.

Covers: the loops, timed. Does not cover: what is done with their times (``drift.py``).

A noisy machine drifts: the same program takes a third longer an hour later. The loops run before
and after each case, so that drift is seen, and divided out of comparisons of runs that were not
interleaved. They do what caches of pages do and share no code with this one: LZ4 (the processor),
copying memory beyond the caches (the memory), waking a thread over a socket (the scheduler).
"""

from __future__ import annotations

import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from statistics import median

import lz4.block

__all__ = ["LOOPS", "Calibration", "fixed_data"]

LOOPS = {
    "lz4": "compressing and decompressing 4096-byte pages by the package lz4, one thread",
    "copy": "copying 16 MiB of memory",
    "wake": "sending one byte to another thread and back",
}
"""By name: what a loop does."""

_PAGE = 4096
_PAGES = 64
_SLICES = 7
"""A loop is timed in so many equal parts and the median counts: one interruption spoils one."""
_COPY_BYTES = 16 * 2**20
_TRIPS = 20


class Calibration:
    """The loops with their data, 33 MiB of it; made in some 20 ms."""

    def __init__(self) -> None:
        data = fixed_data(_PAGES)
        self._pages = [data[at : at + _PAGE] for at in range(0, len(data), _PAGE)]
        self._blocks = [lz4.block.compress(page, store_size=False) for page in self._pages]
        self._source = memoryview(bytes(data) * (_COPY_BYTES // len(data)))
        self._target = memoryview(bytearray(len(self._source)))
        self._target[:] = self._source  # maps the memory, which is not what is measured

    def measure(self) -> Mapping[str, float]:
        """Seconds of one step of each loop, by its name; takes some 30 ms."""
        return {
            "lz4": _median_s(self._lz4),
            "copy": _median_s(self._copy),
            "wake": _wake_s(),
        }

    def _lz4(self) -> None:
        compress, decompress = lz4.block.compress, lz4.block.decompress
        for page, block in zip(self._pages, self._blocks, strict=True):
            compress(page, store_size=False)
            decompress(block, uncompressed_size=_PAGE)

    def _copy(self) -> None:
        self._target[:] = self._source


def fixed_data(pages: int) -> bytes:
    """Pages of a structure like that of programs' memory, the same on every machine: text, tables
    of numbers and pointers, and some noise."""
    chance = random.Random(4096)
    words = [
        "".join(chance.choices("etaoinshrdlucmfwypvbgkqjxz", k=chance.randint(2, 11)))
        for _ in range(600)
    ]
    made = bytearray()
    while len(made) < pages * _PAGE:
        kind = chance.randrange(4)
        piece = bytearray()
        while len(piece) < _PAGE:
            if kind == 0:
                piece += words[int(600 * chance.random() ** 2)].encode() + b" "
            elif kind == 1:
                piece += struct.pack("<IIQ", len(piece), chance.randrange(9), 0)
            elif kind == 2:
                piece += struct.pack("<Q", 0x7F3A_0000_0000 + 16 * chance.randrange(4096))
            else:
                piece += chance.randbytes(24) + bytes(16)
        made += piece[:_PAGE]
    return bytes(made[: pages * _PAGE])


def _median_s(body: Callable[[], None]) -> float:
    took = []
    for _ in range(_SLICES):
        start = time.perf_counter()
        body()
        took.append(time.perf_counter() - start)
    return median(took)


def _wake_s() -> float:
    here, there = socket.socketpair()

    def answer() -> None:
        while got := there.recv(1):
            there.send(got)

    thread = threading.Thread(target=answer, name="calibration")
    thread.start()

    def trips() -> None:
        for _ in range(_TRIPS):
            here.send(b".")
            here.recv(1)

    try:
        return _median_s(trips) / _TRIPS
    finally:
        here.close()
        thread.join()
        there.close()
