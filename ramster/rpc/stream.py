"""One long-lived stream of requests to a peer: many in flight, replies matched by id.

Covers: sending in order, matching, deadlines, and the end of everything in flight when the stream
ends. Does not cover: opening streams again and what messages mean (``client.py``).

A caller waits on a future of its own, never on gRPC: gRPC's streams end when the task that writes
or reads is cancelled, and one caller's deadline must not end the others' calls. So two tasks of the
stream write and read.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from grpc import aio

from ramster.errors import BadMessageError, PeerError, PeerTimeoutError, PeerUnreachableError
from ramster.rpc.convert import parse
from ramster.rpc.status import error_of_status
from ramster.wire.v1 import peer_pb2

__all__ = ["LinkStats", "RequestStream"]


Reply = peer_pb2.SpillReply | peer_pb2.FetchReply | peer_pb2.FlushReply
R = TypeVar("R", bound=Reply)


@dataclass(slots=True)
class LinkStats:
    """Counters of one link."""

    streams_opened: int = 0
    streams_ended: int = 0
    """Streams that broke or were given up; closing the link is not counted."""
    replies_dropped: int = 0
    """Replies whose id no call waits for: late ones, and ids that were never given (checklist 62).
    """
    calls_timed_out: int = 0


class RequestStream(Generic[R]):
    """A bidirectional call whose requests and replies carry ids."""

    def __init__(
        self,
        call: aio.StreamStreamCall[bytes, bytes],
        reply_kind: type[R],
        address: str,
        stats: LinkStats,
    ) -> None:
        self._call = call
        self._reply_kind = reply_kind
        self._address = address
        self._stats = stats
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[int, asyncio.Future[R]] = {}
        self._unsent: dict[int, bytes] = {}
        self._something_unsent = asyncio.Event()
        self._error: PeerError | None = None
        stats.streams_opened += 1
        self._tasks = [self._loop.create_task(self._write()), self._loop.create_task(self._read())]

    @property
    def ended(self) -> bool:
        """Whether another stream is needed for the next call."""
        return self._error is not None

    async def ask(self, request_id: int, data: bytes, deadline_s: float) -> R:
        """Send a request and wait for its reply.

        Raises PeerTimeoutError, or what ended the stream. However it ends, cancellation included,
        nothing of the call is left here: an unsent request is not sent, a late reply is dropped and
        counted.
        """
        if self._error is not None:
            raise self._error
        reply: asyncio.Future[R] = self._loop.create_future()
        self._waiting[request_id] = reply
        self._unsent[request_id] = data
        self._something_unsent.set()
        timer = self._loop.call_later(deadline_s, self._expire, reply, deadline_s)
        try:
            return await reply
        finally:
            timer.cancel()
            self._waiting.pop(request_id, None)
            self._unsent.pop(request_id, None)

    def end(self, error: PeerError) -> None:
        """End the stream and everything in flight, now."""
        if self._error is not None:
            return
        self._error = error
        self._stats.streams_ended += 1
        self._call.cancel()
        for task in self._tasks:
            task.cancel()
        for reply in self._waiting.values():
            if not reply.done():
                reply.set_exception(type(error)(*error.args))
        self._unsent.clear()

    async def join(self) -> None:
        """Wait for the tasks of a stream that was ended; they do not wait for the peer."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _expire(self, reply: asyncio.Future[R], deadline_s: float) -> None:
        if not reply.done():
            self._stats.calls_timed_out += 1
            reply.set_exception(
                PeerTimeoutError(f"{self._address}: no answer within {deadline_s:g} s")
            )

    async def _write(self) -> None:
        try:
            while True:
                while self._unsent:
                    data = self._unsent.pop(next(iter(self._unsent)))
                    await self._call.write(data)
                self._something_unsent.clear()
                await self._something_unsent.wait()
        except (aio.AioRpcError, asyncio.InvalidStateError):
            return  # the call has ended; the reader learns why
        except BaseException:
            self.end(PeerUnreachableError(f"{self._address}: the stream was closed"))
            raise

    async def _read(self) -> None:
        try:
            while True:
                data = await self._call.read()
                if data is aio.EOF:  # type: ignore[attr-defined]
                    break
                self._take(data)
            code, details = await self._call.code(), await self._call.details()
            self.end(error_of_status(code, details, self._address))
        except aio.AioRpcError as error:
            self.end(error_of_status(error.code(), error.details(), self._address))
        except BadMessageError as error:
            self.end(BadMessageError(f"{self._address}: {error}"))
        finally:
            # For one, gRPC raises CancelledError when this side closed the channel.
            self.end(PeerUnreachableError(f"{self._address}: the stream was closed"))

    def _take(self, data: Any) -> None:
        message = parse(self._reply_kind, data)
        reply = self._waiting.get(message.request_id)
        if reply is None or reply.done():
            self._stats.replies_dropped += 1
        else:
            reply.set_result(message)
