"""Requests of the transmission phase: which are valid, what they do, what is answered.

Covers: checks, the memory a request takes, the errors of the protocol, replies as bytes. Does not
cover: sockets and the number of requests under way (``connection.py``), pages (``device.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import Final, NamedTuple

from ramster.errors import PageLostError, StoreClosedError, StoreFullError
from ramster.event_log import EventLog
from ramster.histograms import Histogram
from ramster.nbd.counters import Traffic
from ramster.nbd.device import FETCH_SLICE_PAGES, BlockDevice
from ramster.nbd.protocol import (
    CHUNK_DATA,
    CHUNK_DONE,
    CHUNK_MAGIC,
    SIMPLE_REPLY,
    SIMPLE_REPLY_MAGIC,
    ChunkType,
    Command,
    CommandFlag,
    NbdError,
    block_status_chunk,
    error_chunk,
    hole_chunk,
    simple_reply,
)
from zcache import PAGE_SIZE, Buffer, CacheFullError, CorruptPageError, PoorCompressionError

__all__ = ["Refusal", "Request", "Responder", "buffer_bytes"]

_log = EventLog(__name__)

_READ: Final = int(Command.READ)
_WRITE: Final = int(Command.WRITE)
_CACHE: Final = int(Command.CACHE)
_CHANGING: Final = frozenset({Command.WRITE, Command.TRIM, Command.WRITE_ZEROES})
_GROWING: Final = frozenset({Command.WRITE, Command.WRITE_ZEROES})
_RANGED: Final = _CHANGING | {Command.READ, Command.CACHE, Command.BLOCK_STATUS}
# FUA is allowed everywhere: clients are known to set it on commands that write nothing.
# Plain numbers: the complement of an IntFlag has no unknown bits, and those are what is looked for.
_FUA: Final = int(CommandFlag.FUA)
_FLAGS: Final = {
    int(Command.READ): _FUA | int(CommandFlag.DF),
    int(Command.WRITE): _FUA,
    int(Command.FLUSH): _FUA,
    int(Command.TRIM): _FUA,
    int(Command.CACHE): _FUA,
    int(Command.WRITE_ZEROES): _FUA | int(CommandFlag.NO_HOLE) | int(CommandFlag.FAST_ZERO),
    int(Command.BLOCK_STATUS): _FUA | int(CommandFlag.REQ_ONE),
}
_DF: Final = int(CommandFlag.DF)


class Refusal(NamedTuple):
    """Why a request fails: the error that travels, and a text for clients that can show it."""

    error: NbdError
    message: str


class Request(NamedTuple):
    """One request, its payload complete."""

    command: int
    flags: int
    cookie: int
    offset: int
    length: int
    payload: Buffer | None = None
    refusal: Refusal | None = None
    """Set when the request failed its checks and waits only for its reply."""
    cost: int = 0
    """What it has taken of the server's budget."""


def buffer_bytes(command: int, offset: int, length: int) -> int:
    """The memory that a valid request takes beyond a page or two: 0, or whole pages."""
    if command > _WRITE and command != _CACHE:
        return 0
    pages = -(-(offset + length) // PAGE_SIZE) - offset // PAGE_SIZE
    if command == _CACHE:
        pages = min(pages, FETCH_SLICE_PAGES)
    return pages * PAGE_SIZE


def _refusal_of(error: Exception) -> Refusal:
    """What a client is told of an exception; unexpected ones are logged and become EIO."""
    match error:
        case StoreFullError() | CacheFullError() | PoorCompressionError():
            return Refusal(NbdError.ENOSPC, str(error))
        case PageLostError() | CorruptPageError():
            return Refusal(NbdError.EIO, str(error))
        case StoreClosedError():
            return Refusal(NbdError.ESHUTDOWN, str(error))
    _log.error("request_failed", "a request failed for an unexpected reason", cause=error)
    return Refusal(NbdError.EIO, "internal error; the server's log says more")


class Responder:
    """Answers the requests of one connection. ``durations``: by command, in seconds."""

    def __init__(
        self,
        device: BlockDevice,
        traffic: Traffic,
        durations: Sequence[Histogram],
        *,
        structured: bool,
        block_status: bool,
        payload_bytes_max: int,
    ) -> None:
        self._device = device
        self._export = device.export
        self._traffic = traffic
        self._durations = durations
        self._structured = structured
        self._block_status = block_status
        self._payload_bytes_max = payload_bytes_max

    def check(self, command: int, flags: int, offset: int, length: int) -> Refusal | None:
        """Why a request is refused before it is tried, if it is."""
        allowed = _FLAGS.get(command)
        if allowed is None:
            return Refusal(NbdError.EINVAL, f"unknown command {command}")
        if flags and (flags & ~allowed or (flags & _DF and not self._structured)):
            return Refusal(NbdError.EINVAL, f"flags {flags:#x} do not go with command {command}")
        if command not in _RANGED:
            if offset or length:
                return Refusal(NbdError.EINVAL, "a flush has neither offset nor length")
            return None
        if self._export.read_only and command in _CHANGING:
            return Refusal(NbdError.EPERM, "the export is read-only")
        if not length:
            return Refusal(NbdError.EINVAL, "length 0")
        if offset + length > self._export.size_bytes:
            error = NbdError.ENOSPC if command in _GROWING else NbdError.EINVAL
            return Refusal(error, f"beyond the end at {self._export.size_bytes} bytes")
        if command <= _WRITE and length > self._payload_bytes_max:
            return Refusal(NbdError.EINVAL, f"at most {self._payload_bytes_max} bytes a request")
        if command == Command.BLOCK_STATUS and not self._block_status:
            return Refusal(NbdError.EINVAL, "no metadata context was selected")
        return None

    async def answer(self, request: Request) -> list[Buffer]:
        """Carry a request out; returns its reply in pieces. Raises nothing of its own."""
        refusal = request.refusal
        if refusal is None:
            began = perf_counter()
            try:
                reply = await self._carry_out(request)
            except Exception as error:  # noqa: BLE001  told to the client, counted, logged
                refusal = _refusal_of(error)
            else:
                self._traffic.requests[request.command] += 1
                return reply
            finally:
                self._durations[request.command].observe(perf_counter() - began)
        return [self.refuse(request.cookie, refusal)]

    def refuse(self, cookie: int, refusal: Refusal) -> bytes:
        """The reply to a request that failed; counts it."""
        self._traffic.errors[refusal.error] += 1
        if self._structured:
            return error_chunk(cookie, refusal.error, refusal.message)
        return simple_reply(cookie, refusal.error)

    async def _carry_out(self, request: Request) -> list[Buffer]:
        command, flags, cookie, offset, length, payload, _, _ = request
        if command == _READ:
            return await self._read(flags, cookie, offset, length)
        if payload is not None:
            await self._device.write(offset, payload)
            self._traffic.bytes_written += length
        elif command == Command.TRIM:
            await self._device.zero(offset, length, hole=True)
        elif command == Command.WRITE_ZEROES:
            hole = not flags & CommandFlag.NO_HOLE
            await self._device.zero(offset, length, hole=hole)
        elif command == Command.CACHE:
            await self._device.prefetch(offset, length)
        elif command == Command.BLOCK_STATUS:
            one = bool(flags & CommandFlag.REQ_ONE)
            extents = await self._device.status(offset, length, one=one)
            return [block_status_chunk(cookie, extents)]
        # FLUSH and FUA: a write is answered when the store has it; nothing behind it to flush.
        return [simple_reply(cookie)]

    async def _read(self, flags: int, cookie: int, offset: int, length: int) -> list[Buffer]:
        layout = CHUNK_DATA if self._structured else SIMPLE_REPLY
        buffer, at, present = await self._device.read(offset, length, layout.size)
        self._traffic.bytes_read += length
        if not self._structured:
            SIMPLE_REPLY.pack_into(buffer, at - layout.size, SIMPLE_REPLY_MAGIC, 0, cookie)
        elif 0 not in present or flags & _DF:
            CHUNK_DATA.pack_into(
                buffer,
                at - layout.size,
                CHUNK_MAGIC,
                CHUNK_DONE,
                ChunkType.OFFSET_DATA,
                cookie,
                length + 8,
                offset,
            )
        else:
            return _sparse_chunks(cookie, offset, memoryview(buffer)[at : at + length], present)
        if at == layout.size and len(buffer) == at + length:
            return [buffer]
        return [memoryview(buffer)[at - layout.size : at + length]]


def _sparse_chunks(cookie: int, offset: int, data: memoryview, present: bytes) -> list[Buffer]:
    """Chunks of data and holes in turn. The header of a chunk of data is a piece of its own."""
    pieces: list[Buffer] = []
    first = offset // PAGE_SIZE
    end = offset + len(data)
    page = 0
    while page < len(present):
        stored = present[page]
        stop = present.find(0 if stored else 1, page)
        if stop < 0:
            stop = len(present)
        low = max((first + page) * PAGE_SIZE, offset)
        high = min((first + stop) * PAGE_SIZE, end)
        done = stop == len(present)
        if stored:
            flags = CHUNK_DONE if done else 0
            kind = ChunkType.OFFSET_DATA
            pieces.append(CHUNK_DATA.pack(CHUNK_MAGIC, flags, kind, cookie, 8 + high - low, low))
            pieces.append(data[low - offset : high - offset])
        else:
            pieces.append(hole_chunk(cookie, low, high - low, done=done))
        page = stop
    return pieces
