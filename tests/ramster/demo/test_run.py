"""The demo as a whole, small, and its processes' end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ramster.addresses import Address, ExportSpec
from ramster.config import NodeConfig
from ramster.embed import EmbeddedNode
from tests.support.serving import BLOCK_GRPC, ROOT, clean_environment, run_ramster


def test_three_nodes_hold_the_data_and_give_every_byte_back() -> None:
    done = run_ramster("demo", "--size", "8MiB", "--json")
    report = json.loads(done.stdout)
    assert (done.returncode, report["succeeded"]) == (0, True)
    assert (report["wrong_pages"], report["failed_requests"]) == (0, 0)
    assert report["mode"] == "ramster"
    assert report["data_bytes"] == 8 * 2**20
    assert sum(report["pages"].values()) == 2048
    assert set(report["pages"]) == {"a", "b", "c"}
    assert report["pages"]["a"] < 2048 * 0.45
    assert report["pages"]["b"] > 0
    assert report["pages"]["c"] > 0
    assert report["remote_hits"] > 1000
    assert report["local_hits"] + report["remote_hits"] == 2 * 2048
    assert [phase["name"] for phase in report["phases"]] == [
        "write",
        "read in order",
        "read at random",
    ]
    assert "data: 8.0 MiB" in done.stderr


def test_a_lone_node_holds_all_and_a_table_says_so() -> None:
    done = run_ramster("demo", "--size", "4MiB", "--mode", "zcache")
    assert done.returncode == 0
    assert "  wrong pages: 0\n" in done.stdout
    assert "  remote hits: 0\n" in done.stdout
    assert "node a               here   1024  100 %" in done.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "file").write_bytes(os.urandom(2**20))
    return tmp_path


def test_it_runs_against_a_node_that_is_there_already(folder: Path) -> None:
    config = NodeConfig(
        name="there",
        pool_limit=16 * 2**20,
        http=Address("127.0.0.1", 0),
        nbd=("tcp://127.0.0.1:0",),
        export=(ExportSpec("other", 2**20), ExportSpec("disk", 2**21)),
    )
    with EmbeddedNode(config) as node:
        url, stats = node.node.endpoints["nbd"][0], node.node.endpoints["http"]
        done = run_ramster(
            *("demo", "--connect", f"{url}/disk", "--stats", stats),
            *("--data", str(folder), "--size", "4MiB", "--json"),
        )
    report = json.loads(done.stdout)
    assert done.returncode == 0
    assert report["data_bytes"] == 2 * 2**20
    assert report["pages"] == {"there": 512}
    assert "the export is smaller" in done.stderr


def test_a_node_without_room_makes_it_fail(folder: Path) -> None:
    config = NodeConfig(
        name="small",
        pool_limit=2**20,
        http=Address("127.0.0.1", 0),
        nbd=("tcp://127.0.0.1:0",),
        export=(ExportSpec("disk", 4 * 2**20),),
    )
    with EmbeddedNode(config) as node:
        url, stats = node.node.endpoints["nbd"][0], node.node.endpoints["http"]
        done = run_ramster(
            *("demo", "--connect", url, "--stats", stats, "--data", str(folder), "--size", "2MiB")
        )
    assert done.returncode == 1
    assert "no room for 32 of 32 pages" in done.stdout
    assert "  wrong pages: 0\n" in done.stdout  # of those that were written
    assert "  pages of refused writes, not compared: " in done.stdout


def test_nobody_there_is_one_line_and_exit_code_1() -> None:
    done = run_ramster(
        "demo",
        "--connect",
        "tcp://127.0.0.1:1/disk",
        "--stats",
        "http://127.0.0.1:1",
        "--size",
        "1MiB",
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].startswith("ramster demo: no node answers at")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ended_from_outside_it_takes_its_nodes_along(number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "ramster", "demo", "--size", "64MiB"],
        cwd=ROOT,
        env=clean_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # A test run in the background of a shell ignores SIGINT, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as demo:
        assert demo.stderr is not None
        while "write" not in demo.stderr.readline():
            pass
        children = Path(f"/proc/{demo.pid}/task/{demo.pid}/children").read_text().split()
        assert len(children) == 3
        demo.send_signal(number)
        rest = demo.stderr.read()
        assert demo.wait(60) == 128 + number
    assert "Traceback" not in rest
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]


def test_more_data_than_memory_are_refused() -> None:
    done = run_ramster("demo", "--mode", "zcache", "--size", "1000T")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "at most half of this machine's memory (" in done.stderr


def test_a_device_that_is_not_there_is_named_in_words() -> None:
    with EmbeddedNode(NodeConfig(name="n", http=Address("127.0.0.1", 0))) as node:
        stats = node.node.endpoints["http"]
        words = ("demo", "--connect", "tcp://127.0.0.1:1/disk", "--stats", stats, "--size", "1MiB")
        done = run_ramster(*words)
    assert done.returncode == 1
    said = done.stderr.splitlines()[-1]
    assert said == "ramster demo: tcp://127.0.0.1:1/disk: Connection refused"


def test_three_nodes_without_the_extra_are_refused_before_anything_is_read() -> None:
    done = run_ramster("demo", "--size", "1MiB", before=BLOCK_GRPC)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "pip install 'ramster[cluster]'" in done.stderr
    assert "--mode zcache" in done.stderr


@pytest.mark.parametrize(("flag", "value"), [("connect", "tcp://h/disk"), ("stats", "http://h")])
def test_a_device_and_its_figures_are_given_together(flag: str, value: str) -> None:
    done = run_ramster("demo", f"--{flag}", value)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"{flag} = '{value}' (from --{flag}): accepted is given together" in done.stderr
