"""What a page is, how it is named, and the packed columns in which batches of pages travel.

Covers: constants, enumerations, value types, checks of handles and of ``where`` words. No state.
Read next: ``contract.py`` for the operations, ``cache.py`` for the reference implementation.

A batch is a set of columns of equal length (``array`` of machine words, little-endian on every
machine that is supported) plus one payload; never one Python object a page.
"""

from __future__ import annotations

import enum
from array import array
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from zcache.errors import BadHandleError

__all__ = [
    "BLOB_ABSENT",
    "BLOB_FOUND",
    "INDEX_MAX",
    "OBJECT_ID_INVALID",
    "PAGE_SIZE",
    "PLACE_BITS",
    "PLACE_MASK",
    "AdoptStatus",
    "AwayPage",
    "AwayPages",
    "Buffer",
    "Encoding",
    "GetFree",
    "PackedBlobs",
    "PageState",
    "PoolKind",
    "RestoreStatus",
    "SpillTicket",
    "check_handle",
    "check_place",
    "check_where",
    "is_where",
    "place_of",
    "position_of",
    "where_of",
]

PAGE_SIZE: Final = 4096
"""Bytes a page; the unit of put and get."""

INDEX_MAX: Final = 2**64 - 1
"""The largest index. The originals stopped at 2**32 - 1 and answered larger ones with a miss."""

OBJECT_ID_INVALID: Final = 2**192 - 1
"""All 192 bits set: no object (as in tmem). Object ids are 0 .. 2**192 - 2."""

PLACE_BITS: Final = 32
"""The bits of a ``where`` word, from the lowest, that number a place; those above are a position.

Places are summed, scanned and forgotten here. What a place is, and what a position in it is, the
layer above knows.
"""

PLACE_MASK: Final = 2**PLACE_BITS - 1
"""The largest number of a place, and the bits of a ``where`` that hold one."""

Buffer = bytes | bytearray | memoryview
"""What page data may be handed in as; contiguous bytes."""


class PoolKind(enum.IntEnum):
    """Whether an accepted page may be dropped by the cache."""

    EPHEMERAL = 0
    """A page may vanish at any time; a get may miss."""
    PERSISTENT = 1
    """An accepted page is there until it is flushed."""


class Encoding(enum.IntEnum):
    """How a blob encodes its page; the numbers are also the wire's."""

    RAW = 0
    """The 4096 bytes as they are."""
    LZ4 = 1
    """One LZ4 block without a size prefix."""
    SAME = 2
    """The eight bytes that fill the page, over and over."""
    ZSTD = 3
    """One zstandard frame with its content size and without checksum."""


class GetFree(enum.IntEnum):
    """What a get does with a page it has found (tmem's tri-state)."""

    BY_KIND = 0
    """The pool's rule: private ephemeral and exclusive persistent pools free it, others keep it."""
    ALWAYS = 1
    NEVER = 2


class PageState(enum.IntEnum):
    """A get's answer for one page of a batch."""

    ABSENT = 0
    PRESENT = 1
    AWAY = 2
    CORRUPT = 3
    """Stored, but its blob fails its checksum or decompression; the entry is kept."""


class RestoreStatus(enum.IntEnum):
    """What became of one fetched blob."""

    RESTORED = 0
    """Verified, decoded, and (if asked and there was room) at home again."""
    STALE = 1
    """The handle was put, flushed or restored since; the blob is of no use: look again."""
    CORRUPT = 2
    """Length, generation or checksum do not match the stub; nothing was decoded."""


class AdoptStatus(enum.IntEnum):
    """What a lender did with one foreign blob; the numbers are also the wire's."""

    STORED = 0
    QUOTA = 1
    """Refused: the quota for foreign pages is used up."""
    FULL = 2
    """Refused: no frame is left within the pool's limit."""
    STALE = 3
    """Refused: a page of an equal or higher generation is stored under this key."""
    BAD = 4
    """Refused: length or checksum do not match the blob."""


BLOB_ABSENT: Final = 0
BLOB_FOUND: Final = 1


class AwayPage(NamedTuple):
    """A page whose blob is elsewhere: what is needed to fetch and to verify it."""

    key: int
    generation: int
    length: int
    encoding: Encoding
    checksum: int
    where: int


def _words() -> array[int]:
    return array("Q")


def _halves() -> array[int]:
    return array("H")


@dataclass(slots=True)
class PackedBlobs:
    """Blobs (compressed pages) as columns; row i's bytes are the next ``lengths[i]`` of
    ``payload``.

    ``keys``         u64, how the owner names the page towards lenders; of no meaning to anyone else
    ``generations``  u64, rises with every put, and with every ticket that takes the page
    ``lengths``      u16, bytes of the blob, 1..4096
    ``encodings``    u8, see ``Encoding``
    ``checksums``    u64, XXH3-64 with seed 0 over the blob
    """

    keys: array[int] = field(default_factory=_words)
    generations: array[int] = field(default_factory=_words)
    lengths: array[int] = field(default_factory=_halves)
    encodings: bytearray = field(default_factory=bytearray)
    checksums: array[int] = field(default_factory=_words)
    payload: Buffer = b""

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(slots=True)
class AwayPages:
    """Pages elsewhere, as columns.

    ``positions`` u64: in an answer to a batch, which page of the batch; in displaced pages 0.
    The other columns are those of ``AwayPage``; ``wheres`` u64 are whole words, place and position.
    """

    positions: array[int] = field(default_factory=_words)
    keys: array[int] = field(default_factory=_words)
    generations: array[int] = field(default_factory=_words)
    lengths: array[int] = field(default_factory=_halves)
    encodings: bytearray = field(default_factory=bytearray)
    checksums: array[int] = field(default_factory=_words)
    wheres: array[int] = field(default_factory=_words)

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(slots=True, frozen=True)
class SpillTicket:
    """A batch of cold pages on their way out; still readable at home until the ticket ends.

    To be ended exactly once, by ``finish_spill`` or ``cancel_spill``.

    ``pools`` u32: the pool id of each row's page, as it was when the ticket began.
    """

    ticket_id: int
    kind: PoolKind
    blobs: PackedBlobs
    pools: array[int]


def check_handle(object_id: int, index: int) -> None:
    """Raise BadHandleError unless both parts are in range; nothing is truncated."""
    if not 0 <= object_id < OBJECT_ID_INVALID:
        raise BadHandleError(f"object id {object_id:#x}: accepted is 0 to 2**192 - 2")
    if not 0 <= index <= INDEX_MAX:
        raise BadHandleError(f"index {index}: accepted is 0 to 2**64 - 1")


def place_of(where: int) -> int:
    """The place in a ``where`` word."""
    return where & PLACE_MASK


def position_of(where: int) -> int:
    """The position in a ``where`` word."""
    return where >> PLACE_BITS


def where_of(place: int, position: int = 0) -> int:
    """The word of a place and a position in it. Raises BadHandleError for one out of range."""
    check_place(place)
    if not 0 <= position < 2**32:
        raise BadHandleError(f"position {position}: accepted is 0 to 2**32 - 1")
    return position << PLACE_BITS | place


def check_place(place: int) -> None:
    """Raise BadHandleError unless ``place`` can number a place."""
    if not 1 <= place <= PLACE_MASK:
        raise BadHandleError(f"place {place}: accepted is 1 to 2**32 - 1")


def is_where(where: int) -> bool:
    """Whether a number is a 64-bit word that names a place."""
    return 0 <= where < 2**64 and where & PLACE_MASK != 0


def check_where(where: int) -> None:
    """Raise BadHandleError unless ``where`` is a 64-bit word that names a place."""
    if not is_where(where):
        raise BadHandleError(
            f"where = {where:#x}: accepted is a word of 64 bits, the low 32 of them not 0"
        )
