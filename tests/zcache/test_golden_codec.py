"""The blobs of both backends, held by one file: ``native/core/tests/golden_codec.txt``.

Covers: that the Python codec still makes the blobs in the file. The native one is held to it by
``native/core/tests/codec.rs``. Does not cover: what a codec has to do (``test_codec.py``).

Equal blobs matter because figures count their bytes. Where this fails after an upgrade of a
compression library, the two backends must be upgraded together, and the file written anew by

    python -m tests.zcache.test_golden_codec > native/core/tests/golden_codec.txt
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Final

import pytest
from xxhash import xxh3_64_intdigest

from zcache import PAGE_SIZE
from zcache.codec import encode_page
from zcache.page import Encoding

GOLDEN: Final = Path(__file__).parents[2] / "native" / "core" / "tests" / "golden_codec.txt"
HEADER: Final = "# seed, XXH3-64 of its page, codec, encoding, length, checksum (or the pattern)"
SEEDS: Final = range(96)
HUGE_LENGTH: Final = 3625
ZSTD_LEVEL: Final = 1
MASK: Final = 2**64 - 1
WORDS: Final = b"frame zspage handle pool object index page lender".split()


class Draws:
    """Marsaglia's xorshift generator of 64 bits, with shifts 13, 7, 17; the same in Rust."""

    def __init__(self, seed: int) -> None:
        self.state = seed * 0x9E3779B97F4A7C15 + 1 & MASK

    def below(self, limit: int) -> int:
        state = self.state
        state ^= state << 13 & MASK
        state ^= state >> 7
        state ^= state << 17 & MASK
        self.state = state
        return (state >> 11) % limit


def text(draws: Draws) -> bytes:
    page = b""
    while len(page) < PAGE_SIZE:
        page += WORDS[draws.below(8)] + b"%d " % draws.below(1000)
    return page[:PAGE_SIZE]


def noise(draws: Draws, length: int) -> bytes:
    return bytes(draws.below(256) for _ in range(length))


def half_noise(draws: Draws) -> bytes:
    length = draws.below(PAGE_SIZE + 1)
    return noise(draws, length) + bytes(PAGE_SIZE - length)


def sparse(draws: Draws) -> bytes:
    page = bytearray(PAGE_SIZE)
    for _ in range(draws.below(200)):
        at = draws.below(PAGE_SIZE)
        page[at] = draws.below(256)
    return bytes(page)


def pointers(draws: Draws) -> bytes:
    base = 0x7F0000000000 + draws.below(2**20) * 4096
    return b"".join((base + draws.below(64) * 16).to_bytes(8, "little") for _ in range(512))


def records(draws: Draws) -> bytes:
    return b"".join(
        number.to_bytes(4, "little") + b"record of a table\0" + noise(draws, 10)
        for number in range(128)
    )


def periodic(draws: Draws) -> bytes:
    period = noise(draws, 1 + draws.below(64))
    return (period * PAGE_SIZE)[:PAGE_SIZE]


def nearly_same(draws: Draws) -> bytes:
    page = bytearray(noise(draws, 8) * 512)
    at = draws.below(PAGE_SIZE)
    page[at] = draws.below(256)
    return bytes(page)


KINDS: Final[list[Callable[[Draws], bytes]]] = [
    text,
    half_noise,
    sparse,
    pointers,
    records,
    periodic,
    nearly_same,
    lambda draws: noise(draws, PAGE_SIZE),
]


def page_of(seed: int) -> bytes:
    return KINDS[seed % 8](Draws(seed))


def lz4_fields(page: bytes) -> tuple[int, int, int]:
    """Encoding, length and checksum of the Python backend."""
    blob, checksum = encode_page(memoryview(page), "lz4", HUGE_LENGTH, refuse=False)
    if isinstance(blob, int):
        return Encoding.SAME, 8, blob
    assert blob is not None
    return Encoding.RAW if len(blob) == PAGE_SIZE else Encoding.LZ4, len(blob), checksum


def zstd_fields(page: bytes) -> tuple[int, int, int]:
    """The same for one frame with the content's size and without a checksum."""
    if page == page[:8] * 512:
        return Encoding.SAME, 8, int.from_bytes(page[:8], "little")
    compressor = import_module("zstandard").ZstdCompressor(ZSTD_LEVEL, write_checksum=False)
    blob = compressor.compress(page)
    if len(blob) >= HUGE_LENGTH:
        return Encoding.RAW, PAGE_SIZE, xxh3_64_intdigest(page)
    return 3, len(blob), xxh3_64_intdigest(blob)


def lines(codec: str, fields_of: Callable[[bytes], tuple[int, int, int]]) -> Iterator[str]:
    for seed in SEEDS:
        page = page_of(seed)
        encoding, length, checksum = fields_of(page)
        yield f"{seed} {xxh3_64_intdigest(page)} {codec} {encoding} {length} {checksum}"


def golden(codec: str) -> list[str]:
    return [line for line in GOLDEN.read_text().splitlines() if f" {codec} " in line]


def test_lz4_blobs_are_those_of_the_golden_file() -> None:
    assert list(lines("lz4", lz4_fields)) == golden("lz4")


def test_zstd_blobs_are_those_of_the_golden_file() -> None:
    pytest.importorskip("zstandard")
    assert list(lines("zstd", zstd_fields)) == golden("zstd")


def main() -> None:
    print(HEADER)
    for line in (*lines("lz4", lz4_fields), *lines("zstd", zstd_fields)):
        print(line)


if __name__ == "__main__":
    main()
