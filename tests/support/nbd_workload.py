"""Pages with known contents, written and read through a node's NBD server.

Covers: contents by (seed, page number), bulk writes, reads that tell wrong bytes from errors.
Each page compresses to roughly half and carries its own number, so that a page in the wrong
place is seen.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field

from ramster.nbd.client import NbdClient

__all__ = ["ReadReport", "fill", "page_bytes", "read_back"]

PAGE = 4096
PAGES_A_REQUEST = 32


def page_bytes(seed: int, number: int) -> bytes:
    """The content of a page: a header naming it, noise, and text; about 2:1 under LZ4."""
    noise = random.Random(seed * 1_000_003 + number).randbytes(2000)
    head = b"%d/%d;" % (seed, number)
    return (head + noise + b"the same words again and again " * 80)[:PAGE]


@dataclass
class ReadReport:
    """What a pass over the pages found."""

    right: int = 0
    wrong: list[int] = field(default_factory=list)
    errors: Counter[int] = field(default_factory=Counter)
    """errno -> pages"""


async def _fill(url: str, export: str, numbers: range, seed: int) -> int:
    client = await NbdClient.connect(url, export)
    written = 0
    try:
        for start in range(numbers.start, numbers.stop, PAGES_A_REQUEST):
            stop = min(start + PAGES_A_REQUEST, numbers.stop)
            payload = b"".join(page_bytes(seed, number) for number in range(start, stop))
            await client.write(start * PAGE, payload)
            written += stop - start
    finally:
        await client.close()
    return written


def fill(url: str, export: str, numbers: range, seed: int) -> int:
    """Write the pages in requests of 128 KiB; raises OSError at the first refusal."""
    return asyncio.run(_fill(url, export, numbers, seed))


async def _read_back(url: str, export: str, numbers: list[int], seed: int) -> ReadReport:
    report = ReadReport()
    client = await NbdClient.connect(url, export)

    async def check(number: int) -> None:
        try:
            page = await client.read(number * PAGE, PAGE)
        except ConnectionError:
            raise
        except OSError as error:
            report.errors[error.errno or 0] += 1
            return
        if page == page_bytes(seed, number):
            report.right += 1
        else:
            report.wrong.append(number)

    try:
        for start in range(0, len(numbers), 16):
            await asyncio.gather(*(check(number) for number in numbers[start : start + 16]))
    finally:
        await client.close()
    return report


def read_back(url: str, export: str, numbers: range | list[int], seed: int) -> ReadReport:
    """Read single pages, 16 in flight, and compare."""
    return asyncio.run(_read_back(url, export, list(numbers), seed))
