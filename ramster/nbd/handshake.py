"""The server's side of fixed newstyle negotiation. Sans-I/O: bytes in, bytes out.

Covers: greeting, client flags, options up to the choice of an export. Does not cover: sockets,
deadlines (``connection.py``), transmission. Source: "The NBD protocol", sections "Handshake" and
"Option types".

A malformed option is answered with an error and the haggling goes on, wherever the protocol has an
answer for it; ProtocolError is raised only where it has none.
"""

from __future__ import annotations

import enum
from struct import Struct
from struct import error as struct_error

from ramster.nbd.export import Export, ExportTable
from ramster.nbd.protocol import (
    BASE_ALLOCATION,
    BASE_ALLOCATION_ID,
    GREETING,
    IHAVEOPT,
    NAME_BYTES_MAX,
    NBDMAGIC,
    OPTION_HEADER,
    ClientFlag,
    HandshakeFlag,
    Info,
    Option,
    OptionReply,
    ProtocolError,
    TransmissionFlag,
    option_reply,
)
from zcache import PAGE_SIZE

__all__ = ["Handshake", "Phase", "transmission_flags"]

OPTION_BYTES_MAX = 64 * 1024
"""An option's data beyond this is skipped and answered with ERR_TOO_BIG ..."""
OPTION_BYTES_SKIPPED_MAX = 1024 * 1024
"""... and beyond this the connection is closed."""
OPTIONS_MAX = 256
"""Options of one client before it is taken for an abuser."""

_U32 = Struct(">I")
_U16 = Struct(">H")
_EXPORT_NAME_REPLY = Struct(">QH")
_INFO_EXPORT = Struct(">HQH")
_INFO_BLOCK_SIZE = Struct(">HIII")
_ZEROES = bytes(124)
_CLIENT_FLAGS = int(ClientFlag.FIXED_NEWSTYLE | ClientFlag.NO_ZEROES)


class Phase(enum.Enum):
    """Where a handshake stands."""

    FLAGS = enum.auto()
    """Greeting sent, the client's flags are awaited."""
    OPTIONS = enum.auto()
    TRANSMISSION = enum.auto()
    """Done: ``export`` and what goes with it are set."""
    ENDED = enum.auto()
    """The client wants no more: send what is to be sent and close."""


class _InvalidOptionError(Exception):
    """An option's data do not parse; becomes an error reply."""


def transmission_flags(export: Export, *, structured: bool) -> TransmissionFlag:
    """What an export can do for a client."""
    flags = (
        TransmissionFlag.HAS_FLAGS
        | TransmissionFlag.SEND_FLUSH
        | TransmissionFlag.SEND_FUA
        | TransmissionFlag.CAN_MULTI_CONN
        | TransmissionFlag.SEND_CACHE
    )
    if structured:
        flags |= TransmissionFlag.SEND_DF
    if export.read_only:
        return flags | TransmissionFlag.READ_ONLY
    return (
        flags
        | TransmissionFlag.SEND_TRIM
        | TransmissionFlag.SEND_WRITE_ZEROES
        | TransmissionFlag.SEND_FAST_ZERO
    )


class Handshake:
    """One client's negotiation.

    Feed received bytes to ``receive`` and send what it returns, until ``phase`` is TRANSMISSION or
    ENDED.
    """

    def __init__(self, exports: ExportTable, payload_bytes_max: int) -> None:
        self.phase = Phase.FLAGS
        self.export: Export | None = None
        """The chosen export, once ``phase`` is TRANSMISSION."""
        self.structured = False
        """Structured replies were negotiated."""
        self.shutting_down = False
        """Set by the owner: every further option is answered with ERR_SHUTDOWN."""
        self._exports = exports
        self._payload_bytes_max = payload_bytes_max
        self._fixed = False
        self._no_zeroes = False
        self._context_export: Export | None = None
        """For which export base:allocation was selected last."""
        self._pending = bytearray()
        self._skip = 0
        """Bytes of an oversized option still to be thrown away."""
        self._skip_option = 0
        self._options = 0

    @property
    def block_status(self) -> bool:
        """base:allocation was selected, for the export that was chosen."""
        return self._context_export is not None and self._context_export is self.export

    @property
    def leftover(self) -> bytes:
        """Bytes received beyond the handshake: the first requests of a hasty client."""
        return bytes(self._pending)

    def greeting(self) -> bytes:
        """What the server says first."""
        flags = HandshakeFlag.FIXED_NEWSTYLE | HandshakeFlag.NO_ZEROES
        return GREETING.pack(NBDMAGIC, IHAVEOPT, flags)

    def receive(self, data: bytes | bytearray | memoryview) -> bytes:
        """Take received bytes; returns what to send. Raises ProtocolError: close without a word."""
        self._pending += data
        replies = bytearray()
        while self.phase in (Phase.FLAGS, Phase.OPTIONS):
            reply = self._step_flags() if self.phase is Phase.FLAGS else self._step_option()
            if reply is None:
                break
            replies += reply
        return bytes(replies)

    def _step_flags(self) -> bytes | None:
        if len(self._pending) < _U32.size:
            return None
        (flags,) = _U32.unpack_from(self._pending)
        del self._pending[: _U32.size]
        if flags & ~_CLIENT_FLAGS:
            raise ProtocolError(f"unknown client flags {flags:#x}")
        self._fixed = bool(flags & ClientFlag.FIXED_NEWSTYLE)
        self._no_zeroes = bool(flags & ClientFlag.NO_ZEROES)
        self.phase = Phase.OPTIONS
        return b""

    def _step_option(self) -> bytes | None:
        """Handle one option if it is complete; None while bytes are missing."""
        if self._skip:
            thrown = min(self._skip, len(self._pending))
            del self._pending[:thrown]
            self._skip -= thrown
            if self._skip:
                return None
            return _error(self._skip_option, OptionReply.ERR_TOO_BIG, "option too long")
        if len(self._pending) < OPTION_HEADER.size:
            return None
        magic, option, length = OPTION_HEADER.unpack_from(self._pending)
        if magic != IHAVEOPT:
            raise ProtocolError(f"option magic {magic:#x}")
        if length > OPTION_BYTES_MAX:
            self._begin_skip(option, length)
            return b""
        end = OPTION_HEADER.size + length
        if len(self._pending) < end:
            return None
        data = bytes(memoryview(self._pending)[OPTION_HEADER.size : end])
        del self._pending[:end]
        self._count_option()
        return self._on_option(option, data)

    def _begin_skip(self, option: int, length: int) -> None:
        if length > OPTION_BYTES_SKIPPED_MAX or option == Option.EXPORT_NAME:
            raise ProtocolError(f"option {option} of {length} bytes")
        del self._pending[: OPTION_HEADER.size]
        self._skip = length
        self._skip_option = option
        self._count_option()

    def _count_option(self) -> None:
        self._options += 1
        if self._options > OPTIONS_MAX:
            raise ProtocolError(f"more than {OPTIONS_MAX} options")

    def _on_option(self, option: int, data: bytes) -> bytes:
        if option == Option.EXPORT_NAME:
            return self._on_export_name(data)
        if not self._fixed:
            raise ProtocolError(f"option {option} without fixed newstyle")
        if option == Option.ABORT:
            self.phase = Phase.ENDED
            return option_reply(option, OptionReply.ACK)
        if self.shutting_down:
            return _error(option, OptionReply.ERR_SHUTDOWN, "the server is stopping")
        try:
            match option:
                case Option.LIST:
                    return self._on_list(data)
                case Option.INFO | Option.GO:
                    return self._on_go(option, data)
                case Option.STRUCTURED_REPLY:
                    return self._on_structured_reply(data)
                case Option.LIST_META_CONTEXT | Option.SET_META_CONTEXT:
                    return self._on_meta_context(option, data)
                case _:
                    return _error(option, OptionReply.ERR_UNSUP, "option not supported")
        except _InvalidOptionError as error:
            return _error(option, OptionReply.ERR_INVALID, str(error))

    def _on_export_name(self, data: bytes) -> bytes:
        try:
            name = data.decode()
        except UnicodeDecodeError as error:
            raise ProtocolError("export name is not UTF-8") from error
        export = self._exports.find(name)
        if export is None or self.shutting_down:
            raise ProtocolError(f"no export {name!r}")
        self._choose(export)
        flags = transmission_flags(export, structured=self.structured)
        reply = _EXPORT_NAME_REPLY.pack(export.size_bytes, flags)
        return reply if self._no_zeroes else reply + _ZEROES

    def _choose(self, export: Export) -> None:
        self.export = export
        self.phase = Phase.TRANSMISSION

    def _on_list(self, data: bytes) -> bytes:
        if data:
            raise _InvalidOptionError("LIST takes no data")
        replies = bytearray()
        for export in self._exports:
            name = export.name.encode()
            payload = _U32.pack(len(name)) + name + export.description.encode()
            replies += option_reply(Option.LIST, OptionReply.SERVER, payload)
        return bytes(replies) + option_reply(Option.LIST, OptionReply.ACK)

    def _on_go(self, option: int, data: bytes) -> bytes:
        fields = _Fields(data)
        name = fields.string()
        wanted = {fields.u16() for _ in range(fields.u16())}
        fields.end()
        export = self._exports.find(name)
        if export is None:
            return _error(option, OptionReply.ERR_UNKNOWN, f"no export is named {name!r}")
        flags = transmission_flags(export, structured=self.structured)
        infos = [_INFO_EXPORT.pack(Info.EXPORT, export.size_bytes, flags)]
        if Info.NAME in wanted:
            infos.append(_U16.pack(Info.NAME) + export.name.encode())
        if Info.DESCRIPTION in wanted and export.description:
            infos.append(_U16.pack(Info.DESCRIPTION) + export.description.encode())
        if Info.BLOCK_SIZE in wanted:
            sizes = (1, PAGE_SIZE, self._payload_bytes_max)
            infos.append(_INFO_BLOCK_SIZE.pack(Info.BLOCK_SIZE, *sizes))
        if option == Option.GO:
            self._choose(export)
        replies = [option_reply(option, OptionReply.INFO, info) for info in infos]
        return b"".join(replies) + option_reply(option, OptionReply.ACK)

    def _on_structured_reply(self, data: bytes) -> bytes:
        if data:
            raise _InvalidOptionError("STRUCTURED_REPLY takes no data")
        self.structured = True
        return option_reply(Option.STRUCTURED_REPLY, OptionReply.ACK)

    def _on_meta_context(self, option: int, data: bytes) -> bytes:
        selecting = option == Option.SET_META_CONTEXT
        if selecting:
            self._context_export = None
        if not self.structured:
            raise _InvalidOptionError("structured replies come first")
        fields = _Fields(data)
        name = fields.string()
        queries = [fields.string() for _ in range(fields.u32())]
        fields.end()
        export = self._exports.find(name)
        if export is None:
            return _error(option, OptionReply.ERR_UNKNOWN, f"no export is named {name!r}")
        if any(":" not in query for query in queries):
            raise _InvalidOptionError("a query has the form namespace:leaf")
        found = BASE_ALLOCATION in queries
        if not selecting:
            found = found or not queries or "base:" in queries
        replies = b""
        if found:
            context_id = BASE_ALLOCATION_ID if selecting else 0
            payload = _U32.pack(context_id) + BASE_ALLOCATION.encode()
            replies = option_reply(option, OptionReply.META_CONTEXT, payload)
        if found and selecting:
            self._context_export = export
        return replies + option_reply(option, OptionReply.ACK)


def _error(option: int, reply: OptionReply, text: str) -> bytes:
    return option_reply(option, reply, text.encode()[:NAME_BYTES_MAX])


class _Fields:
    """Reads an option's data from left to right. Raises _InvalidOptionError."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def u16(self) -> int:
        return self._number(_U16)

    def u32(self) -> int:
        return self._number(_U32)

    def _number(self, layout: Struct) -> int:
        try:
            (value,) = layout.unpack_from(self._data, self._at)
        except struct_error as error:
            raise _InvalidOptionError("option data end too early") from error
        self._at += layout.size
        return int(value)

    def string(self) -> str:
        length = self.u32()
        if length > NAME_BYTES_MAX:
            raise _InvalidOptionError(f"a string is longer than {NAME_BYTES_MAX} bytes")
        raw = self._data[self._at : self._at + length]
        if len(raw) < length:
            raise _InvalidOptionError("option data end too early")
        self._at += length
        try:
            text = raw.decode()
        except UnicodeDecodeError as error:
            raise _InvalidOptionError("a string is not UTF-8") from error
        if "\0" in text:
            raise _InvalidOptionError("a string has a NUL")
        return text

    def end(self) -> None:
        if self._at != len(self._data):
            raise _InvalidOptionError("option data are longer than they say")
