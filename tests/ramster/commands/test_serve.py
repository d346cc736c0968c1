"""``ramster serve`` as a process: signals, exit codes, what it says."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import urllib.request
from pathlib import Path

import pytest

from ramster.stats_client import fetch_figures
from tests.support.serving import BLOCK_GRPC, ServeProcess, run_ramster
from tests.support.three_nodes import three_nodes, write_pages, wrong_pages
from zcache.backend import BACKENDS


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_a_signal_and_exits_with_0(number: signal.Signals) -> None:
    with ServeProcess() as serving:
        ready = serving.wait_ready()
        assert (ready["mode"], ready["name"], ready["pool"]) == ("zcache", "n", "256MiB")
        with urllib.request.urlopen(f"{ready['http']}/healthz", timeout=10) as answer:
            assert answer.status == 200
        serving.signal(number)
        assert serving.wait() == 0
        assert serving.lines[-1].endswith(": stopped [stopped]\n")


HIDE_NATIVE = "import sys; sys.modules['zcache._native'] = None"


@pytest.mark.parametrize("wanted", ["", "auto"])
def test_without_the_native_core_it_says_so_once_and_serves(wanted: str) -> None:
    with ServeProcess(before=HIDE_NATIVE, ZCACHE_BACKEND=wanted) as serving:
        ready = serving.wait_ready()
        assert fetch_figures(ready["http"])["backend"] == "python"
        serving.signal(signal.SIGTERM)
        assert serving.wait() == 0
    (said,) = [line for line in serving.lines if "backend" in line]
    assert "WARNING" in said
    assert "zcache backend: python; the native core is not there: " in said


@pytest.mark.parametrize("backend", sorted(BACKENDS))
def test_it_serves_with_the_backend_that_was_asked_for_and_says_so_everywhere(backend: str) -> None:
    with ServeProcess(ZCACHE_BACKEND=backend) as serving:
        url = serving.wait_ready()["http"]
        assert fetch_figures(url)["backend"] == backend
        with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:
            assert f'backend="{backend}"' in answer.read().decode()
        assert f"zcache in {backend}" in run_ramster("stat", "--url", url).stdout
        serving.signal(signal.SIGTERM)
        assert serving.wait() == 0
    (said,) = [line for line in serving.lines if "backend" in line]
    assert f"INFO ramster.commands.serve: zcache backend: {backend} [backend " in said


HANGING_STOP = """
import asyncio, sys
import ramster.node
async def stop(self):
    self._state = "stopping"
    print("hanging", file=sys.stderr, flush=True)
    await asyncio.Event().wait()
ramster.node.Node.stop = stop
"""


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(second: signal.Signals) -> None:
    with ServeProcess(before=HANGING_STOP) as serving:
        url = serving.wait_ready()["http"]
        serving.signal(signal.SIGTERM)
        serving.wait_line("hanging")
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{url}/healthz", timeout=10)
        with refused.value as answer:
            assert (answer.code, answer.read()) == (503, b"stopping\n")
        serving.signal(second)
        assert serving.wait() == 128 + second


def test_a_lender_that_is_told_to_stop_hands_its_pages_over_first() -> None:
    with three_nodes() as (owner, lender, url):
        asyncio.run(write_pages(url))
        lender.signal(signal.SIGTERM)
        assert lender.wait() == 0
        (said,) = [line for line in lender.lines if "drained in" in line]
        handed_over, left = (int(n) for n in re.findall(r"(\d+) pages handed over, (\d+)", said)[0])
        assert handed_over > 500
        assert left == 0
        assert asyncio.run(wrong_pages(url)) == []
        owner.signal(signal.SIGTERM)
        assert owner.wait() == 0
        assert not [line for line in owner.lines if "persistent pages lost" in line]


def test_a_second_signal_ends_a_node_that_drains_at_once() -> None:
    with three_nodes("--dead-after", "60s", "--drain-timeout", "60s") as (owner, lender, url):
        asyncio.run(write_pages(url))
        owner.signal(signal.SIGSTOP)  # it takes nothing back for now
        lender.signal(signal.SIGTERM)
        lender.wait_line("pages of others left")
        lender.signal(signal.SIGINT)
        assert lender.wait() == 128 + signal.SIGINT


def test_the_time_for_draining_is_bounded() -> None:
    with three_nodes("--drain-timeout", "100ms") as (owner, lender, url):
        asyncio.run(write_pages(url))
        owner.signal(signal.SIGSTOP)
        lender.signal(signal.SIGTERM)
        assert lender.wait() == 0
        assert [
            line for line in lender.lines if "WARNING" in line and " 0 pages handed over" in line
        ]


def test_a_node_that_shall_not_drain_stops_at_once() -> None:
    with three_nodes("--drain-timeout", "0") as (_, lender, url):
        asyncio.run(write_pages(url))
        lender.signal(signal.SIGTERM)
        assert lender.wait() == 0
        assert not [line for line in lender.lines if "drain" in line]


def test_a_write_back_file_that_cannot_be_used_is_one_line_that_names_its_source(
    tmp_path: Path,
) -> None:
    flags = ("--writeback", str(tmp_path), "--writeback-limit", "1MiB", "--http", "off")
    done = run_ramster("serve", *flags)
    assert done.returncode == 1
    assert done.stderr.startswith(f"ramster serve: writeback = '{tmp_path}' (from --writeback): ")
    assert done.stderr.count("\n") == 1


DYING_UPKEEP = """
import ramster.upkeep
def die(self):
    raise RuntimeError("worn out")
ramster.upkeep.Upkeep.compact_once = die
"""


def test_the_death_of_a_part_ends_it_with_the_reason() -> None:
    with ServeProcess("--compact-interval", "1ms", before=DYING_UPKEEP) as serving:
        assert serving.wait() == 1
    assert serving.lines[-1].startswith("ramster serve: a part of the node died: RuntimeError")


@pytest.mark.parametrize("flag", ["--http", "--nbd", "--listen"])
def test_an_address_in_use_is_one_line_and_exit_code_1(flag: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        place = f"tcp://{address}" if flag == "--nbd" else address
        done = run_ramster(
            *("serve", "--mode", "ramster", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"),
            *("--nbd", "tcp://127.0.0.1:0", "--export", "d=1MiB", flag, place),
        )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("ramster serve: ")
    assert address in line
    assert "in use" in line.lower()


def test_ramster_mode_without_the_extra_says_how_to_install_it() -> None:
    done = run_ramster("serve", "--mode", "ramster", "--http", "127.0.0.1:0", before=BLOCK_GRPC)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "pip install 'ramster[cluster]'" in done.stderr


def listening_ports(pid: int) -> set[int]:
    """TCP ports that a process listens on."""
    inodes = {
        target.removeprefix("socket:[").rstrip("]")
        for entry in Path(f"/proc/{pid}/fd").iterdir()
        if (target := str(entry.readlink())).startswith("socket:")
    }
    ports = set()
    for table in ("tcp", "tcp6"):
        path = Path(f"/proc/{pid}/net/{table}")
        for line in path.read_text().splitlines()[1:] if path.exists() else []:
            cells = line.split()
            if cells[3] == "0A" and cells[9] in inodes:
                ports.add(int(cells[1].rpartition(":")[2], 16))
    return ports


@pytest.mark.parametrize("with_file", [False, True])
def test_zcache_mode_with_peers_configured_opens_no_port_for_peers_and_loads_no_grpc(
    tmp_path: Path, with_file: bool
) -> None:
    file = tmp_path / "node.toml"
    file.write_text('mode = "ramster"\npeer = ["127.0.0.1:1"]\nlisten = "127.0.0.1:0"\n')
    flags = ("--config", str(file), "--nbd", "tcp://127.0.0.1:0", "--export", "d=1MiB")
    if with_file:
        flags += ("--writeback", str(tmp_path / "pages"), "--writeback-limit", "1MiB")
    with ServeProcess(*flags, "--mode", "zcache", before=BLOCK_GRPC) as serving:
        ready = serving.wait_ready()
        assert "peers" not in ready
        ports = {int(ready[what].rpartition(":")[2]) for what in ("http", "nbd")}
        assert listening_ports(serving.pid) == ports
        assert "cygrpc" not in Path(f"/proc/{serving.pid}/maps").read_text()
        assert fetch_figures(ready["http"])["mode"] == "zcache"
        serving.signal(signal.SIGTERM)
        assert serving.wait() == 0


def test_the_same_file_serves_ramster_mode(tmp_path: Path) -> None:
    file = tmp_path / "node.toml"
    file.write_text('peer = ["127.0.0.1:1"]\nlisten = "127.0.0.1:0"\npool_limit = "4MiB"\n')
    with ServeProcess("--config", str(file), RAMSTER_MODE="ramster") as serving:
        ready = serving.wait_ready()
        ports = {int(ready[what].rpartition(":")[2]) for what in ("http", "peers")}
        assert listening_ports(serving.pid) == ports
        figures = fetch_figures(ready["http"])
        assert [peer["address"] for peer in figures["peers"]] == ["127.0.0.1:1"]
        assert figures["pool"]["lend_limit_bytes"] == 2 * 2**20
        serving.signal(signal.SIGTERM)
        assert serving.wait() == 0


def test_exports_that_nobody_can_reach_are_warned_about() -> None:
    with ServeProcess("--export", "d=1MiB") as serving:
        serving.wait_line("WARNING ramster.commands.serve: exports without an NBD address")
