"""The answering side: ``PeerServer`` takes calls of peers to a ``PeerHandler``.

Covers: listening, streams, refusals, the end. Does not cover: what is answered (``foreign.py``),
programs (``tmem_service.py``, served on the same port). Read next: ``client.py`` for the other end.

A handler is called on the event loop and does not wait, so a stream is served in order and a peer
that sends faster than it is served is slowed down by HTTP/2's flow control, not by memory.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

import grpc
from google.protobuf.message import Message
from grpc import aio

from ramster.addresses import ABSENT_FAMILY, PEER_PORT, Address, parse_address
from ramster.errors import BadMessageError, ConfigurationError, ListenError
from ramster.event_log import EventLog
from ramster.rpc import convert, methods
from ramster.rpc.options import ConnectionSettings
from ramster.rpc.status import HANDLER_ERRORS, failure_of
from ramster.rpc.tmem_service import TmemService
from ramster.store import PageStore
from ramster.transport import PeerHandler
from ramster.wire.v1 import control_pb2, peer_pb2

__all__ = ["PeerServer", "ServerStats"]

M = TypeVar("M", bound=Message)
P = ParamSpec("P")
Context = aio.ServicerContext[bytes, bytes]

_log = EventLog(__name__)


@dataclass(slots=True)
class ServerStats:
    """Counters of one server."""

    bad_messages: int = 0
    """Requests that broke the protocol, or that the handler called so."""
    failures_inside: int = 0
    """Requests that met a bug of this node; each is logged."""


class PeerServer:
    """Serves peers, and programs where a store is given. Belongs to one event loop."""

    def __init__(
        self,
        handler: PeerHandler,
        store: PageStore | None = None,
        *,
        settings: ConnectionSettings | None = None,
        data_endpoint: str = "",
    ) -> None:
        self._handler = handler
        self._tmem = TmemService(store) if store is not None else None
        self._settings = settings or ConnectionSettings()
        self._data_endpoint = data_endpoint
        self._server: aio.Server | None = None
        self._idle: set[asyncio.Task[Any]] = set()
        """Streams that wait for their next request."""
        self._stopping = asyncio.Event()
        self.stats = ServerStats()

    async def start(self, listen: str) -> str:
        """Listen on HOST:PORT (port 0: a free one) and return the HOST:PORT that was taken.

        Raises ListenError where that is not possible (not an address of this machine, a port in
        use), ConfigurationError for what is no address.
        """
        try:
            address = parse_address(listen, PEER_PORT)
        except ValueError:
            raise ConfigurationError("listen", listen, "the peer server", "HOST:PORT") from None
        await _check_bindable(address)
        server = aio.server(options=self._settings.server_options())
        server.add_generic_rpc_handlers(self._services())
        try:
            port = server.add_insecure_port(str(address))
        except RuntimeError as error:
            raise ListenError(0, f"cannot listen on {address}: {error}") from error
        self._stopping.clear()
        await server.start()
        self._server = server
        return str(address._replace(port=port))

    async def stop(self, grace_s: float) -> None:
        """Take no more calls, end streams between requests, and what is left after ``grace_s``.

        Waits for no peer: only for programs' calls that are being carried out.
        """
        self._stopping.set()
        if self._server is None:
            return
        for task in tuple(self._idle):
            task.cancel()
        await self._server.stop(grace_s)
        self._server = None

    # -- services ----------------------------------------------------------------------------------

    def _services(self) -> tuple[grpc.GenericRpcHandler[Any, Any], ...]:
        unary, stream = self._unary, self._stream
        handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            methods.HELLO: unary(control_pb2.HelloRequest, control_pb2.HelloReply, self._hello),
            methods.HEARTBEAT: unary(
                control_pb2.HeartbeatRequest, control_pb2.HeartbeatReply, self._heartbeat
            ),
            methods.FIGURES: unary(
                control_pb2.FiguresRequest, control_pb2.FiguresReply, self._figures
            ),
            methods.SPILL: stream(peer_pb2.SpillRequest, peer_pb2.SpillReply, self._spill),
            methods.FETCH: stream(peer_pb2.FetchRequest, peer_pb2.FetchReply, self._fetch),
            methods.FLUSH: stream(peer_pb2.FlushRequest, peer_pb2.FlushReply, self._flush),
        }
        if self._tmem is not None:
            handlers |= self._tmem.handlers()
        return _by_service(handlers)

    def _hello(self, message: control_pb2.HelloRequest) -> bytes:
        reply = self._handler.on_hello(convert.hello_of(message))
        return _own(convert.encode_hello_reply, reply, self._data_endpoint)

    def _heartbeat(self, message: control_pb2.HeartbeatRequest) -> bytes:
        reply = self._handler.on_heartbeat(convert.heartbeat_of(message))
        return _own(convert.encode_heartbeat_reply, reply)

    def _figures(self, message: control_pb2.FiguresRequest) -> bytes:
        figures = self._handler.on_figures(convert.figures_request_of(message))
        return _own(convert.encode_figures_reply, figures)

    def _spill(self, message: peer_pb2.SpillRequest) -> bytes:
        reply = self._handler.on_spill(convert.spill_request_of(message))
        return _own(convert.encode_spill_reply, message.request_id, reply)

    def _fetch(self, message: peer_pb2.FetchRequest) -> bytes:
        request = convert.fetch_request_of(message)
        reply = self._handler.on_fetch(request)
        return _own(convert.encode_fetch_reply, message.request_id, reply, len(request.keys))

    def _flush(self, message: peer_pb2.FlushRequest) -> bytes:
        self._handler.on_flush(convert.flush_request_of(message))
        return _own(convert.encode_flush_reply, message.request_id)

    # -- calls -------------------------------------------------------------------------------------

    def _unary(
        self, kind: type[M], reply_kind: type[Message], answer: Callable[[M], bytes]
    ) -> grpc.RpcMethodHandler[Any, Any]:
        async def serve(data: bytes, context: Context) -> bytes:
            try:
                return answer(convert.parse(kind, data))
            except Exception as error:  # noqa: BLE001 - logged, and the peer is told
                failure = self._failure(error, context)
                return reply_kind(failure=failure).SerializeToString()

        return grpc.unary_unary_rpc_method_handler(serve)

    def _stream(
        self, kind: type[M], reply_kind: type[Message], answer: Callable[[M], bytes]
    ) -> grpc.RpcMethodHandler[Any, Any]:
        """Requests one by one, in order; one that fails does not end the stream."""

        async def serve(_: Any, context: Context) -> None:
            async for data in self._requests(context):
                try:
                    message: Any = convert.parse(kind, data)
                except BadMessageError as error:
                    # No id to answer to: the peer and this node do not speak of the same messages.
                    self.stats.bad_messages += 1
                    await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
                try:
                    reply = answer(message)
                except Exception as error:  # noqa: BLE001 - logged, and the peer is told
                    failure = self._failure(error, context)
                    fields = {"request_id": message.request_id, "failure": failure}
                    reply = reply_kind(**fields).SerializeToString()
                await context.write(reply)

        return grpc.stream_stream_rpc_method_handler(serve)

    async def _requests(self, context: Context) -> AsyncIterator[bytes]:
        """A stream's requests, until the peer ends it or this node stops."""
        task = asyncio.current_task()
        assert task is not None
        while not self._stopping.is_set():
            self._idle.add(task)
            try:
                data = await context.read()
            except asyncio.CancelledError:
                if not self._stopping.is_set():
                    raise  # the peer has gone
                break
            finally:
                self._idle.discard(task)
            if data is aio.EOF:  # type: ignore[attr-defined]
                return
            yield data
        context.set_code(grpc.StatusCode.UNAVAILABLE)
        context.set_details("the node is stopping")

    def _failure(self, error: Exception, context: Context) -> peer_pb2.Failure:
        """What the peer is told; a bug of this node is logged with its trace."""
        if isinstance(error, BadMessageError):
            self.stats.bad_messages += 1
            _log.debug(
                "bad_message",
                "bad message from {client}: {reason}",
                client=context.peer(),
                reason=error,
            )
        elif not isinstance(error, HANDLER_ERRORS):
            self.stats.failures_inside += 1
            _log.error(
                "peer_call_failed",
                "a call of {client} failed here",
                cause=error,
                client=context.peer(),
            )
        return failure_of(error)


def _by_service(
    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]],
) -> tuple[grpc.GenericRpcHandler[Any, Any], ...]:
    """Methods by full path, as gRPC wants them: by service, then by name."""
    services: dict[str, dict[str, grpc.RpcMethodHandler[Any, Any]]] = {}
    for path, handler in handlers.items():
        _, service, method = path.split("/")
        services.setdefault(service, {})[method] = handler
    make = grpc.method_handlers_generic_handler
    return tuple(make(service, found) for service, found in services.items())


def _own(encode: Callable[P, bytes], *arguments: P.args, **options: P.kwargs) -> bytes:
    """Encode this node's own answer; one that breaks the protocol is a bug here, not the peer's."""
    try:
        return encode(*arguments, **options)
    except BadMessageError as error:
        raise RuntimeError(f"this node's own answer breaks the protocol: {error}") from error


async def _check_bindable(address: Address) -> None:
    """Bind once with the system's own words for what is wrong; gRPC only says that it failed."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        absent: list[OSError] = []
        for family, kind, protocol, _, place in found:
            try:
                with socket.socket(family, kind, protocol) as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(place)
            except OSError as error:
                if error.errno not in ABSENT_FAMILY:
                    raise
                absent.append(error)
        if absent and len(absent) == len(found):
            raise absent[0]
    except OSError as error:
        reason = error.strerror or str(error)
        raise ListenError(error.errno or 0, f"cannot listen on {address}: {reason}") from error
