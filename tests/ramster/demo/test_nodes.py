"""The demo's nodes as processes."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ramster.demo import nodes
from ramster.demo.nodes import NodeProcess, NodeProcessError, open_nodes_of
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
from ramster.demo import nodes
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


@pytest.mark.parametrize(("parent", "code"), [(os.getpid(), 0), (0, 1)], ids=["there", "gone"])
def test_a_node_whose_parent_died_before_it_could_be_bound_to_it_ends(
    parent: int, code: int
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", nodes._ENDS_WITH_ITS_PARENT],
        env=clean_environment(**{nodes._PARENT: str(parent)}),
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr.strip()) == (code, "its parent is gone" if code else "")


def test_nodes_are_found_by_who_started_them() -> None:
    async def run() -> None:
        async with NodeProcess("x", "--http", "off") as node:
            (found,) = open_nodes_of(os.getpid())
            try:
                assert open_nodes_of(node.pid) == []
                signal.pidfd_send_signal(found, signal.SIGKILL)
                await node._process.wait()
                assert open_nodes_of(os.getpid()) == []
            finally:
                os.close(found)

    asyncio.run(run())


async def wait_for_end(pidfd: int) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(pidfd, ended.set)
    async with asyncio.timeout(30):
        await ended.wait()
    loop.remove_reader(pidfd)
