"""Columns of machine words as bytes of a message, and the checks of every batch.

Covers: ``array`` <-> little-endian bytes, counts, sizes and sums. Nothing of a batch is used before
all of these hold, whoever sent it. Does not cover: messages (``convert.py``), checksums of blobs
(``zcache.adopt`` and ``zcache.restore_many``, which see each blob anyway).
"""

from __future__ import annotations

import sys
from array import array

from ramster.blobs import check_shape
from ramster.errors import BadMessageError
from ramster.transport import SPILL_PAYLOAD_BYTES_MAX
from zcache import Encoding, PackedBlobs

__all__ = ["check_blobs", "check_same_rows", "column_bytes", "halves", "words"]

SWAPPED = sys.byteorder == "big"
"""Whether columns are swapped on their way: the wire is little-endian."""

_ENCODINGS = bytes(Encoding)


def column_bytes(column: array[int]) -> bytes:
    """A column as it travels."""
    if SWAPPED:
        column = column[:]
        column.byteswap()
    return column.tobytes()


def words(data: bytes, name: str, rows_max: int) -> array[int]:
    """A column of 64-bit words. Raises BadMessageError."""
    return _column("Q", data, name, rows_max)


def halves(data: bytes, name: str, rows_max: int) -> array[int]:
    """A column of 16-bit words. Raises BadMessageError."""
    return _column("H", data, name, rows_max)


def _column(typecode: str, data: bytes, name: str, rows_max: int) -> array[int]:
    column = array(typecode)
    width = column.itemsize
    if len(data) % width:
        raise BadMessageError(f"{name}: {len(data)} bytes, accepted is a multiple of {width}")
    if len(data) > rows_max * width:
        raise BadMessageError(f"{name}: {len(data) // width} rows, accepted is up to {rows_max}")
    column.frombytes(data)
    if SWAPPED:
        column.byteswap()
    return column


def check_same_rows(keys: array[int], generations: array[int]) -> None:
    """Raise BadMessageError unless both columns have as many rows."""
    if len(keys) != len(generations):
        raise BadMessageError(
            f"generations: {len(generations)} rows, accepted is {len(keys)} as in keys"
        )


def check_blobs(blobs: PackedBlobs, rows_max: int) -> None:
    """Raise BadMessageError unless columns agree with each other and with the payload."""
    check_shape(blobs, rows_max=rows_max, payload_bytes_max=SPILL_PAYLOAD_BYTES_MAX)
    unknown = bytes(blobs.encodings).translate(None, _ENCODINGS)
    if unknown:
        raise BadMessageError(f"encodings: {unknown[0]}, accepted is one of {list(_ENCODINGS)}")
