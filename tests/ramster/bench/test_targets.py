"""What workloads run on, opened for real."""

from __future__ import annotations

import asyncio
import importlib.util
import os
from pathlib import Path

import pytest

from ramster.bench.device_pages import PagesRefusedError
from ramster.bench.model import Subject, WorkloadUnavailable
from ramster.bench.targets import SUBJECTS, Room, open_store, open_target
from ramster.demo.nodes import NodeProcessError
from zcache import PAGE_SIZE

BUDGET = 512 * PAGE_SIZE
ROOM = Room(budget_bytes=BUDGET, lent_bytes=4 * BUDGET)
PAGE_COUNT = 2 * 512


def incompressible(number: int) -> bytes:
    return number.to_bytes(8, "little") + os.urandom(PAGE_SIZE - 8)


@pytest.mark.parametrize("subject", SUBJECTS)
@pytest.mark.parametrize("way", ["api", "nbd"])
def test_only_lenders_hold_more_than_the_budget(way: str, subject: Subject, tmp_path: Path) -> None:
    """With pages that do not compress, all but the subject with peers are full at the budget."""
    written = {n: incompressible(n) for n in range(PAGE_COUNT)}

    async def run() -> None:
        refused = 0
        async with (
            open_target(way, subject, ROOM, PAGE_COUNT, tmp_path) as target,
            target.connect() as pages,
        ):
            for number, page in written.items():
                try:
                    await pages.write(number, page)
                except PagesRefusedError:
                    refused += 1
            read = [bytes(await pages.read(number, 1)) for number in range(PAGE_COUNT)]
            figures = await target.figures()
            target.check()
            memory = target.resident_bytes()
            assert min(target.processor_s()) >= 0
        held = [n for n in range(PAGE_COUNT) if read[n] == written[n]]
        assert len(held) == PAGE_COUNT - refused
        assert all(read[n] == bytes(PAGE_SIZE) for n in set(range(PAGE_COUNT)) - set(held))
        assert figures["pool"]["limit_bytes"] == BUDGET
        assert figures["pool"]["used_bytes"] <= BUDGET
        if subject is Subject.RAMSTER:
            assert refused == 0
            assert figures["cache"]["pages_spilled"] > 0
        else:
            assert refused >= PAGE_COUNT // 2 - 1
        server = {"nbd": {"server"}, "api": set()}[way]
        lenders = {"lender0"} if subject is Subject.RAMSTER else set()
        assert memory.keys() == {"program"} | server | lenders

    asyncio.run(run())


def test_several_clients_share_one_device(tmp_path: Path) -> None:
    async def run() -> None:
        for way in ("api", "nbd"):
            async with (
                open_target(way, Subject.ZCACHE, ROOM, 8, tmp_path) as target,
                target.connect() as one,
                target.connect() as other,
            ):
                await one.write(5, b"x" * PAGE_SIZE)
                assert bytes(await other.read(5, 1)) == b"x" * PAGE_SIZE

    asyncio.run(run())


def test_a_folder_with_a_long_path_will_do(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 30)
    folder.mkdir()

    async def run() -> None:
        async with open_target("nbd", Subject.NOTHING, ROOM, 8, folder) as target:
            target.check()

    asyncio.run(run())


def test_a_server_that_died_is_an_error_with_its_name(tmp_path: Path) -> None:
    async def run() -> None:
        async with open_target("nbd", Subject.ZCACHE, ROOM, 8, tmp_path) as target:
            server = target._children[0]
            server._process.kill()
            await server._process.wait()
            with pytest.raises(NodeProcessError, match="node server ended"):
                target.check()

    asyncio.run(run())


def test_what_cannot_be_opened_here_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    async def attempt(subject: Subject) -> None:
        async with open_store(subject, ROOM):
            raise AssertionError("opened")

    with pytest.raises(WorkloadUnavailable, match="redis cannot be opened here: accepted is noth"):
        asyncio.run(attempt(Subject.REDIS))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for subject in (Subject.ALONE, Subject.RAMSTER):
        with pytest.raises(WorkloadUnavailable, match=r"pip install 'ramster\[cluster\]'"):
            asyncio.run(attempt(subject))
