from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import pytest

from ramster.errors import ConfigurationError, ListenError, RamsterError
from ramster.nbd.listener import nbd_uri, open_listener, split_url


@pytest.mark.parametrize(
    ("url", "uri"),
    [
        ("tcp://10.0.0.1:1", "nbd://10.0.0.1:1/my%20disk"),
        ("tcp://h", "nbd://h:10809/my%20disk"),
        ("tcp://[::1]:99", "nbd://[::1]:99/my%20disk"),
        ("unix:///run/x%20y", "nbd+unix:///my%20disk?socket=/run/x%20y"),
    ],
)
def test_urls_as_other_programs_write_them(url: str, uri: str) -> None:
    assert nbd_uri(url, "my disk") == uri


def test_a_unix_url_is_a_path_and_a_tcp_url_an_address() -> None:
    assert split_url("unix:///run/x%20y") == "/run/x y"
    assert split_url("tcp://[::1]:5") == ("::1", 5)


@pytest.mark.parametrize("url", ["", "http://x", "tcp://", "tcp://h:x", "unix://x", "unix:///"])
def test_other_urls_are_refused_with_what_is_accepted(url: str) -> None:
    with pytest.raises(ConfigurationError, match="unix:///PATH"):
        open_listener(url)


def close(*listeners: object) -> None:
    for listener in listeners:
        for sock in listener.sockets:  # type: ignore[attr-defined]
            sock.close()


def test_port_zero_becomes_a_real_port() -> None:
    listener = open_listener("tcp://127.0.0.1:0")
    host, port = listener.sockets[0].getsockname()
    assert listener.url == f"tcp://{host}:{port}"
    assert port
    close(listener)


def test_a_name_with_two_addresses_has_one_port() -> None:
    listener = open_listener("tcp://localhost:0")
    assert len({sock.getsockname()[1] for sock in listener.sockets}) == 1
    close(listener)


def test_a_port_in_use_says_so() -> None:
    listener = open_listener("tcp://127.0.0.1:0")
    with pytest.raises(ListenError, match="in use") as caught:
        open_listener(listener.url)
    assert caught.value.errno == errno.EADDRINUSE
    assert isinstance(caught.value, RamsterError | OSError)
    assert listener.url in str(caught.value)
    close(listener)


def test_an_address_of_another_machine_says_so() -> None:
    with pytest.raises(ListenError, match="assign"):
        open_listener("tcp://192.0.2.1:0")


def test_an_unknown_host_says_so() -> None:
    with pytest.raises(ListenError, match="not known"):
        open_listener("tcp://no-such-host.invalid:0")


def test_a_socket_left_behind_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "nbd.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    listener = open_listener(f"unix://{path}")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    close(listener)
    listener.remove_path()
    assert not path.exists()


def test_a_socket_in_use_is_left_alone(tmp_path: Path) -> None:
    url = f"unix://{tmp_path}/nbd.sock"
    listener = open_listener(url)
    with pytest.raises(ListenError, match="another process listens"):
        open_listener(url)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"{tmp_path}/nbd.sock")
    close(listener)


@pytest.mark.parametrize("kind", ["file", "directory", "link"])
def test_anything_but_a_socket_is_left_alone(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "nbd.sock"
    match kind:
        case "file":
            path.write_text("precious")
        case "directory":
            path.mkdir()
        case "link":
            path.symlink_to("elsewhere")
    with pytest.raises(ListenError, match="no socket"):
        open_listener(f"unix://{path}")
    assert os.path.lexists(path)


def test_a_missing_directory_says_so(tmp_path: Path) -> None:
    with pytest.raises(ListenError, match="No such file"):
        open_listener(f"unix://{tmp_path}/no/nbd.sock")


def test_a_path_that_belongs_to_somebody_else_by_now_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "nbd.sock"
    first = open_listener(f"unix://{path}")
    path.unlink()
    second = open_listener(f"unix://{path}")
    first.remove_path()
    assert path.exists()
    close(first, second)
    second.remove_path()
    second.remove_path()
    assert not path.exists()
