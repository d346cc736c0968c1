"""A node's figures as a page for people."""

from __future__ import annotations

import dataclasses
import os

import pytest

from ramster.addresses import Address
from ramster.config import Mode, NodeConfig
from ramster.embed import EmbeddedNode
from ramster.nbd.export import Export
from ramster.nbd.server import NbdServer
from ramster.stat_report import _short, render, table
from ramster.store import LocalStore
from ramster.timings import Timings
from tests.ramster.test_figures import CLUSTER, collected
from zcache import Cache, CacheConfig, PoolKind


def test_columns_are_as_wide_as_they_must_be() -> None:
    assert table(["name", "n"], [["a", 1], ["longer", 22]]) == (
        "  name     n\n  a        1\n  longer  22"
    )


def test_the_page_of_a_lone_node_says_what_it_stores() -> None:
    config = NodeConfig(name="lone", pool_limit=4 * 2**20, http=None)
    with EmbeddedNode(config) as node:
        pool = node.create_pool(PoolKind.PERSISTENT)
        for index in range(256):
            node.put(pool, 1, index, os.urandom(1024) * 4)
        node.get(pool, 1, 0)
        node.get(pool, 1, 9999)
        page = render(node.figures())
    assert page.startswith("node lone: serving for 0 s, mode zcache, version ")
    assert "  stored   1.0 MiB of pages: 1.0 MiB here, 0 B at peers\n" in page
    assert "  here     1.0 MiB -> " in page
    assert " of 4.0 MiB (" in page
    assert "  gets     2: 1 here, 0 at peers, 1 missed (50 % found)" in page
    assert "  puts     256: 256 stored, 0 refused for want of room\n" in page
    assert "\npeers" not in page
    assert "block devices" not in page


def test_durations_are_shown_of_what_has_happened() -> None:
    timings = Timings()
    for seconds in [2e-6] * 98 + [0.3, 0.4]:
        timings.get_local.observe(seconds, 1)
    timings.fetch.observe(2e-3, 1)
    timings.nbd[1].observe(3e-5)
    figures = collected(Mode.RAMSTER, CLUSTER)
    figures["latency"] = timings.latency(peers=True, nbd=True)
    store = LocalStore(Cache(CacheConfig(pool_bytes_max=2**20)))
    figures["nbd"] = NbdServer(store, [Export("disk", 4096, 0, 1)]).snapshot().as_dict()
    page = render(figures)
    assert "  took     p50, p99: get here 1.8 us, 375 ms\n           fetch 1.8 ms, 2.5 ms\n" in page
    assert "\n  took p50, p99: write 38 us, 50 us\n" in page


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.0, "0.0 us"), (9.96e-6, "10 us"), (0.9994e-3, "999 us"), (0.0021, "2.1 ms"), (5, "5.0 s")],
)
def test_durations_are_short(seconds: float, shown: str) -> None:
    assert _short(seconds) == shown


def test_the_page_of_a_cluster_lists_peers_owners_and_losses() -> None:
    page = render(collected(Mode.RAMSTER, CLUSTER))
    lines = page.splitlines()
    peer = next(line for line in lines if "b:7777" in line)
    assert peer.split() == ["b", "b:7777", "draining", "5", "B", "3", "-", "0.1", "s", "ago"]
    assert any(line.split()[:2] == ["c", "2"] for line in lines)
    assert "  lent     0 B of the frames, of 512.0 KiB" in page
    assert "11 lost" in page
    assert "  1 234 have fewer copies than they should have\n" in page
    assert "  lost copies are being made again\n" in page
    assert (
        "write-back file\n"
        "  7 pages in 14.0 KiB of 1.0 MiB; 9 written, 2 read\n"
        "  3 pages refused, 0 errors of the disk\n"
    ) in page
    assert " found no room at once (0 writes)" in page
    assert all(len(line) <= 100 for line in lines)
    account = page[page.index("  account  logical 44.0 KiB") :].partition("\n\n")[0]
    assert " ".join(account.split()).endswith("; resident memory is not known on this system")


def test_a_node_without_peers_in_ramster_mode_says_so() -> None:
    page = render(collected(Mode.RAMSTER, dataclasses.replace(CLUSTER, peers=(), foreign=())))
    assert "peers: none configured" in page
    assert "pages held for" not in page


def test_what_does_not_matter_is_not_said() -> None:
    calm = dataclasses.replace(CLUSTER, pages_under_replicated=0, relocating="", writeback=None)
    page = render(collected(Mode.RAMSTER, calm))
    assert not [part for part in ("fewer copies", "made again", "write-back") if part in page]
    assert " at peers\n" in page


def test_a_lone_node_with_a_file_speaks_of_the_file_and_of_no_peers() -> None:
    page = render(collected(Mode.ZCACHE, dataclasses.replace(CLUSTER, peers=(), foreign=())))
    assert "0 B in the file" in page
    assert "write-back file\n" in page
    assert page.count("peers") == page.count(" 0 B at peers") == 1  # in the line that adds up


def test_block_devices_are_listed() -> None:
    config = NodeConfig(
        name="n",
        http=Address("127.0.0.1", 0),
        nbd=["tcp://127.0.0.1:0"],  # type: ignore[arg-type]
        export=["disk=1GiB"],  # type: ignore[arg-type]
    )
    with EmbeddedNode(config) as node:
        page = render(node.figures())
    assert "  disk    1.0 GiB        0   0 B      0 B       0\n" in page
    assert "nbd tcp://127.0.0.1:" in page


@pytest.mark.parametrize(
    ("seconds", "span"),
    [(0, "0 s"), (61, "1 min 1 s"), (3660, "1 h 1 min"), (90000, "1 d 1 h")],
)
def test_times_are_said_in_two_units(seconds: float, span: str) -> None:
    figures = collected(Mode.ZCACHE, None)
    figures["uptime_s"] = seconds
    assert f"serving for {span}, " in render(figures)
