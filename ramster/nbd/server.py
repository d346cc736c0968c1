"""The NBD server: listens, admits clients, counts, and ends in bounded time.

Covers: life of listeners and connections. Does not cover: what a connection does
(``connection.py``).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

from ramster.histograms import Histogram
from ramster.nbd.budget import FlightBudget
from ramster.nbd.connection import Connection
from ramster.nbd.counters import ExportFigures, NbdSnapshot, Traffic
from ramster.nbd.device import BlockDevice
from ramster.nbd.export import Export, ExportTable
from ramster.nbd.limits import NbdLimits
from ramster.nbd.listener import Listener, open_listener
from ramster.store import PageStore
from ramster.timings import Timings

__all__ = ["NbdServer"]


class NbdServer:
    """Serves exports of one page store to NBD clients, on the running event loop.

    >>> server = NbdServer(store, [Export("disk0", 1 << 30, pool_id, object_id=1)])
    >>> url = await server.start("tcp://127.0.0.1:0")
    >>> ...
    >>> await server.close()

    The first export is also the one that clients get who ask for the empty name. Raises
    ConfigurationError for exports that cannot be served together.
    """

    def __init__(
        self,
        store: PageStore,
        exports: Sequence[Export],
        *,
        limits: NbdLimits | None = None,
        timings: Timings | None = None,
    ) -> None:
        self.limits = limits or NbdLimits()
        self.budget = FlightBudget(
            self.limits.server_bytes_in_flight_max, self.limits.own_bytes_in_flight_max
        )
        """What requests of all connections hold at this moment, and held at most."""
        self.durations: Sequence[Histogram] = (timings or Timings()).nbd
        """By command, in seconds."""
        self.exports = ExportTable(exports)
        self._devices = {export.name: BlockDevice(store, export) for export in exports}
        self._past = {export.name: Traffic() for export in exports}
        self._listeners: list[tuple[Listener, list[asyncio.Server]]] = []
        self._connections: set[Connection] = set()
        self._closed = False
        self._total = 0
        self._refused = 0
        self._timeouts = 0
        self._protocol_errors = 0

    async def start(self, url: str) -> str:
        """Listen on ``tcp://HOST:PORT`` or ``unix:///PATH``, in addition to earlier ones.

        Returns the URL with the real port. Raises ConfigurationError (no such URL) and ListenError.
        """
        listener = open_listener(url)
        loop = asyncio.get_running_loop()
        servers = [
            await loop.create_server(lambda: Connection(self), sock=sock)
            if listener.path is None
            else await loop.create_unix_server(lambda: Connection(self), sock=sock)
            for sock in listener.sockets
        ]
        self._listeners.append((listener, servers))
        return listener.url

    async def close(self) -> None:
        """Stop listening, let requests under way end, close every connection. May be called again.

        Requests that have not begun fail with ESHUTDOWN. Takes at most about ``close_timeout_s``,
        whatever clients and the store do; what is under way then is cancelled.
        """
        self._closed = True
        for listener, servers in self._listeners:
            for server in servers:
                server.close()
            listener.remove_path()
        self._listeners.clear()
        for connection in list(self._connections):
            connection.shut_down()
        await self._wait_for_connections(self.limits.close_timeout_s)
        for connection in list(self._connections):
            connection.abort()
        await self._wait_for_connections(1.0)

    async def _wait_for_connections(self, timeout_s: float) -> None:
        gone = [connection.gone for connection in self._connections]
        if gone:
            await asyncio.wait(gone, timeout=timeout_s)

    def snapshot(self) -> NbdSnapshot:
        """The figures of this moment."""
        traffic = {name: Traffic() for name in self._past}
        users: Counter[str] = Counter()
        for name, past in self._past.items():
            traffic[name].add(past)
        for connection in self._connections:
            if connection.export is not None:
                users[connection.export.name] += 1
                traffic[connection.export.name].add(connection.traffic)
        connections = [connection.figures() for connection in self._connections]
        return NbdSnapshot(
            endpoints=[listener.url for listener, _ in self._listeners],
            connections_open=len(self._connections),
            connections_total=self._total,
            connections_refused=self._refused,
            connections_waiting=self.budget.shares_waiting,
            requests_in_flight=sum(connection.requests_in_flight for connection in connections),
            bytes_in_flight=self.budget.bytes_taken + self.budget.bytes_own,
            bytes_in_flight_peak=self.budget.bytes_peak,
            bytes_in_flight_limit=self.budget.bytes_max,
            handshake_timeouts=self._timeouts,
            protocol_errors=self._protocol_errors,
            exports=[
                ExportFigures(
                    name=export.name,
                    size_bytes=export.size_bytes,
                    read_only=export.read_only,
                    connections=users[export.name],
                    traffic=traffic[export.name].figures(),
                )
                for export in self.exports
            ],
            connections=connections,
        )

    # -- for connections ---------------------------------------------------------------------------

    def device(self, export: Export) -> BlockDevice:
        """The device that all connections to an export share."""
        return self._devices[export.name]

    def admit(self, connection: Connection) -> bool:
        """Take a client in, unless there are too many."""
        if self._closed or len(self._connections) >= self.limits.connections_max:
            self._refused += 1
            return False
        self._total += 1
        self._connections.add(connection)
        return True

    def dismiss(self, connection: Connection) -> None:
        """Forget a connection that is gone; its counts stay."""
        self._connections.discard(connection)
        if connection.export is not None:
            self._past[connection.export.name].add(connection.traffic)

    def count_timeout(self) -> None:
        """A handshake took too long."""
        self._timeouts += 1

    def count_protocol_error(self) -> None:
        """A client broke the protocol."""
        self._protocol_errors += 1
