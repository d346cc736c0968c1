"""The demo's nodes as processes."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ramster.demo.nodes import NodeProcess, NodeProcessError
from ramster.stats_client import fetch_figures
from tests.support.serving import ROOT, clean_environment


def running(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def test_a_node_says_where_it_listens_and_ends_with_the_block(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAMSTER_MODE", "nonsense")  # the caller's settings are not the node's

    async def run() -> None:
        async with NodeProcess("x", "--http", "127.0.0.1:0") as node:
            pid = node._process.pid
            figures = await asyncio.to_thread(fetch_figures, node.endpoints["http"])
            assert (figures["name"], figures["mode"]) == ("x", "zcache")
            node.check()
        assert not running(pid)

    asyncio.run(run())


def test_a_node_that_cannot_start_is_an_error_with_its_words() -> None:
    async def run() -> None:
        with pytest.raises(NodeProcessError, match=r"node x ended.*\n.*accepted is"):
            async with NodeProcess("x", "--pool-limit", "1"):
                pass

    asyncio.run(run())


def test_a_node_that_was_killed_is_noticed() -> None:
    async def run() -> None:
        async with NodeProcess("x", "--http", "127.0.0.1:0") as node:
            node._process.kill()
            await node._reading
            with pytest.raises(NodeProcessError, match="node x ended"):
                node.check()

    asyncio.run(run())


PARENT = """
import asyncio, sys
from ramster.demo.nodes import NodeProcess
async def main():
    async with NodeProcess("x", "--http", "127.0.0.1:0") as node:
        print(node._process.pid, flush=True)
        await asyncio.sleep(1000)
asyncio.run(main())
"""


def test_a_node_does_not_outlive_a_demo_that_was_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT],
        cwd=ROOT,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        watched = os.pidfd_open(pid)
        try:
            parent.send_signal(signal.SIGKILL)
            asyncio.run(wait_for_end(watched))
        finally:
            os.close(watched)


async def wait_for_end(pidfd: int) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(pidfd, ended.set)
    async with asyncio.timeout(30):
        await ended.wait()
    loop.remove_reader(pidfd)
