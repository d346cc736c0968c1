"""Frames of one page: what they are, what decodes, what memory that can take; and no package."""

import os
import resource
import struct
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from tests.zcache.pages import ZERO, mixed_page, random_page, text_page
from zcache import PAGE_SIZE
from zcache.zstd import LEVEL, compress, decompress

PAGE = text_page(1)
MIB = 2**20


@pytest.mark.parametrize("page", [PAGE, ZERO, random_page(1)])
def test_a_frame_says_its_content_size_and_has_no_checksum_and_no_dictionary(page: bytes) -> None:
    frame = compress(page)
    header = zstandard.get_frame_parameters(frame)
    assert (header.content_size, header.has_checksum, header.dict_id) == (PAGE_SIZE, False, 0)
    assert header.window_size == PAGE_SIZE
    assert decompress(frame) == decompress(memoryview(frame)) == page


def test_a_frame_is_what_zstandard_itself_makes_at_this_level() -> None:
    assert compress(PAGE) == zstandard.ZstdCompressor(level=LEVEL).compress(PAGE)


@given(st.binary(max_size=200))
def test_bytes_that_are_no_frame_never_become_a_page(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decompress(data)


@given(st.integers(0, 2**16), st.integers(1, 255), st.integers(0, 3600))
def test_a_damaged_frame_gives_one_page_or_an_error(at: int, change: int, noise: int) -> None:
    """The cache's checksum finds the damage; here the bound is what counts."""
    frame = bytearray(compress(mixed_page(at, noise)))
    frame[at % len(frame)] ^= change
    try:
        page = decompress(frame)
    except ValueError:
        return
    assert len(page) == PAGE_SIZE


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (compress(PAGE)[:-1], "did not decompress full frame"),
        (compress(PAGE) + b"x", "unused data"),
        (compress(PAGE) * 2, "unused data"),
        (compress(bytes(PAGE_SIZE - 1)), "a frame of 4095 bytes"),
        (compress(bytes(2 * PAGE_SIZE)), "a frame of 8192 bytes"),
        (compress(b""), "a frame of 0 bytes"),
        (b"\x50\x2a\x4d\x18" + bytes(4), "a frame of 0 bytes"),
        (
            zstandard.ZstdCompressor(write_content_size=False).compress(PAGE),
            "a frame of an unknown number of bytes",
        ),
        (b"", "content size"),
    ],
)
def test_what_is_not_exactly_one_page_is_refused_with_the_reason(frame: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        decompress(frame)


def frame_of(descriptor: int, window: bytes, content_size: bytes, *blocks: bytes) -> bytes:
    """A frame made by hand, by RFC 8878, section 3.1.1."""
    return b"\x28\xb5\x2f\xfd" + bytes([descriptor]) + window + content_size + b"".join(blocks)


def block(kind: int, size: int, content: bytes) -> bytes:
    """The last block of a frame; kind 0: raw, 1: one byte over and over."""
    return struct.pack("<I", size << 3 | kind << 1 | 1)[:3] + content


TWO_BYTES = struct.pack("<H", PAGE_SIZE - 256)
"""PAGE_SIZE as a content size of two bytes."""


@pytest.mark.parametrize(
    "frame",
    [
        # The content is less, or more, than its size says.
        frame_of(0x60, b"", TWO_BYTES, block(0, 100, PAGE[:100])),
        frame_of(0x60, b"", TWO_BYTES, block(1, 5000, b"a")),
        frame_of(0x60, b"", TWO_BYTES, block(1, 120_000, b"a")),
        # A window of 128 MiB, or of 3.75 TiB, and the end is missing.
        frame_of(0x40, b"\x88", TWO_BYTES, block(0, PAGE_SIZE, PAGE[:-1])),
        frame_of(0x40, b"\xff", TWO_BYTES, block(0, PAGE_SIZE, PAGE[:-1])),
        # A content of 2**62 bytes, and of 1 GiB.
        frame_of(0xE0, b"", struct.pack("<Q", 2**62), block(1, 4096, b"a")),
        frame_of(0xA0, b"", struct.pack("<I", 2**30), block(1, 4096, b"a")),
    ],
)
def test_memory_is_not_taken_on_the_word_of_a_header(frame: bytes) -> None:
    decompress(compress(PAGE))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(20):
        with pytest.raises(ValueError, match=r"."):
            decompress(frame)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < 8 * MIB


def test_threads_do_not_share_what_must_not_be_shared() -> None:
    failures: list[int] = []
    begin = threading.Barrier(4)

    def work(number: int) -> None:
        pages = [mixed_page(number * 1000 + n, 40 * n) for n in range(50)]
        begin.wait(10)
        for _ in range(10):
            frames = [compress(page) for page in pages]
            if [decompress(frame) for frame in frames] != pages:
                failures.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []


WITHOUT = """
import sys
sys.modules["zstandard"] = sys.modules["zcache._native"] = None
from zcache import CacheConfig, ConfigError, PoolKind
from zcache.cache import Cache
from zcache.config import usable_codecs
from zcache.zstd import is_usable
from tests.zcache.pages import packed
cache = Cache(CacheConfig(foreign_bytes_max=2**20))
assert usable_codecs(zstd=is_usable()) == ("lz4", "none")
for attempt in (
    lambda: CacheConfig(codec="zstd"),
    lambda: cache.reconfigure(codec="zstd"),
    lambda: cache.create_pool(PoolKind.PERSISTENT, codec="zstd"),
):
    try:
        attempt()
    except ConfigError as error:
        print(error)
assert cache.stats().pools == 0
pool = cache.create_pool(PoolKind.PERSISTENT, foreign=True)
blobs = packed([(1, 1, b"frame")], encoding=3)
assert cache.adopt(pool, 1, blobs) == b"\\0"
assert cache.read_adopted(pool, 1, [1], [1]) == (b"\\1", blobs)
cache.verify()
"""


def test_without_the_package_it_is_refused_at_once_and_foreign_frames_are_kept() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"ZCACHE_BACKEND": "python"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    said = (
        "codec = 'zstd': accepted is one of: lz4, none "
        "(zstd needs the package zstandard: pip install 'ramster[zstd]')"
    )
    assert done.stdout.splitlines() == [said] * 3


WITH_NATIVE_ONLY = """
import sys
sys.modules["zstandard"] = None
from zcache import CacheConfig, ConfigError, PoolKind, zstd
from zcache.cache import Cache
import zcache.config
zcache.config.is_usable = lambda: True
config = CacheConfig(codec="zstd")
for attempt in (
    lambda: Cache(config),
    lambda: Cache().reconfigure(codec="zstd"),
    lambda: Cache().create_pool(PoolKind.EPHEMERAL, codec="zstd"),
):
    try:
        attempt()
    except ConfigError as error:
        print(error.key)
"""


def test_the_python_cache_refuses_what_only_the_native_one_can_do_here() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITH_NATIVE_ONLY],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"ZCACHE_BACKEND": "python"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stderr, done.stdout.splitlines()) == ("", ["codec"] * 3)
