"""Servers of one measurement: real programs, started, ready, ended, and what they hold."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import pytest

from ramster.bench.model import WorkloadUnavailable
from ramster.bench.server_process import (
    ServerError,
    accepts,
    file_bytes,
    find_program,
    free_port,
    held_bytes,
    serve,
    socket_folder,
)
from ramster.processes import start_time

LISTEN = """
import socket, sys
held = b"x" * int(sys.argv[2])
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True: server.accept()
"""


def listener(port: int, held: int = 0) -> list[str]:
    return [sys.executable, "-c", LISTEN, str(port), str(held)]


def test_a_server_is_there_when_ready_and_gone_afterwards() -> None:
    port = free_port()
    address = ("127.0.0.1", port)
    assert not accepts(address)
    with serve(listener(port), lambda: accepts(address)) as pid:
        assert start_time(pid) is not None
    assert start_time(pid) is None
    assert not accepts(address)


def test_it_is_gone_after_an_exception_too() -> None:
    port = free_port()
    with (
        pytest.raises(ZeroDivisionError),
        serve(listener(port), lambda: accepts(("127.0.0.1", port))) as pid,
    ):
        raise ZeroDivisionError
    assert start_time(pid) is None


def test_a_server_that_ends_says_its_last_words() -> None:
    words = [sys.executable, "-c", "import sys; sys.exit('there is no room')"]
    with pytest.raises(ServerError, match="ended: there is no room"), serve(words, lambda: False):
        pass


def test_a_server_that_is_never_ready_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ramster.bench.server_process._READY_S", 0.2)
    port = free_port()
    with (
        pytest.raises(ServerError, match="is not ready in time"),
        serve(listener(port), lambda: False),
    ):
        pass
    assert not accepts(("127.0.0.1", port))


def test_held_bytes_are_those_of_its_memory() -> None:
    found = []
    for held in (0, 32 * 2**20):
        port = free_port()
        words = listener(port, held)
        with serve(words, lambda port=port: accepts(("127.0.0.1", port))) as pid:
            found.append(held_bytes(pid))
    assert found[1] - found[0] == pytest.approx(32 * 2**20, rel=0.1)


def test_a_missing_program_is_named_with_its_package() -> None:
    with pytest.raises(WorkloadUnavailable, match=r"no nonesuch: apt-get install nonesuch-tools"):
        find_program("nonesuch", "nonesuch-tools")
    assert find_program("sh", "dash").endswith("/sh")


def test_file_bytes_are_blocks_and_not_lengths(tmp_path: Path) -> None:
    (tmp_path / "sparse").touch()
    os.truncate(tmp_path / "sparse", 2**30)
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "full").write_bytes(os.urandom(8192))
    assert 8192 <= file_bytes(tmp_path) < 2**20
    assert file_bytes(tmp_path / "sparse") == 0


def test_sockets_lie_where_their_path_is_short_enough(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory() as short, socket_folder(Path(short)) as folder:
        assert folder == Path(short)
    deep = tmp_path / ("x" * 100)
    deep.mkdir()
    with socket_folder(deep) as folder:
        assert folder != deep
        assert len(os.fsencode(folder / "memcached.sock")) <= 107
    assert not folder.exists()
