"""Rows of packed blobs, one by one.

Covers: taking packed columns apart, putting them together, and the checks of shape that every
receiver makes. Does not cover: the checks of content (lengths against stubs and checksums: the
cache).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ramster.errors import BadMessageError
from zcache import PAGE_SIZE, PackedBlobs

__all__ = ["Blob", "check_shape", "extend", "pack", "rows"]


class Blob(NamedTuple):
    """One compressed page with what is needed to verify it."""

    key: int
    generation: int
    length: int
    encoding: int
    checksum: int
    data: bytes


def rows(blobs: PackedBlobs) -> Iterator[Blob]:
    """The rows in order; the columns must have passed ``check_shape``."""
    payload = memoryview(blobs.payload)
    start = 0
    for row, length in enumerate(blobs.lengths):
        data = bytes(payload[start : start + length])
        start += length
        yield Blob(
            blobs.keys[row],
            blobs.generations[row],
            length,
            blobs.encodings[row],
            blobs.checksums[row],
            data,
        )


def pack(blobs: Iterable[Blob]) -> PackedBlobs:
    """Rows as columns."""
    packed = PackedBlobs()
    parts = []
    for blob in blobs:
        packed.keys.append(blob.key)
        packed.generations.append(blob.generation)
        packed.lengths.append(blob.length)
        packed.encodings.append(blob.encoding)
        packed.checksums.append(blob.checksum)
        parts.append(blob.data)
    packed.payload = b"".join(parts)
    return packed


def extend(blobs: PackedBlobs, more: PackedBlobs) -> None:
    """Append rows to ``blobs``, whose payload must be a bytearray."""
    assert isinstance(blobs.payload, bytearray)
    blobs.keys.extend(more.keys)
    blobs.generations.extend(more.generations)
    blobs.lengths.extend(more.lengths)
    blobs.encodings.extend(more.encodings)
    blobs.checksums.extend(more.checksums)
    blobs.payload += more.payload


def check_shape(blobs: PackedBlobs, *, rows_max: int, payload_bytes_max: int) -> None:
    """Raise BadMessageError unless all columns are equally long, lengths fit and make up the
    payload.
    """
    count = len(blobs.keys)
    columns = {
        "generations": len(blobs.generations),
        "lengths": len(blobs.lengths),
        "encodings": len(blobs.encodings),
        "checksums": len(blobs.checksums),
    }
    for name, length in columns.items():
        if length != count:
            raise BadMessageError(f"{length} {name} for {count} keys")
    if count > rows_max:
        raise BadMessageError(f"{count} blobs: accepted is up to {rows_max}")
    size = memoryview(blobs.payload).nbytes
    if size > payload_bytes_max:
        raise BadMessageError(f"a payload of {size} bytes: accepted is up to {payload_bytes_max}")
    if count and not 1 <= min(blobs.lengths) <= max(blobs.lengths) <= PAGE_SIZE:
        raise BadMessageError(f"a blob's length: accepted is 1 to {PAGE_SIZE} bytes")
    if sum(blobs.lengths) != size:
        raise BadMessageError(f"lengths make {sum(blobs.lengths)} bytes, the payload has {size}")
