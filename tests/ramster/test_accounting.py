"""Where pages are and what they cost: sums that hold."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from ramster.accounting import Resident, account, held_bytes, line, resident_now
from ramster.figures import Figures
from ramster.nbd.client import NbdClient
from ramster.stats_client import fetch_figures
from tests.ramster.test_figures import CLUSTER
from tests.support.serving import ServeProcess
from zcache import CacheStats
from zcache.backend import BACKENDS

MIB = 2**20
STATS = CacheStats(
    frames_used=100,
    frames_kept=3,
    metadata_bytes=5000,
    pages_local=150,
    pages_same_filled=10,
    pages_in_transit=5,
    pages_away=3,
    bytes_local=300_000,
    bytes_away=6000,
    bytes_foreign=50_000,
)


def check_sums(section: dict[str, Any]) -> None:
    logical, compressed = section["logical"], section["compressed"]
    assert logical["total"] == sum(size for key, size in logical.items() if key != "total")
    assert compressed["total"] == compressed["own_here"] + compressed["away"]
    frames = section["frames"]
    assert frames["used"] - frames["fragmentation"] == (
        compressed["own_here"] + compressed["foreign"]
    )
    resident = section["resident"]
    assert resident["total"] == sum(
        resident[key] for key in ("frames", "frames_kept", "index", "process", "other")
    )
    assert resident["total"] == resident["anonymous"] + resident["file"] + resident["shared"]
    assert resident["frames"] == frames["used"]


def test_sums_hold() -> None:
    section = account(STATS, CLUSTER, Resident(40 * MIB, 20 * MIB, MIB), 50 * MIB)
    check_sums(section)
    assert section["resident"]["other"] == 11 * MIB - held_bytes(STATS)
    assert section["compressed"]["at_peers"] == 12_000  # two copies of each of the three pages
    assert section["compressed"]["on_disk"] == 14336
    assert section["logical"]["on_disk_only"] == 0


def test_pages_that_are_only_in_the_file_are_not_at_peers() -> None:
    cluster = replace(CLUSTER, pages_at_peers=1, copies_at_peers=1)
    section = account(STATS, cluster, Resident(MIB, MIB, 0), MIB)
    check_sums(section)
    assert (section["logical"]["at_peers"], section["logical"]["on_disk_only"]) == (4096, 8192)
    assert section["compressed"]["at_peers"] == 2000


def test_the_line_says_it_all_and_less_than_nothing_as_well() -> None:
    section = account(STATS, CLUSTER, Resident(MIB, MIB, 0), 2 * MIB)
    assert section["line"] == line(section)
    assert section["line"] == (
        "logical 672.0 KiB -> compressed 298.8 KiB"
        " -> frames 400.0 KiB here + 11.7 KiB at peers + 14.0 KiB on disk"
        "; overhead 12.0 KiB frames kept + 4.9 KiB index + 2.0 MiB process - 416.9 KiB other"
        " = resident 2.0 MiB"
    )


def test_without_a_word_of_the_system_the_rest_is_still_said() -> None:
    section = account(STATS, None, None, None)
    assert section["resident"] is None
    assert section["line"].endswith("on disk; resident memory is not known on this system")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "RssAnon:\t1 kB\nRssFile:\t1 kB\n",
        "RssAnon:\t1 MB\nRssFile:\t1 kB\nRssShmem:\t0 kB\n",
        "RssAnon:\tx kB\nRssFile:\t1 kB\nRssShmem:\t0 kB\n",
    ],
)
def test_what_cannot_be_read_is_not_guessed(tmp_path: Path, text: str) -> None:
    (tmp_path / "status").write_text(text)
    assert resident_now(tmp_path / "status") is None
    assert resident_now(tmp_path / "none") is None


def test_the_kernels_own_sum_is_the_same() -> None:
    resident = resident_now()
    assert resident is not None
    assert resident.total > 4 * MIB


OTHER_MAX = 8 * MIB
"""Measured: 2 to 3 MiB. Connections to one peer and one block device, batches of 512 KiB on
their way, what the heap grew by. Below 0 it is bounded by frames that were opened and not yet
written: the last zspage of each class, of at most 254 classes, 8 frames each."""


@pytest.mark.parametrize("backend", sorted(BACKENDS))
def test_a_node_that_spilled_accounts_for_its_memory(backend: str) -> None:
    pool = ("--mode", "ramster", "--listen", "127.0.0.1:0", "--heartbeat-interval", "50ms")
    lend = ("--pool-limit", "64MiB", "--lend-limit", "60MiB")
    with ServeProcess(*pool, *lend, "--name", "b", ZCACHE_BACKEND=backend) as lender:
        peer = ("--peer", lender.wait_ready()["peers"])
        disk = ("--nbd", "tcp://127.0.0.1:0", "--export", "disk=64MiB")
        words = (*pool, *peer, *disk, "--pool-limit", "16MiB", "--name", "a")
        with ServeProcess(*words, ZCACHE_BACKEND=backend) as owner:
            ready = owner.wait_ready()
            asyncio.run(fill(ready["nbd"], 64 * 16))
            figures = await_calm(ready["http"])
            held = fetch_figures(lender.ready["http"])
    section = figures["accounting"]
    check_sums(section)
    check_sums(held["accounting"])
    assert section["logical"]["total"] == 64 * MIB
    assert section["compressed"]["at_peers"] == held["accounting"]["compressed"]["foreign"] > 0
    assert 0 < section["frames"]["used"] <= 16 * MIB
    for node in (section, held["accounting"]):
        assert abs(node["resident"]["other"]) < OTHER_MAX, node["line"]
        assert 10 * MIB < node["resident"]["process"] < 200 * MIB


async def fill(url: str, batches: int) -> None:
    """Write that many batches of 16 pages that compress to about a half."""
    async with await NbdClient.connect(url, "disk") as client:
        for number in range(batches):
            half = Random(number).randbytes(2048)
            pages = b"".join(half + bytes([at]) * 2048 for at in range(16))
            await client.write(number * len(pages), pages)


def await_calm(url: str) -> Figures:
    """Figures of a moment at which nothing is on its way."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        figures = fetch_figures(url)
        cluster = figures["cluster"]
        moving = figures["pages"]["in_transit"] + cluster["spill_bytes_in_flight"]
        if not moving + cluster["flushes_pending"] + figures["cache"]["displaced_pending"]:
            return figures
    raise AssertionError(f"still moving: {figures['cluster']}")
