"""Pages to blobs and back: same-filled detection, LZ4, Zstandard, checksums.

Covers: encoding of one page and of batches, decoding with verification. No state, no locks: all of
it runs outside the cache's lock. Does not cover: where blobs are kept, Zstandard itself
(``zstd.py``).

A page that does not compress below the huge watermark of zsmalloc is kept as it is: a blob beyond
that would take a whole frame all the same (as zram decides).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import lz4.block
from xxhash import xxh3_64_intdigest

from zcache import zstd
from zcache.errors import BadHandleError, CorruptPageError
from zcache.page import PAGE_SIZE, Buffer, Encoding

__all__ = [
    "COMPRESSORS",
    "ENCODINGS",
    "EncodedPage",
    "checksum_of",
    "decode",
    "encode_many",
    "encode_page",
    "pages_view",
    "same_filled_page",
]

EncodedPage = bytes | int | None
"""A blob (RAW if it has 4096 bytes, else of its codec's encoding); or the 64-bit pattern of a
same-filled page; or None, refused.
"""

checksum_of = xxh3_64_intdigest
"""XXH3-64 with seed 0 over a blob."""

_decompress = lz4.block.decompress
_WORDS: Final = PAGE_SIZE // 8
_ZERO_PAGE: Final = bytes(PAGE_SIZE)


def _lz4_block(page: Buffer) -> bytes:
    blob: bytes = lz4.block.compress(page, store_size=False)
    return blob


COMPRESSORS: Final[dict[str, Callable[[Buffer], bytes]]] = {
    "lz4": _lz4_block,
    "zstd": zstd.compress,
}
"""By codec. One that is not here keeps pages as they are."""

ENCODINGS: Final = {"lz4": Encoding.LZ4, "zstd": Encoding.ZSTD, "none": Encoding.RAW}
"""What a codec's blobs are, unless they have 4096 bytes."""


def pages_view(payload: Buffer, pages: int) -> memoryview:
    """The payload as bytes, if it is ``pages`` pages long. Raises BadHandleError."""
    view = payload if isinstance(payload, memoryview) else memoryview(payload)
    if not view.c_contiguous:
        raise BadHandleError("page data is not contiguous")
    if view.format != "B" or view.ndim != 1:
        view = view.cast("B")
    if len(view) != pages * PAGE_SIZE:
        raise BadHandleError(f"{len(view)} bytes for {pages} pages of {PAGE_SIZE} bytes each")
    return view


def same_filled_page(pattern: int) -> bytes:
    """The page that a pattern stands for."""
    return pattern.to_bytes(8, "little") * _WORDS if pattern else _ZERO_PAGE


def encode_many(
    view: memoryview, codec: str, huge_length: int, *, refuse: bool
) -> tuple[list[EncodedPage], list[int]]:
    """Encode every page of a view (see ``pages_view``): blobs, and XXH3-64 checksums of blobs.

    ``refuse``: a page that does not compress becomes None instead of a raw blob.
    """
    blobs: list[EncodedPage] = []
    checksums: list[int] = []
    words = view.cast("Q")
    compress = COMPRESSORS.get(codec)
    for first in range(0, len(words), _WORDS):
        start = first << 3
        page = view[start : start + PAGE_SIZE]
        word = words[first]
        if word == words[first + _WORDS - 1] and page.tobytes() == same_filled_page(word):
            blobs.append(word)
            checksums.append(0)
            continue
        blob = compress(page) if compress is not None else None
        if blob is None or len(blob) >= huge_length:
            if refuse and compress is not None:
                blobs.append(None)
                checksums.append(0)
                continue
            blob = page.tobytes()
        blobs.append(blob)
        checksums.append(xxh3_64_intdigest(blob))
    return blobs, checksums


def encode_page(
    view: memoryview, codec: str, huge_length: int, *, refuse: bool
) -> tuple[EncodedPage, int]:
    """As ``encode_many``, for one page."""
    word = view[:8]
    if word == view[-8:]:
        pattern = int.from_bytes(word, "little")
        if view.tobytes() == same_filled_page(pattern):
            return pattern, 0
    compress = COMPRESSORS.get(codec)
    if compress is not None:
        blob = compress(view)
        if len(blob) < huge_length:
            return blob, xxh3_64_intdigest(blob)
        if refuse:
            return None, 0
    blob = view.tobytes()
    return blob, xxh3_64_intdigest(blob)


def decode(blob: Buffer, encoding: int, checksum: int) -> bytes:
    """The page of a blob, verified first. Raises CorruptPageError."""
    if xxh3_64_intdigest(blob) != checksum:
        raise CorruptPageError(f"checksum of a blob of {len(blob)} bytes does not match")
    if encoding == Encoding.LZ4:
        try:
            page: bytes = _decompress(blob, uncompressed_size=PAGE_SIZE)
        except lz4.block.LZ4BlockError as failure:
            raise CorruptPageError(f"not an LZ4 block of one page: {failure}") from failure
    elif encoding == Encoding.RAW:
        page = bytes(blob)
    elif encoding == Encoding.ZSTD:
        try:
            page = zstd.decompress(blob)
        except ValueError as failure:
            raise CorruptPageError(f"not a zstandard frame of one page: {failure}") from failure
    elif len(blob) == 8:
        page = bytes(blob) * _WORDS
    else:
        raise CorruptPageError(f"a pattern of {len(blob)} bytes")
    if len(page) != PAGE_SIZE:
        raise CorruptPageError(f"a page of {len(page)} bytes")
    return page
