"""One device of pages, over the Python API and over NBD."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ramster.bench.device_pages import PagesRefusedError
from ramster.bench.model import Subject
from ramster.bench.targets import Room, open_target
from zcache import PAGE_SIZE


@pytest.mark.parametrize("way", ["api", "nbd"])
def test_both_ways_write_read_discard_and_refuse_alike(way: str, tmp_path: Path) -> None:
    async def run() -> None:
        room = Room(budget_bytes=4 * PAGE_SIZE)
        async with (
            open_target(way, Subject.NOTHING, room, 16, tmp_path) as target,
            target.connect() as pages,
        ):
            await pages.write(3, b"a" * PAGE_SIZE + b"b" * PAGE_SIZE)
            read = bytes(await pages.read(2, 4))
            assert read == bytes(PAGE_SIZE) + b"a" * 4096 + b"b" * 4096 + bytes(PAGE_SIZE)
            with pytest.raises(PagesRefusedError, match="no room"):
                await pages.write(8, b"c" * 3 * PAGE_SIZE)
            await pages.discard(3, 1)
            await pages.discard(8, 3)
            assert bytes(await pages.read(3, 2)) == bytes(PAGE_SIZE) + b"b" * PAGE_SIZE
            await pages.write(8, b"c" * 3 * PAGE_SIZE)

    asyncio.run(run())
