"""What is in a page: bytes that follow from (seed, page, version), and name them.

Covers: making the bytes, and saying what wrong bytes are. Does not cover: which version a page may
hold (``model.py``).

Of the written pages about 3 in 4 compress to half, 1 in 6 does not compress, the others repeat one
8-byte word. No written page is all zeros.
"""

from __future__ import annotations

from hashlib import shake_128
from struct import Struct

__all__ = ["PAGE_BYTES", "ZEROS", "content", "describe", "noise"]

PAGE_BYTES = 4096
ZEROS = bytes(PAGE_BYTES)
_NAME = Struct("<QQQ")
_WORD = Struct("<II")
_TEXT = b"the same words again and again, as programs' memory has them; " * 40
_NOISE_BYTES = 1980


def content(seed: int, page: int, version: int) -> bytes:
    """The bytes of a written page; ``version`` is above 0."""
    mix = ((page * 0x9E3779B1 + version * 0x85EBCA77 + seed * 0xC2B2AE3D) >> 7) & 0xFF
    if mix < 20:
        return _WORD.pack(page, version) * (PAGE_BYTES // _WORD.size)
    if mix < 62:
        return noise(seed, page, version)
    name = _NAME.pack(seed, page, version)
    return (name + shake_128(name).digest(_NOISE_BYTES) + _TEXT)[:PAGE_BYTES]


def noise(seed: int, page: int, version: int) -> bytes:
    """A page that no codec makes smaller."""
    name = _NAME.pack(seed, page, version)
    return name + shake_128(name).digest(PAGE_BYTES - _NAME.size)


def describe(data: bytes) -> str:
    """What a page's bytes say that they are."""
    if data == ZEROS:
        return "zeros"
    if data == data[: _WORD.size] * (PAGE_BYTES // _WORD.size):
        page, version = _WORD.unpack_from(data)
        return f"version {version} of page {page}"
    seed, page, version = _NAME.unpack_from(data)
    if data in (content(seed, page, version), noise(seed, page, version)):
        return f"version {version} of page {page} (seed {seed})"
    return f"no page that was ever written; it begins with {data[:32].hex()}"
