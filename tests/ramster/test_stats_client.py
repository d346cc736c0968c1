"""Asking a node for its figures, and what is said when there is no answer."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from ramster.addresses import Address
from ramster.config import NodeConfig
from ramster.embed import EmbeddedNode
from ramster.stats_client import StatsError, fetch_figures


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with EmbeddedNode(NodeConfig(name="n", http=Address("127.0.0.1", 0))) as node:
        yield node.node.endpoints["http"]


@pytest.mark.parametrize("suffix", ["", "/", "/stats", "/stats/"])
def test_the_address_may_be_given_with_or_without_the_path(url: str, suffix: str) -> None:
    assert fetch_figures(url + suffix)["name"] == "n"


def test_no_proxy_is_asked(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert fetch_figures(url)["name"] == "n"


def test_nobody_there_is_said_in_a_line(url: str) -> None:
    with pytest.raises(StatsError, match=r"no node answers at http://127.0.0.1:1/stats: .*refused"):
        fetch_figures("http://127.0.0.1:1")
    with pytest.raises(StatsError, match="404 Not Found"):
        fetch_figures(f"{url}/other")


def test_the_scheme_may_be_left_out(url: str) -> None:
    assert fetch_figures(url.removeprefix("http://"))["name"] == "n"
    assert fetch_figures(url.removeprefix("http://") + "/stats")["name"] == "n"


@pytest.mark.parametrize("nonsense", ["", "a b", "file:///etc/passwd", "ftp://h", "http://", "h:x"])
def test_what_is_no_address_is_refused(nonsense: str) -> None:
    with pytest.raises(StatsError, match="accepted is http://HOST:PORT, or HOST:PORT"):
        fetch_figures(nonsense)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.0 200 OK\r\n\r\nnot json",
        b"HTTP/1.0 200 OK\r\n\r\n{}",
        b"HTTP/1.0 200 OK\r\n\r\n[1]",
        b"HTTP/1.0 200 OK\r\n\r\n\xff",
        b"HTTP/1.0 200 OK\r\n\r\n" + b"[" * 100_000,
        b"SSH-2.0-x\r\n",
        b"\x1b[2J\x9b\0" * 100 + b"\r\n",
        b"",
    ],
)
def test_something_else_there_is_said_in_a_line(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            client, _ = listener.accept()
            with client:
                client.recv(65536)
                client.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            with pytest.raises(StatsError) as refused:
                fetch_figures(f"http://127.0.0.1:{listener.getsockname()[1]}")
        finally:
            thread.join()
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 300
