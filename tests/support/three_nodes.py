"""Three nodes as processes, with pages of the first one at the others.

Covers: two lenders, an owner with a block device, its contents. Does not cover: one node
(``serving.py``), containers (``containers.py``).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

from ramster.nbd.client import NbdClient
from tests.support.serving import ServeProcess

__all__ = ["three_nodes", "write_pages", "wrong_pages"]

POOL = ("--mode", "ramster", "--listen", "127.0.0.1:0", "--heartbeat-interval", "50ms")
LENDER = (*POOL, "--pool-limit", "16MiB", "--lend-limit", "14MiB")


@contextmanager
def three_nodes(*lender_flags: str) -> Iterator[tuple[ServeProcess, ServeProcess, str]]:
    """Two lenders, and an owner with a block device at an NBD address."""
    flags = (*LENDER, *lender_flags)
    with ServeProcess(*flags, "--name", "b") as b, ServeProcess(*flags, "--name", "c") as c:
        peers = [word for node in (b, c) for word in ("--peer", node.wait_ready()["peers"])]
        disk = ("--nbd", "tcp://127.0.0.1:0", "--export", "disk=12MiB")
        with ServeProcess(*POOL, "--pool-limit", "1MiB", *peers, *disk, "--name", "a") as a:
            ready = a.wait_ready()
            yield a, b, ready["nbd"]


def page(number: int) -> bytes:
    """A page that compresses to a half and is like no other."""
    return Random(number).randbytes(2048) + bytes(2048)


PAGES = 3000


async def write_pages(url: str) -> None:
    """Fill most of the owner's device."""
    async with await NbdClient.connect(url, "disk") as client:
        for first in range(0, PAGES, 16):
            pages = b"".join(page(number) for number in range(first, min(PAGES, first + 16)))
            await client.write(first * 4096, pages)


async def wrong_pages(url: str) -> list[int]:
    """Pages that do not read as they were written."""
    async with await NbdClient.connect(url, "disk") as client:
        return [n for n in range(PAGES) if await client.read(n * 4096, 4096) != page(n)]
