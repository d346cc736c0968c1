"""Plain memory as a block device."""

from __future__ import annotations

import asyncio
import errno
from pathlib import Path

import pytest

from ramster.bench.plain_server import EXPORT, PlainServerProcess, fetch_plain_figures
from ramster.nbd.client import NbdClient
from zcache import PAGE_SIZE


def test_it_keeps_what_fits_and_answers_no_space_for_the_rest(tmp_path: Path) -> None:
    size = 4 * PAGE_SIZE
    flags = ("--budget", str(2 * PAGE_SIZE), "--size", str(size), "--folder", str(tmp_path))

    async def run() -> None:
        async with PlainServerProcess("plain", *flags) as server:
            async with await NbdClient.connect(server.endpoints["nbd"], EXPORT) as client:
                assert client.size == size
                await client.write(0, b"a" * 2 * PAGE_SIZE)
                with pytest.raises(OSError, match="no room") as refused:
                    await client.write(2 * PAGE_SIZE, b"b" * PAGE_SIZE)
                assert refused.value.errno == errno.ENOSPC
                await client.trim(0, PAGE_SIZE)
                await client.write(2 * PAGE_SIZE, b"b" * PAGE_SIZE)
                read = await client.read(0, size)
            figures = await fetch_plain_figures(server.endpoints["figures"])
        zeroes = bytes(PAGE_SIZE)
        assert read == zeroes + b"a" * PAGE_SIZE + b"b" * PAGE_SIZE + zeroes
        assert figures["pages"]["own"] == 2
        assert figures["nbd"]["connections_total"] == 1

    asyncio.run(run())
