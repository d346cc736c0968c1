"""Figures over HTTP: /healthz, /stats (JSON), /metrics (Prometheus), other views as JSON, a page.

Covers: a small HTTP/1.1 server on a thread and an event loop of its own, so that a node whose
loop hangs is seen to be unhealthy. Does not cover: the figures (``figures.py``), their
Prometheus names (``metrics.py``), the page (``status_page.py``).

A bug in answering is 500 and one event in the log, and the server goes on.

Bounds: one request a connection, 8 KiB of request, 5 s to send it and 5 s to take the answer,
32 connections at once (more are closed unanswered). Only GET and HEAD. There is no
authentication: it listens on loopback unless told otherwise, and changes nothing.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import threading
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from functools import partial
from http import HTTPStatus
from typing import Any, NamedTuple, TypeVar

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from ramster.addresses import ABSENT_FAMILY, Address
from ramster.errors import ListenError, StoreClosedError
from ramster.event_log import EventLog
from ramster.figures import Figures
from ramster.metrics import registry_of
from ramster.status_page import page_file

__all__ = ["StatsServer"]

REQUEST_BYTES_MAX = 8192
CLIENT_TIMEOUT_S = 5.0
NODE_TIMEOUT_S = 2.0
CONNECTIONS_MAX = 32

log = EventLog(__name__)

T = TypeVar("T")


class _Answer(NamedTuple):
    status: HTTPStatus
    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    headers: tuple[str, ...] = ()


class StatsServer:
    """Serves figures that ``request_figures`` promises; it is called on this server's thread.

    ``state``: what the node does now; "serving" makes /healthz answer 200 and "ok", "draining" 200
    and that word, for it serves its programs; anything else 503. ``views``: other paths, and what
    promises the JSON value that each gives.
    """

    def __init__(
        self,
        request_figures: Callable[[], Future[Figures]],
        state: Callable[[], str],
        views: Mapping[str, Callable[[], Future[Any]]] | None = None,
    ) -> None:
        self._requests: dict[str, Callable[[], Future[Any]]] = {
            **dict.fromkeys(("/healthz", "/stats", "/metrics"), request_figures),
            **(views or {}),
        }
        self._state = state
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="ramster-http", daemon=True
        )
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()
        self._closing = False

    def start(self, address: Address) -> Address:
        """Listen; returns the address with its real port.

        Raises ListenError, and then nothing runs.
        """
        self._thread.start()
        try:
            return self._on_thread(self._listen(address))
        except OSError as error:
            self.close()
            number = error.errno or 0
            # Errors of name resolution have numbers of their own, below 0.
            reason = os.strerror(number) if number > 0 else error.strerror
            raise ListenError(number, f"cannot listen on {address}: {reason}") from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Stop listening, drop the connections, end the thread."""
        self._on_thread(self._shut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _on_thread(self, coroutine: Coroutine[None, None, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    async def _listen(self, address: Address) -> Address:
        listen = partial(
            asyncio.start_server,
            self._accept,
            address.host,
            address.port,
            limit=REQUEST_BYTES_MAX,
        )
        try:
            self._server = await listen()
        except OSError as error:
            if error.errno not in ABSENT_FAMILY:
                raise
            self._server = await listen(family=socket.AF_INET)
        return Address(address.host, self._server.sockets[0].getsockname()[1])

    async def _shut(self) -> None:
        self._closing = True
        if self._server is not None:
            self._server.close()
        for client in self._clients:
            client.cancel()
        # Not only the clients' tasks: a connection may be half-way through being accepted, which
        # ends soon and in a refusal.
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(others)
        await asyncio.sleep(0)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._closing or len(self._clients) >= CONNECTIONS_MAX:
            writer.transport.abort()
            return
        client = asyncio.ensure_future(self._serve(reader, writer))
        self._clients.add(client)
        client.add_done_callback(self._clients.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(CLIENT_TIMEOUT_S):
                request = await reader.readuntil(b"\r\n\r\n")
            method, answer = await self._answer(request)
            async with asyncio.timeout(CLIENT_TIMEOUT_S):
                writer.write(_encode(answer, with_body=method != "HEAD"))
                writer.write_eof()
                # What the client still sends is read away: closing on unread bytes would reset the
                # connection and could take the answer with it.
                while await reader.read(REQUEST_BYTES_MAX):
                    pass
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError, OSError):
            pass  # a client that stops half-way, says too much or is too slow gets no answer
        finally:
            writer.transport.abort()

    async def _answer(self, request: bytes) -> tuple[str, _Answer]:
        """The request's method and the answer to it."""
        lines = request.decode("latin-1").split("\r\n")
        words = lines[0].split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            return "GET", _plain(HTTPStatus.BAD_REQUEST)
        method, target, _ = words
        if method not in ("GET", "HEAD"):
            refusal = _plain(HTTPStatus.METHOD_NOT_ALLOWED)
            return method, refusal._replace(headers=("Allow: GET, HEAD",))
        path = target.partition("?")[0]
        try:
            return method, await self._look(path, _header(lines, "accept"))
        except Exception as error:  # noqa: BLE001  a bug: told to the client and to the log
            log.error(
                "http_request_failed",
                "the answer to a request for {path} failed here",
                subject=path,
                cause=error,
                path=path,
            )
            return method, _plain(HTTPStatus.INTERNAL_SERVER_ERROR)

    async def _look(self, path: str, accept: str) -> _Answer:
        """What there is at a path."""
        file = page_file(path)
        if file is not None:
            return _Answer(HTTPStatus.OK, file.body, file.content_type, file.headers)
        request_value = self._requests.get(path)
        if request_value is None:
            *first, last = ("/", *self._requests)
            return _plain(HTTPStatus.NOT_FOUND, f"try {', '.join(first)} or {last}")
        state = self._state()
        if path == "/healthz" and state not in ("serving", "draining"):
            return _plain(HTTPStatus.SERVICE_UNAVAILABLE, state)
        try:
            async with asyncio.timeout(NODE_TIMEOUT_S):
                value = await asyncio.wrap_future(request_value())
        except TimeoutError:
            return _plain(HTTPStatus.SERVICE_UNAVAILABLE, "the node does not answer")
        except StoreClosedError as error:  # it starts or stops, and has no figures
            return _plain(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        return _show(path, value, accept)


def _show(path: str, value: Any, accept: str) -> _Answer:
    if path == "/healthz":
        return _plain(HTTPStatus.OK, "draining" if value["state"] == "draining" else "ok")
    if path == "/metrics":
        encode, content_type = _encoder(accept)
        return _Answer(HTTPStatus.OK, encode(registry_of(value)), content_type)
    if path == "/stats":  # the one that people read
        text = json.dumps(value, indent=2)
    else:
        text = json.dumps(value, separators=(",", ":"))
    return _Answer(HTTPStatus.OK, text.encode() + b"\n", "application/json")


def _encoder(accept: str) -> tuple[Callable[[CollectorRegistry], bytes], str]:
    """The format that a client asks for; the plain one where it asks for what makes no sense."""
    try:
        return choose_encoder(accept)
    except (TypeError, ValueError):  # the library fails on versions that are no numbers
        return choose_encoder("")


def _plain(status: HTTPStatus, text: str = "") -> _Answer:
    return _Answer(status, f"{text or status.phrase}\n".encode())


def _header(lines: list[str], name: str) -> str:
    for line in lines[1:]:
        key, _, value = line.partition(":")
        if key.lower() == name:
            return value.strip()
    return ""


def _encode(answer: _Answer, *, with_body: bool) -> bytes:
    head = [
        f"HTTP/1.1 {answer.status.value} {answer.status.phrase}",
        f"Content-Type: {answer.content_type}",
        f"Content-Length: {len(answer.body)}",
        "Cache-Control: no-store",
        "Connection: close",
        *answer.headers,
    ]
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + (answer.body if with_body else b"")
