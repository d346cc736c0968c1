"""One client's connection: bytes in and out, requests under way, back-pressure, its end.

Covers: reading without copies, the bounded number of requests in flight, the workers that carry
them out, deadlines. Does not cover: what requests do (``requests.py``), how replies get into the
socket (``outbox.py``), the handshake's content (``handshake.py``), listening (``server.py``).

Reading. ``get_buffer`` hands the event loop the place where the next bytes belong: the receive
buffer, or the rest of a write's payload. A request is queued when it is complete, so a client that
vanishes in the middle of a write has written nothing.

Workers. Requests are carried out by tasks that live as long as the connection. One worker takes
request after request for as long as the store answers without waiting, and sends their replies
together: no task and no system call per request. When it gets stuck in the store, the next worker
goes on with the queue, and replies overtake each other. (The first steps of a store's coroutine run
inside a real task, because a store may use ``asyncio.timeout``.)

Back-pressure. With too many requests or bytes in flight, or with a client that does not take its
replies, the socket is not read and nothing new is begun. So it is while a request waits for its
share of the bytes that all connections have together (``budget.py``): it stays in the receive
buffer. What a request took is given back once: when the socket has taken its reply, or else where
it ends without one.
"""

from __future__ import annotations

import asyncio
import select
import socket
from collections import deque
from collections.abc import Sequence
from typing import Final, Protocol

from ramster.event_log import EventLog
from ramster.histograms import Histogram
from ramster.nbd.budget import FlightBudget
from ramster.nbd.counters import ConnectionFigures, Traffic
from ramster.nbd.device import BlockDevice
from ramster.nbd.export import Export, ExportTable
from ramster.nbd.handshake import Handshake, Phase
from ramster.nbd.limits import NbdLimits
from ramster.nbd.outbox import CHUNK_BYTES_MAX, Outbox
from ramster.nbd.protocol import REQUEST, REQUEST_MAGIC, Command, NbdError, ProtocolError
from ramster.nbd.requests import Refusal, Request, Responder, buffer_bytes

__all__ = ["Connection", "ConnectionHost"]

RECEIVE_BUFFER_BYTES: Final = 128 * 1024
TURN_BYTES: Final = 1024 * 1024
"""What one worker does before others get their turn; a request costs its length and ..."""
REQUEST_COST_BYTES: Final = 8192
"""... this."""
IDLE_WORKERS_MAX: Final = 4
WRITE_DRAINED_FACTOR: Final = 4
"""A refused write's payload is read and thrown away up to this many times the largest payload."""
HANGUP_LOOK_S: Final = 1.0
"""A socket that is not read does not tell of its end; while its request waits it is asked."""
_KEEPALIVE: Final = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))
"""A client whose machine died is noticed after two minutes."""

_HEADER_BYTES: Final = REQUEST.size
_SHUTDOWN: Final = Refusal(NbdError.ESHUTDOWN, "the server is stopping")

_log = EventLog(__name__)


class ConnectionHost(Protocol):
    """What a connection needs of its server."""

    limits: NbdLimits
    budget: FlightBudget
    exports: ExportTable
    durations: Sequence[Histogram]
    """By command, in seconds."""

    def device(self, export: Export) -> BlockDevice:
        """The device of an export."""

    def admit(self, connection: Connection) -> bool:
        """A client connected; False: it is one too many."""

    def count_timeout(self) -> None:
        """A handshake took too long."""

    def count_protocol_error(self) -> None:
        """A client broke the protocol."""

    def dismiss(self, connection: Connection) -> None:
        """A connection is gone, and so is all its work."""


class Connection(asyncio.BufferedProtocol):
    """One client, from its connect to its end."""

    def __init__(self, host: ConnectionHost) -> None:
        self._host = host
        self._limits = host.limits
        self._loop = asyncio.get_running_loop()
        self.traffic = Traffic()
        self.peer = "?"
        self.export: Export | None = None
        """Set when transmission begins."""
        self.gone: asyncio.Future[None] = self._loop.create_future()
        """Done when the socket is closed and no request is under way."""
        self._transport: asyncio.Transport | None = None
        self._handshake: Handshake | None = None
        self._responder: Responder | None = None
        self._deadline: asyncio.TimerHandle | None = None
        # receiving
        self._received = bytearray(RECEIVE_BUFFER_BYTES)
        self._view = memoryview(self._received)
        self._start = 0
        self._end = 0
        self._pending: Request | None = None
        """A write whose payload is being received, ..."""
        self._payload = memoryview(b"")
        """... and what of it is still to be filled."""
        self._discard = 0
        """Bytes of a refused write's payload still to be thrown away."""
        self._reading_paused = False
        # requests
        self._queue: deque[Request] = deque()
        self._requests_in_flight = 0
        self._bytes_in_flight = 0
        self._share = host.budget.share(self._share_granted)
        self._hangup_look: asyncio.TimerHandle | None = None
        self._workers: set[asyncio.Task[None]] = set()
        self._idle: list[asyncio.Future[None]] = []
        self._worker_coming = False
        """A worker will run at the loop's next turn."""
        self._relief_due = False
        # sending
        self._outbox = Outbox(self._share.give_back)
        # the end
        self._last_request_read = False
        """The client said goodbye: answer what is under way and close."""
        self._stopping = False
        """The server is stopping: what has not begun fails with ESHUTDOWN."""
        self._ending = False
        """Only replies are left to be sent, against a deadline."""
        self._lost = False

    # -- for the server ----------------------------------------------------------------------------

    def figures(self) -> ConnectionFigures:
        """The figures of this moment."""
        return ConnectionFigures(
            peer=self.peer,
            export=None if self.export is None else self.export.name,
            requests_in_flight=self._requests_in_flight,
            bytes_in_flight=self._bytes_in_flight,
            traffic=self.traffic.figures(),
        )

    def shut_down(self) -> None:
        """Answer what is under way, refuse the rest with ESHUTDOWN, close."""
        self._stopping = True
        if self._handshake is not None:
            self._handshake.shutting_down = True
        self._share.leave()
        self._resume_reading()  # what waited for its share is refused
        self._wake_worker()
        self._settle()

    def abort(self) -> None:
        """Drop the socket and cancel requests under way."""
        self._idle.clear()
        for worker in self._workers:
            worker.cancel()
        if self._transport is not None:
            self._transport.abort()

    # -- the transport's callbacks -----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See ``asyncio.BaseProtocol``."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.peer = _name_of(transport)
        if not self._host.admit(self):
            _log.warning(
                "client_refused",
                "client {client}: refused, too many connections",
                subject=_host_of(self.peer),
                client=self.peer,
            )
            transport.abort()
            return
        transport.set_write_buffer_limits(high=0)
        _keep_alive(transport)
        self._deadline = self._loop.call_later(
            self._limits.handshake_timeout_s, self._handshake_timed_out
        )
        self._handshake = Handshake(self._host.exports, self._limits.payload_bytes_max)
        transport.write(self._handshake.greeting())

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  the room we have is the room
        """See ``asyncio.BufferedProtocol``."""
        if self._pending is not None:
            return self._payload
        return self._view[self._end :]

    def buffer_updated(self, nbytes: int) -> None:
        """See ``asyncio.BufferedProtocol``."""
        if self._pending is None:
            self._end += nbytes
        else:
            self._payload = self._payload[nbytes:]
            if not self._payload:
                self._enqueue(self._pending)
                self._pending = None
                self._payload = memoryview(b"")  # an empty rest would keep all of it
        try:
            if self._handshake is not None:
                self._negotiate(self._handshake)
            if self._responder is not None:
                self._read_requests(self._responder)
        except ProtocolError as error:
            self._host.count_protocol_error()
            _log.warning(
                "client_broke_protocol",
                "client {client} broke the protocol: {reason}",
                subject=_host_of(self.peer),
                client=self.peer,
                reason=error,
            )
            self._drop_queue()
            if self._transport is not None:
                self._transport.abort()

    def eof_received(self) -> bool:
        """The client sends no more; what it sent completely is answered."""
        self._last_request_read = True
        self._settle()
        return True

    def pause_writing(self) -> None:
        """See ``asyncio.BaseProtocol``."""
        self._outbox.pause()

    def resume_writing(self) -> None:
        """See ``asyncio.BaseProtocol``."""
        self._outbox.resume()
        self._send()
        self._wake_worker()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed; requests under way end in their own time."""
        _log.debug(
            "client_closed",
            "client {client}: connection closed ({reason})",
            subject=_host_of(self.peer),
            client=self.peer,
            reason=exc or "in order",
        )
        self._lost = True
        if self._deadline is not None:
            self._deadline.cancel()
        if self._hangup_look is not None:
            self._hangup_look.cancel()
        self._share.leave()
        if self._pending is not None:
            self._share.give_back(self._pending.cost)
            self._pending = None
        self._payload = memoryview(b"")
        self._drop_queue()
        self._outbox.clear()
        for sleeper in self._idle:
            sleeper.set_result(None)
        self._idle.clear()
        self._settle()

    # -- handshake ---------------------------------------------------------------------------------

    def _negotiate(self, handshake: Handshake) -> None:
        reply = handshake.receive(self._view[self._start : self._end])
        self._start = self._end = 0
        assert self._transport is not None
        if reply:
            self._transport.write(reply)
        if handshake.phase is Phase.ENDED:
            self._last_request_read = True
            self._handshake = None
            self._settle()
        elif handshake.phase is Phase.TRANSMISSION:
            self._begin_transmission(handshake)

    def _begin_transmission(self, handshake: Handshake) -> None:
        assert handshake.export is not None
        if self._deadline is not None:
            self._deadline.cancel()
        self._handshake = None
        self.export = handshake.export
        self._responder = Responder(
            self._host.device(handshake.export),
            self.traffic,
            self._host.durations,
            structured=handshake.structured,
            block_status=handshake.block_status,
            payload_bytes_max=self._limits.payload_bytes_max,
        )
        leftover = handshake.leftover
        self._received[: len(leftover)] = leftover
        self._end = len(leftover)
        _log.debug(
            "client_ready",
            "client {client}: uses export {export}",
            subject=_host_of(self.peer),
            client=self.peer,
            export=self.export.name,
        )

    def _handshake_timed_out(self) -> None:
        _log.warning(
            "client_handshake_late",
            "client {client}: no handshake in time",
            subject=_host_of(self.peer),
            client=self.peer,
        )
        self._host.count_timeout()
        if self._transport is not None:
            self._transport.abort()

    # -- reading requests --------------------------------------------------------------------------

    def _read_requests(self, responder: Responder) -> None:
        """Queue the complete requests of the receive buffer, as many as may be in flight."""
        view = self._view
        while not self._last_request_read:
            if self._discard:
                thrown = min(self._discard, self._end - self._start)
                self._start += thrown
                self._discard -= thrown
            if self._pending is not None or self._end - self._start < _HEADER_BYTES:
                break  # a payload that is being received has its place already
            magic, flags, command, cookie, offset, length = REQUEST.unpack_from(view, self._start)
            if magic != REQUEST_MAGIC:
                raise ProtocolError("no request where one should begin")
            if command == Command.DISC:
                self._start += _HEADER_BYTES
                self._last_request_read = True
                break
            if self._is_full():
                self._pause_reading()
                break
            refusal = responder.check(command, flags, offset, length)
            if refusal is None and self._stopping:
                refusal = _SHUTDOWN
            cost = 0 if refusal is not None else buffer_bytes(command, offset, length)
            if cost and not self._share.take(cost):
                self._await_share()
                break
            self._start += _HEADER_BYTES
            if refusal is not None:
                self._read_refused(Request(command, flags, cookie, offset, length, None, refusal))
            elif command == Command.WRITE:
                self._read_payload(flags, cookie, offset, length, cost)
            else:
                self._enqueue(Request(command, flags, cookie, offset, length, None, None, cost))
        self._make_room()
        self._wake_worker()
        if self._last_request_read:
            self._pause_reading()  # whatever follows a goodbye is nothing to us
            self._settle()

    def _read_refused(self, request: Request) -> None:
        if request.command == Command.WRITE:
            if request.length > WRITE_DRAINED_FACTOR * self._limits.payload_bytes_max:
                raise ProtocolError(f"a write of {request.length} bytes")
            self._discard = request.length
        self._enqueue(request._replace(length=0))

    def _read_payload(self, flags: int, cookie: int, offset: int, length: int, cost: int) -> None:
        here = self._view[self._start : min(self._start + length, self._end)]
        self._start += len(here)
        payload: bytes | bytearray
        if len(here) == length:
            payload = bytes(here)
        else:
            payload = bytearray(length)
            payload[: len(here)] = here
        request = Request(Command.WRITE, flags, cookie, offset, length, payload, None, cost)
        if len(here) == length:
            self._enqueue(request)
        else:
            self._pending = request
            self._payload = memoryview(payload)[len(here) :]

    def _make_room(self) -> None:
        """Move the beginning of an incomplete request to the front."""
        rest = self._end - self._start
        if self._start:
            self._view[:rest] = self._view[self._start : self._end]
            self._start, self._end = 0, rest

    def _is_full(self) -> bool:
        return (
            self._requests_in_flight >= self._limits.requests_in_flight_max
            or self._bytes_in_flight >= self._limits.bytes_in_flight_max
            or not self._outbox.writable
            or self._share.waiting
        )

    def _pause_reading(self) -> None:
        if not self._reading_paused and self._transport is not None:
            self._reading_paused = True
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        """Go on with what was read before the pause, and with the socket if that was little."""
        if not self._reading_paused or self._last_request_read or self._lost or self._is_full():
            return
        self._reading_paused = False
        if self._responder is not None and self._transport is not None:
            self._transport.resume_reading()
            self.buffer_updated(0)

    def _await_share(self) -> None:
        """Read nothing until the request at the head of the receive buffer has its bytes."""
        self._pause_reading()
        if self._hangup_look is None:
            self._hangup_look = self._loop.call_later(HANGUP_LOOK_S, self._look_for_hangup)

    def _share_granted(self) -> None:
        self._loop.call_soon(self._resume_reading)

    def _look_for_hangup(self) -> None:
        self._hangup_look = None
        if not self._share.waiting or self._transport is None:
            return
        if _hung_up(self._transport):
            _log.debug(
                "client_gone",
                "client {client}: gone while a request waited for its turn",
                subject=_host_of(self.peer),
                client=self.peer,
            )
            self._transport.abort()
        else:
            self._await_share()

    # -- carrying requests out ---------------------------------------------------------------------

    def _enqueue(self, request: Request) -> None:
        self._requests_in_flight += 1
        self._bytes_in_flight += request.length
        self._queue.append(request)

    def _drop_queue(self) -> None:
        """Forget the requests that have not begun."""
        for request in self._queue:
            self._requests_in_flight -= 1
            self._bytes_in_flight -= request.length
            self._share.give_back(request.cost)
        self._queue.clear()

    def _wake_worker(self) -> None:
        """See to it that a worker looks at the queue, unless one will anyway."""
        if not self._queue or self._worker_coming or not self._outbox.writable or self._lost:
            return
        self._worker_coming = True
        if self._idle:
            self._idle.pop().set_result(None)
            return
        worker = self._loop.create_task(self._work(), name=f"nbd {self.peer}")
        self._workers.add(worker)
        worker.add_done_callback(self._worker_ended)

    async def _work(self) -> None:
        """Carry out requests until the connection is lost."""
        while True:
            self._worker_coming = False
            await self._take_turn()
            self._send()
            if self._lost:
                return
            if self._queue and self._outbox.writable:
                # Others first: the loop polls its sockets before this worker goes on.
                self._worker_coming = True
                await asyncio.sleep(0)
                continue
            if len(self._idle) >= IDLE_WORKERS_MAX:
                return
            sleeper = self._loop.create_future()
            self._idle.append(sleeper)
            await sleeper

    async def _take_turn(self) -> None:
        """Carry out requests of the queue, one after the other, up to a turn's worth."""
        assert self._responder is not None
        answer, queue, outbox = self._responder.answer, self._queue, self._outbox
        left = TURN_BYTES
        while queue and outbox.writable and left > 0:
            request = queue.popleft()
            if self._stopping and request.refusal is None:
                request = request._replace(refusal=_SHUTDOWN)
            if (queue or outbox) and not self._relief_due:
                # Runs only if this worker gets stuck in the store, or has ended its turn.
                self._relief_due = True
                self._loop.call_soon(self._relieve)
            pieces = None
            try:
                pieces = await answer(request)
            finally:
                self._requests_in_flight -= 1
                self._bytes_in_flight -= request.length
                if pieces is None or self._lost:  # there is no reply, or nobody to get it
                    self._share.give_back(request.cost)
            if self._lost:
                return
            left -= request.length + REQUEST_COST_BYTES
            outbox.add(pieces, request.cost)
            if outbox.bytes_waiting > CHUNK_BYTES_MAX:
                self._send()

    def _relieve(self) -> None:
        """Do what a worker that is stuck in the store left undone."""
        self._relief_due = False
        self._send()
        self._wake_worker()

    def _worker_ended(self, worker: asyncio.Task[None]) -> None:
        self._workers.discard(worker)
        if not worker.cancelled() and worker.exception() is not None:
            _log.error(
                "client_worker_died",
                "client {client}: a worker died",
                subject=_host_of(self.peer),
                cause=worker.exception(),
                client=self.peer,
            )
            if self._transport is not None:
                self._transport.abort()
        self._settle()

    # -- replies and the end -----------------------------------------------------------------------

    def _send(self) -> None:
        """Hand the replies gathered to the socket; go on reading if that was held up."""
        if self._lost:
            return
        if self._transport is not None:
            self._outbox.send(self._transport)
        self._resume_reading()
        if self._last_request_read or self._stopping:
            self._settle()

    def _settle(self) -> None:
        """Close when nothing is left to be answered; say ``gone`` when nothing is left at all."""
        if self._lost:
            if not self._workers and not self.gone.done():
                assert not self._share.held, "every request has given back what it took"
                self.gone.set_result(None)
                self._host.dismiss(self)
            return
        ending = self._last_request_read or self._stopping
        if not ending or self._requests_in_flight or self._transport is None:
            return
        if not self._ending:
            self._ending = True
            if self._deadline is not None:
                self._deadline.cancel()
            # A client that does not take its last replies must not keep the connection.
            self._deadline = self._loop.call_later(
                self._limits.close_timeout_s, self._transport.abort
            )
        if not self._outbox:
            self._transport.close()


def _name_of(transport: asyncio.Transport) -> str:
    peer = transport.get_extra_info("peername")
    if isinstance(peer, tuple):
        host, port = peer[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return "unix"


def _host_of(name: str) -> str:
    """A client's name without its port: what the log's rate limit goes by."""
    return name.rpartition(":")[0] or name


def _keep_alive(transport: asyncio.Transport) -> None:
    sock = transport.get_extra_info("socket")
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE:
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _hung_up(transport: asyncio.Transport) -> bool:
    """Whether the connection broke; not: whether the client sends no more."""
    poll = select.poll()
    poll.register(transport.get_extra_info("socket").fileno(), 0)
    return bool(poll.poll(0))
