"""A small NBD client: for the demo, the benchmarks and the tests of this project.

Covers: fixed newstyle with GO, structured replies, base:allocation, many requests in flight. Does
not cover: TLS, reconnecting, listing exports. Other programs should take libnbd.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field
from struct import Struct
from typing import Self

from ramster.nbd.listener import split_url
from ramster.nbd.protocol import (
    BASE_ALLOCATION,
    CHUNK,
    CHUNK_DONE,
    CHUNK_MAGIC,
    GREETING,
    IHAVEOPT,
    NBDMAGIC,
    OPTION_HEADER,
    OPTION_REPLY,
    OPTION_REPLY_MAGIC,
    REQUEST,
    REQUEST_MAGIC,
    SIMPLE_REPLY,
    SIMPLE_REPLY_MAGIC,
    ChunkType,
    ClientFlag,
    Command,
    CommandFlag,
    HandshakeFlag,
    Info,
    Option,
    OptionReply,
    ProtocolError,
    TransmissionFlag,
)
from zcache import Buffer

__all__ = ["NbdClient"]

_U16 = Struct(">H")
_U32 = Struct(">I")
_U64 = Struct(">Q")
_INFO_EXPORT = Struct(">QH")
_HOLE = Struct(">QI")
_ERROR = Struct(">IH")
_DESCRIPTOR = Struct(">II")
_OPTION_REPLY_BYTES_MAX = 64 * 1024
_CHUNK_BYTES_MAX = 2**30
_JOIN_BYTES_MAX = 256 * 1024
"""Up to here copying a payload behind its header is cheaper than a second system call."""


@dataclass(slots=True)
class _Call:
    """One request under way."""

    future: asyncio.Future[None]
    offset: int
    data: bytearray
    """Where a read's data go; empty for others."""
    extents: list[tuple[int, int]] = field(default_factory=list)
    error: OSError | None = None


class NbdClient:
    """One connection to one export. Requests may be made at the same time and overtake each other.

    Server errors are OSError with the protocol's number as ``errno`` (ESHUTDOWN is a
    BrokenPipeError, as Python has it); a connection that broke is ConnectionError, for requests
    under way and for all later ones. Cancelling a request forgets its reply; a write may have been
    carried out or not.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.size = 0
        """Bytes of the export."""
        self.flags = TransmissionFlag(0)
        self._reader = reader
        self._writer = writer
        self._calls: dict[int, _Call] = {}
        self._cookie = 0
        self._receiving: asyncio.Task[None] | None = None
        self._broken: str | None = None

    @classmethod
    async def connect(cls, url: str, export: str = "") -> Self:
        """Connect to ``tcp://HOST:PORT`` or ``unix:///PATH`` and choose an export.

        Raises OSError: cannot connect, or FileNotFoundError: no such export. Raises ConnectionError
        if the server does not speak fixed newstyle NBD.
        """
        place = split_url(url)
        if isinstance(place, str):
            streams = await asyncio.open_unix_connection(place, limit=1024 * 1024)
        else:
            streams = await asyncio.open_connection(*place, limit=1024 * 1024)
        client = cls(*streams)
        try:
            await client._negotiate(export)
        except BaseException as error:
            client._writer.transport.abort()
            if isinstance(error, (asyncio.IncompleteReadError, ProtocolError)):
                raise ConnectionError(f"no NBD handshake with {url}: {error}") from error
            raise
        client._receiving = asyncio.create_task(client._receive(), name=f"nbd client {url}")
        return client

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # -- requests ----------------------------------------------------------------------------------

    async def read(self, offset: int, length: int) -> bytes:
        """Read bytes."""
        call = await self._request(Command.READ, offset, length, data=bytearray(length))
        return bytes(call.data)

    async def write(self, offset: int, data: Buffer, fua: bool = False) -> None:
        """Write bytes."""
        flags = CommandFlag.FUA if fua else 0
        await self._request(Command.WRITE, offset, len(data), flags, payload=data)

    async def flush(self) -> None:
        """Wait until completed writes are as safe as they get."""
        await self._request(Command.FLUSH, 0, 0)

    async def trim(self, offset: int, length: int) -> None:
        """Say that bytes are no longer needed."""
        await self._request(Command.TRIM, offset, length)

    async def cache(self, offset: int, length: int) -> None:
        """Say that bytes will soon be read."""
        await self._request(Command.CACHE, offset, length)

    async def write_zeroes(self, offset: int, length: int, no_hole: bool = False) -> None:
        """Make bytes zeros."""
        flags = CommandFlag.NO_HOLE if no_hole else 0
        await self._request(Command.WRITE_ZEROES, offset, length, flags)

    async def block_status(
        self, offset: int, length: int, one: bool = False
    ) -> list[tuple[int, int]]:
        """(length, state flags) runs from ``offset`` on; they may end before ``length``."""
        flags = CommandFlag.REQ_ONE if one else 0
        call = await self._request(Command.BLOCK_STATUS, offset, length, flags)
        return call.extents

    async def close(self) -> None:
        """Say goodbye and close; requests under way fail. May be called again."""
        if self._receiving is None:
            return
        receiving, self._receiving = self._receiving, None
        if self._broken is None:
            self._writer.write(REQUEST.pack(REQUEST_MAGIC, 0, Command.DISC, 0, 0, 0))
        self._break("the client was closed")
        receiving.cancel()
        await asyncio.gather(receiving, return_exceptions=True)
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except OSError:
            return  # the server was faster; closed is closed

    async def _request(
        self,
        command: Command,
        offset: int,
        length: int,
        flags: int = 0,
        *,
        payload: Buffer | None = None,
        data: bytearray | None = None,
    ) -> _Call:
        if self._broken is not None:
            raise ConnectionError(self._broken)
        self._cookie = cookie = self._cookie + 1
        head = REQUEST.pack(REQUEST_MAGIC, flags, command, cookie, offset, length)
        future = asyncio.get_running_loop().create_future()
        call = self._calls[cookie] = _Call(future, offset, bytearray() if data is None else data)
        if payload is None:
            self._writer.write(head)
        elif len(payload) <= _JOIN_BYTES_MAX:
            self._writer.write(b"".join((head, payload)))
        else:
            self._writer.write(head)
            self._writer.write(payload)
        await self._writer.drain()
        await future
        if call.error is not None:
            raise call.error
        return call

    # -- handshake ---------------------------------------------------------------------------------

    async def _negotiate(self, export: str) -> None:
        greeting = await self._reader.readexactly(GREETING.size)
        magic, style, flags = GREETING.unpack(greeting)
        if magic != NBDMAGIC or style != IHAVEOPT or not flags & HandshakeFlag.FIXED_NEWSTYLE:
            raise ProtocolError("the server does not offer fixed newstyle")
        self._writer.write(_U32.pack(ClientFlag.FIXED_NEWSTYLE | ClientFlag.NO_ZEROES))
        name = export.encode()
        named = _U32.pack(len(name)) + name
        await self._option(Option.STRUCTURED_REPLY, b"")
        query = BASE_ALLOCATION.encode()
        await self._option(
            Option.SET_META_CONTEXT, named + _U32.pack(1) + _U32.pack(len(query)) + query
        )
        for info in await self._option(Option.GO, named + _U16.pack(0)):
            if _U16.unpack_from(info)[0] == Info.EXPORT:
                self.size, flags = _INFO_EXPORT.unpack_from(info, _U16.size)
                self.flags = TransmissionFlag(flags)

    async def _option(self, option: Option, data: bytes) -> list[bytes]:
        """The data of the replies before the ACK."""
        self._writer.write(OPTION_HEADER.pack(IHAVEOPT, option, len(data)) + data)
        payloads: list[bytes] = []
        while True:
            head = await self._reader.readexactly(OPTION_REPLY.size)
            magic, about, reply, length = OPTION_REPLY.unpack(head)
            if magic != OPTION_REPLY_MAGIC or about != option or length > _OPTION_REPLY_BYTES_MAX:
                raise ProtocolError(f"an answer to option {option.name} makes no sense")
            payload = await self._reader.readexactly(length)
            if reply == OptionReply.ACK:
                return payloads
            if reply == OptionReply.ERR_UNKNOWN:
                raise FileNotFoundError(2, payload.decode(errors="replace"))
            if reply & 2**31:
                text = payload.decode(errors="replace")
                raise ProtocolError(f"option {option.name} refused with {reply:#x}: {text}")
            payloads.append(payload)

    # -- replies -----------------------------------------------------------------------------------

    async def _receive(self) -> None:
        try:
            while True:
                await self._receive_reply()
        except (OSError, asyncio.IncompleteReadError, ProtocolError) as error:
            self._break(f"the connection broke: {error}")
            self._writer.transport.abort()

    def _break(self, reason: str) -> None:
        self._broken = self._broken or reason
        for call in self._calls.values():
            if not call.future.done():
                call.future.set_exception(ConnectionError(reason))
        self._calls.clear()

    def _call(self, cookie: int) -> _Call:
        call = self._calls.get(cookie)
        if call is None:
            raise ProtocolError(f"a reply to no request (cookie {cookie:#x})")
        return call

    def _end_call(self, cookie: int) -> None:
        call = self._calls.pop(cookie)
        if not call.future.done():
            call.future.set_result(None)

    async def _receive_reply(self) -> None:
        head = await self._reader.readexactly(SIMPLE_REPLY.size)
        (magic,) = _U32.unpack_from(head)
        if magic == SIMPLE_REPLY_MAGIC:
            _, error, cookie = SIMPLE_REPLY.unpack(head)
            call = self._call(cookie)
            if error:
                call.error = OSError(error, os.strerror(error))
            elif call.data:
                raise ProtocolError("a simple reply to a read")
            self._end_call(cookie)
            return
        if magic != CHUNK_MAGIC:
            raise ProtocolError(f"reply magic {magic:#x}")
        head += await self._reader.readexactly(CHUNK.size - SIMPLE_REPLY.size)
        _, flags, kind, cookie, length = CHUNK.unpack(head)
        if length > _CHUNK_BYTES_MAX:
            raise ProtocolError(f"a chunk of {length} bytes")
        payload = await self._reader.readexactly(length)
        self._take_chunk(self._call(cookie), kind, payload)
        if flags & CHUNK_DONE:
            self._end_call(cookie)

    def _take_chunk(self, call: _Call, kind: int, payload: bytes) -> None:
        if kind == ChunkType.OFFSET_DATA and len(payload) > _U64.size:
            at = _U64.unpack_from(payload)[0] - call.offset
            size = len(payload) - _U64.size
            if not 0 <= at <= len(call.data) - size:
                raise ProtocolError("data outside of what was asked for")
            call.data[at : at + size] = memoryview(payload)[_U64.size :]
        elif kind == ChunkType.OFFSET_HOLE and len(payload) == _HOLE.size:
            offset, size = _HOLE.unpack(payload)
            if not 0 <= offset - call.offset <= len(call.data) - size:
                raise ProtocolError("a hole outside of what was asked for")
            # The buffer was made of zeros.
        elif kind == ChunkType.BLOCK_STATUS and len(payload) > _U32.size:
            call.extents = list(_DESCRIPTOR.iter_unpack(payload[_U32.size :]))
        elif kind & 2**15 and len(payload) >= _ERROR.size:
            number, size = _ERROR.unpack_from(payload)
            text = payload[_ERROR.size : _ERROR.size + size].decode(errors="replace")
            call.error = OSError(number, text or os.strerror(number))
        elif kind != ChunkType.NONE:
            raise ProtocolError(f"a chunk of kind {kind} and {len(payload)} bytes")
