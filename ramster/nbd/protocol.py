"""The NBD protocol's numbers and byte layouts. No I/O and no state.

Covers: constants of the handshake and of transmission, packing of replies, the layout of a request.
Does not cover: the order of things (``handshake.py``, ``connection.py``). Source: "The NBD
protocol", doc/proto.md of NetworkBlockDevice/nbd; names follow it without the NBD_ prefix. All
integers are big-endian.
"""

from __future__ import annotations

import enum
from struct import Struct
from typing import Final

from ramster.errors import RamsterError

__all__ = [
    "BASE_ALLOCATION",
    "BASE_ALLOCATION_ID",
    "CHUNK",
    "CHUNK_DATA",
    "CHUNK_DONE",
    "CHUNK_HOLE",
    "CHUNK_MAGIC",
    "DEFAULT_PORT",
    "GREETING",
    "NAME_BYTES_MAX",
    "NBDMAGIC",
    "IHAVEOPT",
    "OPTION_HEADER",
    "OPTION_REPLY",
    "OPTION_REPLY_MAGIC",
    "REQUEST",
    "REQUEST_MAGIC",
    "SIMPLE_REPLY",
    "SIMPLE_REPLY_MAGIC",
    "STATE_HOLE",
    "STATE_ZERO",
    "ChunkType",
    "ClientFlag",
    "Command",
    "CommandFlag",
    "HandshakeFlag",
    "Info",
    "NbdError",
    "Option",
    "OptionReply",
    "ProtocolError",
    "TransmissionFlag",
    "block_status_chunk",
    "error_chunk",
    "hole_chunk",
    "option_reply",
    "simple_reply",
]

DEFAULT_PORT: Final = 10809
NBDMAGIC: Final = 0x4E42444D41474943
IHAVEOPT: Final = 0x49484156454F5054
OPTION_REPLY_MAGIC: Final = 0x0003E889045565A9
REQUEST_MAGIC: Final = 0x25609513
SIMPLE_REPLY_MAGIC: Final = 0x67446698
CHUNK_MAGIC: Final = 0x668E33EF

GREETING: Final = Struct(">QQH")
"""NBDMAGIC, IHAVEOPT, handshake flags."""
OPTION_HEADER: Final = Struct(">QII")
"""IHAVEOPT, option, length of its data."""
OPTION_REPLY: Final = Struct(">QIII")
"""OPTION_REPLY_MAGIC, option, reply type, length of the reply's data."""
REQUEST: Final = Struct(">IHHQQI")
"""REQUEST_MAGIC, command flags, command, cookie, offset, length; a write's payload follows."""
SIMPLE_REPLY: Final = Struct(">IIQ")
"""SIMPLE_REPLY_MAGIC, error, cookie; the data of a read that succeeded follows."""
CHUNK: Final = Struct(">IHHQI")
"""CHUNK_MAGIC, flags, type, cookie, length of the payload."""
CHUNK_DATA: Final = Struct(">IHHQIQ")
"""A CHUNK header and the offset that an OFFSET_DATA payload begins with."""
CHUNK_HOLE: Final = Struct(">IHHQIQI")
"""A complete OFFSET_HOLE chunk: header, offset, length of the hole."""
CHUNK_DONE: Final = 1
"""Flag of the last chunk of a reply."""

NAME_BYTES_MAX: Final = 4096
"""The protocol's bound of any string."""
BASE_ALLOCATION: Final = "base:allocation"
BASE_ALLOCATION_ID: Final = 1
"""Our number for the one metadata context there is."""
STATE_HOLE: Final = 1
STATE_ZERO: Final = 2


class ProtocolError(RamsterError):
    """The other side broke the protocol beyond what a reply can say; its connection is closed."""


class HandshakeFlag(enum.IntFlag):
    """What the server offers in its greeting."""

    FIXED_NEWSTYLE = 1
    NO_ZEROES = 2


class ClientFlag(enum.IntFlag):
    """What the client takes of the offer."""

    FIXED_NEWSTYLE = 1
    NO_ZEROES = 2


class TransmissionFlag(enum.IntFlag):
    """What an export can do, told when it is chosen."""

    HAS_FLAGS = 1 << 0
    READ_ONLY = 1 << 1
    SEND_FLUSH = 1 << 2
    SEND_FUA = 1 << 3
    ROTATIONAL = 1 << 4
    SEND_TRIM = 1 << 5
    SEND_WRITE_ZEROES = 1 << 6
    SEND_DF = 1 << 7
    CAN_MULTI_CONN = 1 << 8
    SEND_RESIZE = 1 << 9
    SEND_CACHE = 1 << 10
    SEND_FAST_ZERO = 1 << 11


class Option(enum.IntEnum):
    """What a client may ask for before transmission."""

    EXPORT_NAME = 1
    ABORT = 2
    LIST = 3
    PEEK_EXPORT = 4
    STARTTLS = 5
    INFO = 6
    GO = 7
    STRUCTURED_REPLY = 8
    LIST_META_CONTEXT = 9
    SET_META_CONTEXT = 10
    EXTENDED_HEADERS = 11


class OptionReply(enum.IntEnum):
    """Answers to options; bit 31 marks an error, whose data is a text."""

    ACK = 1
    SERVER = 2
    INFO = 3
    META_CONTEXT = 4
    ERR_UNSUP = 2**31 + 1
    ERR_POLICY = 2**31 + 2
    ERR_INVALID = 2**31 + 3
    ERR_PLATFORM = 2**31 + 4
    ERR_TLS_REQD = 2**31 + 5
    ERR_UNKNOWN = 2**31 + 6
    ERR_SHUTDOWN = 2**31 + 7
    ERR_BLOCK_SIZE_REQD = 2**31 + 8
    ERR_TOO_BIG = 2**31 + 9


class Info(enum.IntEnum):
    """Kinds of information in answers to INFO and GO."""

    EXPORT = 0
    NAME = 1
    DESCRIPTION = 2
    BLOCK_SIZE = 3


class Command(enum.IntEnum):
    """Requests of the transmission phase."""

    READ = 0
    WRITE = 1
    DISC = 2
    FLUSH = 3
    TRIM = 4
    CACHE = 5
    WRITE_ZEROES = 6
    BLOCK_STATUS = 7


class CommandFlag(enum.IntFlag):
    """Flags of a request."""

    FUA = 1 << 0
    NO_HOLE = 1 << 1
    DF = 1 << 2
    REQ_ONE = 1 << 3
    FAST_ZERO = 1 << 4
    PAYLOAD_LEN = 1 << 5


class ChunkType(enum.IntEnum):
    """Kinds of structured reply chunks; bit 15 marks an error."""

    NONE = 0
    OFFSET_DATA = 1
    OFFSET_HOLE = 2
    BLOCK_STATUS = 5
    ERROR = 2**15 + 1
    ERROR_OFFSET = 2**15 + 2


class NbdError(enum.IntEnum):
    """The error numbers that may travel; Linux's values, whatever the machine."""

    EPERM = 1
    EIO = 5
    ENOMEM = 12
    EINVAL = 22
    ENOSPC = 28
    EOVERFLOW = 75
    ENOTSUP = 95
    ESHUTDOWN = 108


_U32 = Struct(">I")
_ERROR = Struct(">IHHQIIH")
_STATUS_HEAD = Struct(">IHHQII")
_DESCRIPTOR = Struct(">II")


def option_reply(option: int, reply: OptionReply, data: bytes = b"") -> bytes:
    """One complete reply to an option; for errors ``data`` is a text in UTF-8."""
    return OPTION_REPLY.pack(OPTION_REPLY_MAGIC, option, reply, len(data)) + data


def simple_reply(cookie: int, error: int = 0) -> bytes:
    """A reply without data."""
    return SIMPLE_REPLY.pack(SIMPLE_REPLY_MAGIC, error, cookie)


def hole_chunk(cookie: int, offset: int, length: int, *, done: bool) -> bytes:
    """``length`` bytes from ``offset`` read as zeros."""
    flags = CHUNK_DONE if done else 0
    return CHUNK_HOLE.pack(CHUNK_MAGIC, flags, ChunkType.OFFSET_HOLE, cookie, 12, offset, length)


def error_chunk(cookie: int, error: int, message: str = "") -> bytes:
    """The last chunk of a reply that failed, with a text for a human."""
    text = message.encode()[:NAME_BYTES_MAX]
    head = _ERROR.pack(
        CHUNK_MAGIC, CHUNK_DONE, ChunkType.ERROR, cookie, 6 + len(text), error, len(text)
    )
    return head + text


def block_status_chunk(cookie: int, extents: list[tuple[int, int]]) -> bytes:
    """The whole answer to BLOCK_STATUS for base:allocation; extents are (length, state flags)."""
    length = _U32.size + _DESCRIPTOR.size * len(extents)
    head = _STATUS_HEAD.pack(
        CHUNK_MAGIC, CHUNK_DONE, ChunkType.BLOCK_STATUS, cookie, length, BASE_ALLOCATION_ID
    )
    return head + b"".join(_DESCRIPTOR.pack(*extent) for extent in extents)
