import pytest
from hypothesis import given
from hypothesis import strategies as st
from xxhash import xxh3_64_intdigest

from tests.zcache.pages import ZERO, mixed_page, random_page, same_page, text_page
from zcache import PAGE_SIZE, BadHandleError, CorruptPageError, Encoding, zstd
from zcache.codec import (
    ENCODINGS,
    decode,
    encode_many,
    encode_page,
    pages_view,
    same_filled_page,
)

HUGE = 3625


@given(
    st.lists(st.tuples(st.integers(0, 2**32), st.integers(0, 4096)), max_size=5),
    st.sampled_from(["lz4", "zstd", "none"]),
)
def test_pages_survive_encoding(rows: list[tuple[int, int]], codec: str) -> None:
    """Behaviour 2: encode and decode are inverse."""
    pages = [mixed_page(seed, noise) for seed, noise in rows]
    view = pages_view(b"".join(pages), len(pages))
    blobs, checksums = encode_many(view, codec, HUGE, refuse=False)
    for page, blob, checksum in zip(pages, blobs, checksums, strict=True):
        if isinstance(blob, int):
            assert same_filled_page(blob) == page
        else:
            assert blob is not None
            encoding = Encoding.RAW if len(blob) == PAGE_SIZE else ENCODINGS[codec]
            assert len(blob) == PAGE_SIZE or len(blob) < HUGE
            assert checksum == xxh3_64_intdigest(blob)
            assert decode(blob, encoding, checksum) == page


@pytest.mark.parametrize("codec", ["lz4", "zstd", "none"])
@pytest.mark.parametrize("refuse", [True, False])
@pytest.mark.parametrize(
    "page",
    [ZERO, same_page(5), text_page(1), random_page(1), bytes(8) + random_page(2)[16:] + bytes(8)],
)
def test_one_page_is_encoded_as_in_a_batch(page: bytes, refuse: bool, codec: str) -> None:
    blobs, checksums = encode_many(memoryview(page), codec, HUGE, refuse=refuse)
    one = encode_page(memoryview(page), codec, HUGE, refuse=refuse and codec != "none")
    assert one == (blobs[0], checksums[0])
    assert encode_page(memoryview(page), codec, HUGE, refuse=refuse) == one


@given(st.integers(0, 2**64 - 1))
def test_a_repeated_word_is_found(word: int) -> None:
    """Behaviour 35: any repeated 8-byte word."""
    blobs, _ = encode_many(memoryview(same_page(word)), "lz4", HUGE, refuse=True)
    assert blobs == [word]
    assert decode(word.to_bytes(8, "little"), Encoding.SAME, _sum(word)) == same_page(word)


def _sum(word: int) -> int:
    return int(xxh3_64_intdigest(word.to_bytes(8, "little")))


@pytest.mark.parametrize("at", [0, 7, 8, 2048, 4087, 4095])
def test_one_other_byte_makes_it_no_same_filled_page(at: int) -> None:
    page = bytearray(ZERO)
    page[at] = 1
    blobs, _ = encode_many(memoryview(page), "lz4", HUGE, refuse=False)
    assert isinstance(blobs[0], bytes)


def test_refused_pages_are_none() -> None:
    """Behaviour 81: only where the codec compresses at all."""
    view = memoryview(random_page(1) + text_page(1))
    for codec in ("lz4", "zstd"):
        blobs, _ = encode_many(view, codec, HUGE, refuse=True)
        assert blobs[0] is None
        assert isinstance(blobs[1], bytes)
    blobs, _ = encode_many(view, "none", HUGE, refuse=True)
    assert blobs[0] == random_page(1)


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_nothing_but_the_very_blob_decodes(codec: str) -> None:
    """Behaviour 82: an error for every damage, never other bytes."""
    page = text_page(3)
    (blob,), (checksum,) = encode_many(memoryview(page), codec, HUGE, refuse=False)
    assert isinstance(blob, bytes)
    for damaged in (blob[:-1], blob + b"x", b"", bytes(len(blob)), blob[:9] + b"x" + blob[10:]):
        with pytest.raises(CorruptPageError):
            decode(damaged, ENCODINGS[codec], checksum)


@pytest.mark.parametrize(
    ("blob", "encoding"),
    [
        (b"\xff\xff\xff\xff", Encoding.LZ4),
        (b"\x10a", Encoding.LZ4),
        (bytes(4095), Encoding.RAW),
        (bytes(7), Encoding.SAME),
        (b"\xff\xff\xff\xff", Encoding.ZSTD),
        (zstd.compress(bytes(4095)), Encoding.ZSTD),
        (text_page(1), Encoding.ZSTD),
    ],
)
def test_a_blob_that_is_no_page_fails_though_its_checksum_holds(
    blob: bytes, encoding: Encoding
) -> None:
    """Behaviour 82: verified by checksum, and by what comes out."""
    with pytest.raises(CorruptPageError):
        decode(blob, encoding, xxh3_64_intdigest(blob))


def test_views_of_other_shapes_are_flattened_or_refused() -> None:
    grid = memoryview(bytearray(text_page(1))).cast("B", (64, 64))
    assert bytes(pages_view(grid, 1)) == text_page(1)
    with pytest.raises(BadHandleError):
        pages_view(ZERO, 2)
    with pytest.raises(BadHandleError):
        pages_view(memoryview(bytes(2 * PAGE_SIZE))[::2], 1)
