"""Figures over HTTP: what is answered, and what slow, greedy or broken clients get."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager

import pytest

from ramster import stats_server
from ramster.addresses import Address
from ramster.config import NodeConfig
from ramster.errors import ListenError, StoreClosedError
from ramster.figures import Figures, collect
from ramster.stats_server import StatsServer
from zcache import Cache


def figures_now() -> Figures:
    config = NodeConfig(name="n", pool_limit=2**20)
    return collect(
        config,
        Cache(config.cache_config()),
        state="serving",
        uptime_s=1.5,
        endpoints={},
        cluster=None,
        nbd=None,
    )


def answered(**others: object) -> Future[Figures]:
    future: Future[Figures] = Future()
    future.set_result({**figures_now(), **others})
    return future


class Served:
    """A running server, its state, and what it asks for figures."""

    def __init__(self) -> None:
        self.state = "serving"
        self.request = answered
        self.server = StatsServer(lambda: self.request(), lambda: self.state)
        self.address = self.server.start(Address("127.0.0.1", 0))

    def get(self, path: str, **headers: str) -> tuple[int, str, str]:
        request = urllib.request.Request(f"http://{self.address}{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.headers["Content-Type"], answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers["Content-Type"], error.read().decode()

    @contextmanager
    def connection(self) -> Iterator[socket.socket]:
        with socket.create_connection(self.address, timeout=10) as client:
            yield client

    def exchange(self, request: bytes) -> bytes:
        """Everything that the server says to these bytes, until it closes."""
        with self.connection() as client:
            client.sendall(request)
            client.shutdown(socket.SHUT_WR)
            return read_all(client)


def read_all(client: socket.socket) -> bytes:
    answer = b""
    try:
        while more := client.recv(65536):
            answer += more
    except ConnectionResetError:
        pass  # closing with unread bytes resets; what was said before counts
    return answer


@pytest.fixture
def served() -> Iterator[Served]:
    served = Served()
    yield served
    served.server.close()


def test_healthz_is_200_once_the_node_serves_and_503_before_and_while_stopping(
    served: Served,
) -> None:
    assert served.get("/healthz") == (200, "text/plain; charset=utf-8", "ok\n")
    served.state = "draining"
    served.request = lambda: answered(state="draining")
    assert served.get("/healthz")[::2] == (200, "draining\n")
    for state in ("starting", "stopping"):
        served.state = state
        assert served.get("/healthz")[::2] == (503, f"{state}\n")


def test_stats_are_the_figures_as_json(served: Served) -> None:
    status, content_type, body = served.get("/stats?pretty")
    assert (status, content_type) == (200, "application/json")
    assert json.loads(body) == figures_now()


def test_a_node_without_figures_yet_says_what_it_does(served: Served) -> None:
    def starting() -> Future[Figures]:
        wanted: Future[Figures] = Future()
        wanted.set_exception(StoreClosedError("the node is starting"))
        return wanted

    served.request = starting
    assert served.get("/stats")[::2] == (503, "the node is starting\n")


def test_other_views_are_json_at_their_paths() -> None:
    def view() -> Future[object]:
        wanted: Future[object] = Future()
        wanted.set_result({"asked": "n", "nodes": []})
        return wanted

    server = StatsServer(answered, lambda: "serving", {"/cluster": view})
    address = server.start(Address("127.0.0.1", 0))
    try:
        with urllib.request.urlopen(f"http://{address}/cluster?x", timeout=10) as answer:
            assert answer.headers["Content-Type"] == "application/json"
            assert json.load(answer) == {"asked": "n", "nodes": []}
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"http://{address}/other", timeout=10)
        with refused.value as error:
            assert error.read() == b"try /, /healthz, /stats, /metrics or /cluster\n"
    finally:
        server.close()


def test_metrics_are_prometheus_text_or_open_metrics_as_asked_for(served: Served) -> None:
    status, content_type, body = served.get("/metrics")
    assert status == 200
    assert content_type.startswith("text/plain; version=")
    assert "\nramster_pool_limit_bytes 1.048576e+06\n" in body
    _, content_type, body = served.get(
        "/metrics", Accept="application/openmetrics-text; version=1.0.0"
    )
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith("# EOF\n")


@pytest.mark.parametrize(
    "accept",
    [
        "application/openmetrics-text;version=abc",
        "text/plain;version=x;q=y",
        ";;=",
        "\xff;version=",
    ],
)
def test_a_format_that_makes_no_sense_is_the_plain_one(served: Served, accept: str) -> None:
    status, content_type, body = served.get("/metrics", Accept=accept)
    assert status == 200
    assert content_type.startswith("text/plain")
    assert "ramster_pages{" in body


def test_a_bug_in_answering_is_one_event_and_the_server_goes_on(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> Future[Figures]:
        raise ZeroDivisionError("a defect")

    served.request = broken
    with caplog.at_level(logging.DEBUG):
        assert served.get("/stats")[::2] == (500, "Internal Server Error\n")
        assert served.exchange(b"HEAD /stats HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 500 ")
        served.request = lambda: answered(state=object())  # no JSON
        assert served.get("/stats")[0] == 500
        served.request = answered
        assert served.get("/stats")[0] == 200
        gc.collect()  # a task whose error nobody took says so when it goes
    assert [record.event for record in caplog.records] == [  # type: ignore[attr-defined]
        "http_request_failed"
    ] * 3
    assert "the answer to a request for /stats failed here" in caplog.messages


def test_what_people_read_is_laid_out_and_what_programs_read_is_short() -> None:
    value = {"samples": [[1, 2], [3, 4]]}

    def view() -> Future[object]:
        future: Future[object] = Future()
        future.set_result(value)
        return future

    server = StatsServer(answered, lambda: "serving", {"/history": view})
    address = server.start(Address("127.0.0.1", 0))
    try:
        with urllib.request.urlopen(f"http://{address}/history", timeout=10) as answer:
            assert answer.read() == b'{"samples":[[1,2],[3,4]]}\n'
        with urllib.request.urlopen(f"http://{address}/stats", timeout=10) as answer:
            assert b'{\n  "name": "n",\n' in answer.read()
    finally:
        server.close()


def test_head_gets_the_head_only(served: Served) -> None:
    answer = served.exchange(b"HEAD /stats HTTP/1.1\r\nHost: x\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nContent-Length: " in head
    assert body == b""


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET /page/ HTTP/1.1", 404),
        (b"GET /stats/ HTTP/1.1", 404),
        (b"GET /../etc/passwd HTTP/1.0", 404),
        (b"POST /stats HTTP/1.1", 405),
        (b"DELETE /metrics HTTP/1.1", 405),
        (b"GET /stats", 400),
        (b"\xff\xfe\xfd", 400),
        (b"GET /stats HTTP/2", 400),
    ],
)
def test_other_requests_are_refused(served: Served, request_line: bytes, status: int) -> None:
    answer = served.exchange(request_line + b"\r\n\r\n")
    assert int(answer.split()[1]) == status
    assert b"\r\nConnection: close\r\n" in answer


def test_a_request_longer_than_the_bound_gets_no_answer(served: Served) -> None:
    answer = served.exchange(b"GET /stats HTTP/1.1\r\nX: " + b"x" * 20000 + b"\r\n\r\n")
    assert answer == b""
    assert served.get("/healthz")[0] == 200


def test_a_client_that_never_finishes_its_request_is_dropped(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stats_server, "CLIENT_TIMEOUT_S", 0.1)
    with served.connection() as client:
        client.sendall(b"GET /stats HTTP/1.1\r\n")
        assert read_all(client) == b""


def test_connections_beyond_the_bound_are_closed_and_the_others_served(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stats_server, "CONNECTIONS_MAX", 1)
    with served.connection() as first, served.connection() as second:
        # The second is dropped at once, which also shows that the first one was accepted before it.
        assert read_all(second) == b""
        first.sendall(b"GET /healthz HTTP/1.1\r\n\r\n")
        first.shutdown(socket.SHUT_WR)
        assert read_all(first).endswith(b"\r\n\r\nok\n")


def test_a_node_that_does_not_answer_is_unhealthy(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stats_server, "NODE_TIMEOUT_S", 0.05)
    served.request = Future
    for path in ("/healthz", "/stats", "/metrics"):
        assert served.get(path)[::2] == (503, "the node does not answer\n")


def test_closing_drops_connections_and_frees_the_port(served: Served) -> None:
    other = Served()
    with other.connection() as client:
        other.get("/healthz")  # answered after the first connection was accepted
        other.server.close()
        assert read_all(client) == b""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(other.address, timeout=10)


def test_an_address_in_use_is_an_error_and_leaves_nothing_running(served: Served) -> None:
    server = StatsServer(answered, lambda: "serving")
    with pytest.raises(ListenError, match=f"{served.address}: Address already in use"):
        server.start(served.address)
    assert served.get("/healthz")[0] == 200


def test_the_server_works_beside_a_running_event_loop(served: Served) -> None:
    async def ask() -> tuple[int, str, str]:
        return await asyncio.to_thread(served.get, "/healthz")

    assert asyncio.run(ask())[0] == 200


def test_a_name_may_have_an_address_of_a_family_that_is_not_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    absent = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2001:db8::1", 0, 0, 0))
    present = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))

    def found(_host: object, _port: object, family: int = 0, *_: object) -> list[object]:
        return [present] if family == socket.AF_INET else [absent, present]

    monkeypatch.setattr(socket, "getaddrinfo", found)
    server = StatsServer(answered, lambda: "serving")
    bound = server.start(Address("localhost", 0))
    monkeypatch.undo()
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{bound.port}/healthz") as answer:
            assert answer.status == 200
    finally:
        server.close()
