"""``ramster drain``: whom it asks, what it says, when it ends."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from ramster.addresses import Address
from ramster.cli import main
from ramster.commands import drain
from ramster.config import NodeConfig
from ramster.figures import Figures, collect
from ramster.processes import start_time
from ramster.stats_client import fetch_figures
from ramster.stats_server import StatsServer
from tests.support.serving import ServeProcess, run_ramster
from tests.support.three_nodes import three_nodes, write_pages, wrong_pages
from zcache import Cache


def test_it_stops_the_node_and_ends_with_it() -> None:
    with ServeProcess("--name", "lone") as serving:
        url = serving.wait_ready()["http"]
        done = run_ramster("drain", url)
        assert done.returncode == 0
        assert done.stdout.startswith("lone has gone after ")
        assert done.stdout.endswith(" s; it held 0 pages of others\n")
        assert "\x1b" not in done.stderr
        assert serving.wait() == 0


def test_a_lender_hands_over_what_it_holds_and_the_command_says_how_it_goes() -> None:
    with three_nodes() as (_, lender, url):
        asyncio.run(write_pages(url))
        held = fetch_figures(lender.ready["http"])["pages"]["foreign"]
        assert held > 500
        done = run_ramster("drain", lender.ready["http"])
        assert done.returncode == 0
        assert re.match(r"b has gone after [\d.]+ s; it held \d+ pages of others", done.stdout)
        assert re.search(r"^b: \d+ pages of others left", done.stderr, re.M)
        assert lender.wait() == 0
        assert [line for line in lender.lines if "pages handed over, 0 left behind" in line]
        assert asyncio.run(wrong_pages(url)) == []


def test_it_finds_the_node_where_the_settings_say() -> None:
    with ServeProcess() as serving:
        address = serving.wait_ready()["http"].removeprefix("http://")
        assert run_ramster("drain", RAMSTER_HTTP=address).returncode == 0
        assert serving.wait() == 0


def figures_of(process: int, **others: object) -> Figures:
    """A lone node's, under another process's number."""
    config = NodeConfig(name="n", pool_limit=2**20)
    figures = collect(
        config,
        Cache(config.cache_config()),
        state="serving",
        uptime_s=1.5,
        endpoints={},
        cluster=None,
        nbd=None,
    )
    return {**figures, "pid": process, "started": start_time(process), **others}


@contextmanager
def served(figures: Figures) -> Iterator[str]:
    """The address of somebody who says that these are its figures."""

    def answer() -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(figures)
        return future

    server = StatsServer(answer, lambda: "serving")
    try:
        yield str(server.start(Address("127.0.0.1", 0)))
    finally:
        server.close()


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """A process that ends by itself when its standard input does, and at once when signalled."""
    waits = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with subprocess.Popen(waits, stdin=subprocess.PIPE) as started:
        yield started
        started.kill()


@pytest.mark.parametrize("state", ["draining", "stopping"])
def test_a_node_that_drains_already_is_watched_and_not_signalled(
    state: str, process: subprocess.Popen[bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    with ThreadPoolExecutor() as threads, served(figures_of(process.pid, state=state)) as url:
        watching = threads.submit(main, ["drain", url])
        while "pages of others left" not in capsys.readouterr().err:
            assert process.poll() is None
            assert not watching.done()
        process.communicate()
        assert watching.result(60) == 0
    assert process.returncode == 0


def refusal(figures: Figures, capsys: pytest.CaptureFixture[str]) -> str:
    with served(figures) as url:
        assert main(["drain", url]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return captured.err


@pytest.mark.parametrize(
    "others",
    [
        {"pid_namespace": "another-machine/1"},
        {"pid_namespace": None},
        {"started": 1},
        {"pid": 2**22 + 1},
    ],
)
def test_a_process_of_another_machine_is_left_alone(
    others: dict[str, object],
    process: subprocess.Popen[bytes],
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = refusal(figures_of(process.pid, **others), capsys)
    assert "is no process of this machine or container" in said
    assert "docker exec NODE ramster drain" in said
    assert process.poll() is None


def test_a_node_that_does_not_say_which_process_it_is_is_left_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert "does not say which process it is" in refusal(figures_of(1, pid=None), capsys)


def test_without_permission_it_says_so(
    process: subprocess.Popen[bytes],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def refuse(pid: int, number: int) -> None:
        asked.append((pid, number))
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "kill", refuse)
    said = refusal(figures_of(process.pid), capsys)
    assert f"no permission to signal node n, process {process.pid}: " in said
    assert asked == [(process.pid, signal.SIGTERM)]


def test_a_node_that_is_not_there_is_one_line_and_exit_code_1() -> None:
    done = run_ramster("drain", "127.0.0.1:1")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("ramster drain: no node answers at http://127.0.0.1:1/stats: ")
    assert done.stderr.count("\n") == 1


def test_settings_without_figures_are_one_line_and_exit_code_2() -> None:
    done = run_ramster("drain", RAMSTER_HTTP="off")
    assert done.returncode == 2
    assert "http = 'off' (from RAMSTER_HTTP): accepted is a URL, for a node" in done.stderr


@pytest.mark.parametrize(
    ("looks", "said"),
    [
        ([(0.0, 7)], "7 pages of others left"),
        ([(0.0, 100), (0.5, 100)], "100 pages of others left"),
        ([(0.0, 300), (1.0, 200), (2.0, 100)], "100 pages of others left, 100 pages/s, about 1 s"),
        ([(0.0, 300), (2.0, 0)], "0 pages of others left"),
    ],
)
def test_progress_tells_the_rate_and_the_rest(looks: list[tuple[float, int]], said: str) -> None:
    assert drain._progress(looks[-1][1], drain._rate(looks)).startswith(said)


def test_a_terminals_line_rewrites_itself_and_goes_at_the_end() -> None:
    parent, child = os.openpty()
    code = (
        "from ramster.commands.drain import _Line\n"
        "with _Line() as line:\n"
        "    line.show('first')\n"
        "    line.show('second')\n"
    )
    subprocess.run([sys.executable, "-c", code], stderr=child, check=True)
    os.close(child)
    assert os.read(parent, 1000) == b"\r\x1b[Kfirst\r\x1b[Ksecond\r\x1b[K"
    os.close(parent)
