"""One cluster of nodes with different backends: what one spilled the other keeps and gives back."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

import pytest

from ramster.nbd.client import NbdClient
from ramster.stats_client import fetch_figures
from tests.parity.backends import needs_native
from tests.support.serving import ServeProcess
from tests.support.three_nodes import LENDER, POOL, page, write_pages, wrong_pages

pytestmark = needs_native


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
@pytest.mark.parametrize("owner", ["python", "native"])
def test_pages_of_either_backend_go_to_lenders_of_both_and_come_back(
    owner: str, codec: str
) -> None:
    with ExitStack() as nodes:
        lenders = [
            nodes.enter_context(ServeProcess(*LENDER, "--name", name, ZCACHE_BACKEND=backend))
            for name, backend in (("b", "python"), ("c", "native"))
        ]
        peers = [word for node in lenders for word in ("--peer", node.wait_ready()["peers"])]
        disk = ("--nbd", "tcp://127.0.0.1:0", "--export", f"disk=12MiB,codec={codec}")
        flags = (*POOL, "--pool-limit", "1MiB", *peers, *disk, "--name", "a")
        ready = nodes.enter_context(ServeProcess(*flags, ZCACHE_BACKEND=owner)).wait_ready()

        asyncio.run(write_pages(ready["nbd"]))
        held = {}
        for node in lenders:
            figures = fetch_figures(node.ready["http"])
            held[figures["backend"]] = figures["pages"]["foreign"]
        assert all(held.values()), held
        assert asyncio.run(wrong_pages(ready["nbd"])) == []

        asyncio.run(overwrite(ready["nbd"]))
        assert asyncio.run(overwritten(ready["nbd"]))
        assert fetch_figures(ready["http"])["pages"]["lost"] == 0


async def overwrite(url: str) -> None:
    """Every third page gets another content: its copy at a lender is flushed."""
    async with await NbdClient.connect(url, "disk") as client:
        for number in range(0, 3000, 3):
            await client.write(number * 4096, page(number + 10_000))


async def overwritten(url: str) -> bool:
    async with await NbdClient.connect(url, "disk") as client:
        for number in range(0, 3000, 3):
            if await client.read(number * 4096, 4096) != page(number + 10_000):
                return False
    return True
