"""Hogs, as tasks and as processes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ramster.bench.device_pages import StorePages
from ramster.bench.hogs import hogs_at_work, write_pass
from ramster.bench.model import Subject
from ramster.bench.plain_store import PlainStore
from ramster.bench.stamped_pages import stamped
from ramster.bench.targets import Room, StoreTarget, open_target
from zcache import PAGE_SIZE, NoSuchPoolError, PoolKind

PAGES = 256


@pytest.mark.parametrize("way", ["api", "nbd"])
def test_hogs_fill_their_parts_until_the_block_ends(way: str, tmp_path: Path) -> None:
    async def run() -> None:
        room = Room(budget_bytes=PAGES * PAGE_SIZE)
        async with (
            open_target(way, Subject.NOTHING, room, PAGES, tmp_path) as target,
            target.connect() as device,
        ):
            async with hogs_at_work(target, 2, 16, PAGES - 16, 2.5, seed=3):
                async with asyncio.timeout(30):
                    while (await target.figures())["pages"]["own"] < PAGES - 16:  # noqa: ASYNC110
                        await asyncio.sleep(0)
            figures = await target.figures()
            assert figures["pages"]["own"] == PAGES - 16
            assert bytes(await device.read(0, 16)) == bytes(16 * PAGE_SIZE)
            assert (await target.figures())["cache"]["puts_stored"] == figures["cache"][
                "puts_stored"
            ]

    asyncio.run(run())


def test_a_pass_goes_on_after_refusals_and_ends_when_it_is_told() -> None:
    async def run() -> None:
        store = PlainStore(64 * PAGE_SIZE)
        device = StorePages(store, store.create_pool(PoolKind.PERSISTENT), 1)
        contents = stamped(2.5, 0, distinct=4)
        assert await write_pass(device, contents, 0, 32, 0, lambda: True) == 0
        assert store.pages == 0
        assert await write_pass(device, contents, 0, 150, 7, lambda: False) == 3
        contents.check_run(0, 64, 7, await device.read(0, 64))

    asyncio.run(run())


def test_an_error_inside_of_the_block_comes_through_and_one_of_a_hog_too() -> None:
    async def run(error: Exception | None) -> None:
        room = Room(budget_bytes=PAGES * PAGE_SIZE)
        async with (
            open_target("api", Subject.ZCACHE, room, PAGES, Path()) as target,
            hogs_at_work(target, 1, 0, PAGES, 2.5, seed=3),
        ):
            if error is not None:
                raise error
            assert isinstance(target, StoreTarget)
            await target.store.destroy_pool(0)
            await asyncio.sleep(0)

    with pytest.raises(AssertionError, match="page 1 came back wrong"):
        asyncio.run(run(AssertionError("page 1 came back wrong")))
    with pytest.raises(NoSuchPoolError):
        asyncio.run(run(None))
