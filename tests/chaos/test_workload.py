"""The workload against a running node: it finds nothing where nothing is wrong, and what is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from ramster.nbd.client import NbdClient
from tests.chaos.contents import PAGE_BYTES, content
from tests.chaos.model import RegionModel
from tests.chaos.report import as_dict, as_text
from tests.chaos.run import Outcome
from tests.chaos.squeeze import squeeze
from tests.chaos.timeline import Timeline
from tests.chaos.verdict import Findings
from tests.chaos.workload import Rules, Workload
from tests.support.containers import wait_until
from tests.support.serving import ServeProcess

SEED = 11
PAGES = 2048


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A node with room for the region and not for twice as much."""
    with ServeProcess(
        *("--mode", "zcache", "--pool-limit", "8MiB"),
        *("--nbd", "tcp://127.0.0.1:0", "--export", "disk=8MiB", "--export", "large=64MiB"),
    ) as node:
        yield node.wait_ready()["nbd"]


def workload(url: str, export: str = "disk", pages: int = PAGES) -> Workload:
    rules = Rules(Timeline(), Findings(), replicas=1)
    return Workload(lambda: url, export, RegionModel(SEED, pages), rules, connections=2)


def findings(work: Workload) -> Findings:
    return work.rules.findings


async def overwrite(url: str, page: int, data: bytes) -> None:
    client = await NbdClient.connect(url, "disk")
    await client.write(page * PAGE_BYTES, data)
    await client.close()


def test_it_writes_mixes_and_reads_and_then_finds_what_was_changed_behind_its_back(
    url: str,
) -> None:
    with workload(url) as work:
        work.write_all()
        work.start_mix()
        wait_until(lambda: work.figures.count("trim") > 20, "the mix is under way")
        assert work.mix_is_running()
        work.stop_mix()
        work.read_all()
        assert findings(work).texts == []
        assert min(work.figures.count("read"), work.figures.count("write")) > 100

        asyncio.run(overwrite(url, 77, content(SEED, 77, 0xFFFF)))
        asyncio.run(overwrite(url, 78, content(SEED, 79, 0xFFFF)))
        work.read_all()
        assert findings(work).counts == {"wrong bytes": 2}
        assert "page 77: version 65535 of page 77" in "".join(findings(work).texts)

        outcome = Outcome(
            SEED, 1, work.rules.timeline, work.rules.findings, work.figures, memory={}
        )
        assert "BROKEN: 2 x wrong bytes" in as_text(outcome)
        assert as_dict(outcome)["wrong_bytes"] == 2
        asyncio.run(clear(url, "disk", PAGES))


async def clear(url: str, export: str, pages: int) -> None:
    client = await NbdClient.connect(url, export)
    await client.trim(0, pages * PAGE_BYTES)
    await client.close()


def test_a_write_without_room_is_a_finding_and_leaves_old_or_new(url: str) -> None:
    pages = 4 * PAGES
    with workload(url, "large", pages) as work:
        work.write_all()
        work.read_all()
        counts = findings(work).counts
        assert set(counts) == {"failed write"}
        assert counts["failed write"] == work.figures.errors["write", "ENOSPC", "none"]
        asyncio.run(clear(url, "large", pages))


def test_a_squeeze_fills_compares_and_trims(url: str) -> None:
    figures = squeeze(url, "disk", 1, 500, hold_s=0.1)
    assert figures.as_dict() == {
        "written": 500,
        "refused": 0,
        "refusals": 0,
        "failed_reads": 0,
        "wrong": 0,
    }
    full = squeeze(url, "large", 1, 8 * PAGES, hold_s=0.1)
    assert full.refused > 0
    assert full.written + full.refused == 8 * PAGES
    assert (full.wrong, full.failed_reads) == (0, 0)
