"""The calling side: ``GrpcTransport`` makes links, a ``GrpcLink`` carries calls to one peer.

Covers: connections, streams, deadlines, and the mapping of every failure to a PeerError. Does not
cover: when to call whom (the cluster). Read next: ``stream.py`` for one stream, ``convert.py`` for
messages.

A link has two TCP connections, both opened by the first call that needs them: one for bulk (spills,
flushes) and one for what is waited for (fetches, hello, heartbeats), so that a fetch of one page
does not queue behind half a megabyte of spilled ones.
"""

from __future__ import annotations

import asyncio
import itertools
from typing import Any, TypeVar

from google.protobuf.message import Message
from grpc import aio

from ramster.addresses import PEER_PORT, parse_address
from ramster.errors import (
    BadMessageError,
    ConfigurationError,
    PeerTimeoutError,
    PeerUnreachableError,
)
from ramster.rpc import convert, methods
from ramster.rpc.options import ConnectionSettings
from ramster.rpc.status import error_of_failure, error_of_status
from ramster.rpc.stream import LinkStats, RequestStream
from ramster.transport import (
    FetchReply,
    FetchRequest,
    FiguresRequest,
    FlushRequest,
    Heartbeat,
    HeartbeatReply,
    Hello,
    HelloReply,
    SpillReply,
    SpillRequest,
)
from ramster.wire.v1 import control_pb2, peer_pb2

__all__ = ["GrpcLink", "GrpcTransport", "LinkStats"]

M = TypeVar("M", bound=Message)

_BULK = "bulk"
_QUICK = "quick"

_LANES: dict[str, tuple[str, type[Message], int]] = {
    # path: connection, reply, calls in flight (bounds the memory that unsent requests take)
    methods.SPILL: (_BULK, peer_pb2.SpillReply, 8),
    methods.FLUSH: (_BULK, peer_pb2.FlushReply, 16),
    methods.FETCH: (_QUICK, peer_pb2.FetchReply, 256),
}


class GrpcTransport:
    """Links over gRPC; see ``ramster.transport.Transport``."""

    def __init__(self, *, settings: ConnectionSettings | None = None) -> None:
        self._settings = settings or ConnectionSettings()
        self._links: list[GrpcLink] = []

    def link(self, address: str) -> GrpcLink:
        """A link of its own to HOST:PORT. Raises ConfigurationError for anything else."""
        link = GrpcLink(address, self._settings)
        self._links = [known for known in self._links if not known.closed]
        self._links.append(link)
        return link

    async def close(self) -> None:
        """Close every link; waits for no peer."""
        for link in self._links:
            await link.close()
        self._links.clear()


class GrpcLink:
    """The way to one peer; see ``ramster.transport.PeerLink``. Belongs to one event loop."""

    def __init__(self, address: str, settings: ConnectionSettings) -> None:
        try:
            self._target = f"dns:///{parse_address(address, PEER_PORT)}"
        except ValueError:
            raise ConfigurationError("peer", address, "the cluster", "HOST:PORT") from None
        self._address = address
        self._settings = settings
        self._channels: dict[str, aio.Channel] = {}
        self._streams: dict[str, RequestStream[Any]] = {}
        self._slots = {path: asyncio.Semaphore(lane[2]) for path, lane in _LANES.items()}
        self._ids = itertools.count(1)
        self._closed = False
        self.stats = LinkStats()

    @property
    def address(self) -> str:
        """HOST:PORT as configured."""
        return self._address

    @property
    def closed(self) -> bool:
        """Whether ``close`` was called."""
        return self._closed

    async def hello(self, hello: Hello, deadline_s: float) -> HelloReply:
        """See ``PeerLink``. A refusal also closes the connections (checklist 59)."""
        data = convert.encode_hello(hello)
        message = await self._call(methods.HELLO, data, control_pb2.HelloReply, deadline_s)
        if message.HasField("failure"):
            await self._disconnect("the peer refused us")
            raise error_of_failure(message.failure, self._address)
        try:
            return convert.hello_reply_of(message)
        except BadMessageError as error:
            raise BadMessageError(self._named(error)) from error

    async def heartbeat(self, beat: Heartbeat, deadline_s: float) -> HeartbeatReply:
        """See ``PeerLink``."""
        data = convert.encode_heartbeat(beat)
        message = await self._call(methods.HEARTBEAT, data, control_pb2.HeartbeatReply, deadline_s)
        self._raise_failure(message)
        return convert.heartbeat_reply_of(message)

    async def figures(self, request: FiguresRequest, deadline_s: float) -> bytes:
        """See ``PeerLink``."""
        data = convert.encode_figures_request(request)
        message = await self._call(methods.FIGURES, data, control_pb2.FiguresReply, deadline_s)
        self._raise_failure(message)
        try:
            return convert.figures_of(message)
        except BadMessageError as error:
            raise BadMessageError(self._named(error)) from error

    async def spill(self, request: SpillRequest, deadline_s: float) -> SpillReply:
        """See ``PeerLink``. A timeout also ends the stream: a batch on its way is not processed.

        Whatever leaves the outcome unknown is PeerTimeoutError or PeerUnreachableError, a reply
        that breaks the protocol too. BadMessageError: nothing was sent, or the peer says that it
        took nothing.
        """
        request_id = next(self._ids)
        data = convert.encode_spill_request(request_id, request)
        try:
            message = await self._ask(methods.SPILL, request_id, data, deadline_s)
            if not message.HasField("failure"):
                return convert.spill_reply_of(message, len(request.blobs))
        except BadMessageError as error:
            raise PeerUnreachableError(self._named(error)) from error
        raise error_of_failure(message.failure, self._address)

    async def fetch(self, request: FetchRequest, deadline_s: float) -> FetchReply:
        """See ``PeerLink``."""
        request_id = next(self._ids)
        data = convert.encode_fetch_request(request_id, request)
        message = await self._ask(methods.FETCH, request_id, data, deadline_s)
        self._raise_failure(message)
        try:
            return convert.fetch_reply_of(message, len(request.keys))
        except BadMessageError as error:
            raise BadMessageError(self._named(error)) from error

    async def flush(self, request: FlushRequest, deadline_s: float) -> None:
        """See ``PeerLink``."""
        request_id = next(self._ids)
        data = convert.encode_flush_request(request_id, request)
        self._raise_failure(await self._ask(methods.FLUSH, request_id, data, deadline_s))

    async def close(self) -> None:
        """See ``PeerLink``. Calls under way and later ones raise PeerUnreachableError."""
        self._closed = True
        await self._disconnect("the link is closed")

    # -- inside ------------------------------------------------------------------------------------

    async def _call(self, path: str, data: bytes, kind: type[M], deadline_s: float) -> M:
        """One unary call."""
        try:
            reply = await self._channel(_QUICK).unary_unary(path, None, None)(
                data, timeout=deadline_s
            )
            return convert.parse(kind, reply)
        except aio.AioRpcError as error:
            raise error_of_status(error.code(), error.details(), self._address) from error
        except BadMessageError as error:
            raise BadMessageError(self._named(error)) from error
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # gRPC's way to say that this side closed the channel; the caller was not cancelled.
            raise PeerUnreachableError(f"{self._address}: the link is closed") from None

    async def _ask(self, path: str, request_id: int, data: bytes, deadline_s: float) -> Any:
        """One request on the stream of its kind; the reply may hold a failure."""
        slots = self._slots[path]
        if slots.locked():
            deadline_s = await self._wait_for_slot(slots, deadline_s)
        else:
            await slots.acquire()
        try:
            stream = self._stream(path)
            try:
                return await stream.ask(request_id, data, deadline_s)
            except PeerTimeoutError:
                if path == methods.SPILL:
                    stream.end(PeerUnreachableError(f"{self._address}: given up after a timeout"))
                raise
        finally:
            slots.release()

    async def _wait_for_slot(self, slots: asyncio.Semaphore, deadline_s: float) -> float:
        """Acquire a slot; returns what is left of the deadline."""
        loop = asyncio.get_running_loop()
        end = loop.time() + deadline_s
        try:
            async with asyncio.timeout_at(end):
                await slots.acquire()
        except TimeoutError:
            text = f"{self._address}: {deadline_s:g} s passed before the request could be sent"
            raise PeerTimeoutError(text) from None
        return end - loop.time()

    def _channel(self, name: str) -> aio.Channel:
        if self._closed:
            raise PeerUnreachableError(f"{self._address}: the link is closed")
        if name not in self._channels:
            options = self._settings.channel_options()
            self._channels[name] = aio.insecure_channel(self._target, options=options)
        return self._channels[name]

    def _stream(self, path: str) -> RequestStream[Any]:
        stream = self._streams.get(path)
        if stream is None or stream.ended:
            channel, reply_kind, _ = _LANES[path]
            call = self._channel(channel).stream_stream(path, None, None)(None)
            stream = RequestStream(call, reply_kind, self._address, self.stats)
            self._streams[path] = stream
        return stream

    async def _disconnect(self, reason: str) -> None:
        """Drop everything without waiting for the peer; what is in flight fails."""
        streams, self._streams = self._streams, {}
        channels, self._channels = self._channels, {}
        for stream in streams.values():
            stream.end(PeerUnreachableError(f"{self._address}: {reason}"))
        for stream in streams.values():
            await stream.join()
        for channel in channels.values():
            await channel.close(None)

    def _raise_failure(self, message: Any) -> None:
        if message.HasField("failure"):
            raise error_of_failure(message.failure, self._address)

    def _named(self, error: Exception) -> str:
        return f"{self._address}: {error}"
