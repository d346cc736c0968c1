"""A node with load of its own, as a process: commands, answers, what goes wrong."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ramster.bench.scale_node import ScaleNodeProcess, command

pytest.importorskip("grpc")

FLAGS = ("--pages", "512", "--seed", "3")


def test_a_full_node_spills_to_a_roomy_one_and_both_read_right_pages(tmp_path: Path) -> None:
    async def go() -> None:
        flags = (*FLAGS, "--folder", str(tmp_path))
        lends = ("--times", "1", "--rate", "100", "--lend", str(2**21))
        async with ScaleNodeProcess("roomy", *flags, *lends) as roomy:
            peer = ("--times", "3", "--peer", roomy.endpoints["peers"])
            async with ScaleNodeProcess("full", *flags, *peer) as full:
                controls = [node.endpoints["control"] for node in (full, roomy)]
                away = [(await command(at, {"do": "fill"}))["away"] for at in controls]
                assert away[0] > 0
                assert away[1] == 0
                run = {"do": "run", "seconds": 0.3}
                busy, paced = await asyncio.gather(*(command(at, run) for at in controls))
                assert busy["fetched"] > 0
                assert 0 < busy["get_p50_us"] <= busy["get_p99_us"]
                assert 0 < paced["pages_s"] <= 110
                assert paced["fetched"] == paced["spilled"] == 0

    asyncio.run(go())


def test_what_goes_wrong_is_told(tmp_path: Path) -> None:
    async def go() -> None:
        flags = (*FLAGS, "--folder", str(tmp_path), "--times", "1")
        async with ScaleNodeProcess("node", *flags) as node:
            told = await command(node.endpoints["control"], {"do": "run", "seconds": 0.05})
            assert told["failed"].startswith("AssertionError: pages ")  # nothing was put
            node.check()

    asyncio.run(go())
