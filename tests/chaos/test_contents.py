"""Pages' contents: distinct, as compressible as they claim, and able to say what they are."""

from __future__ import annotations

import lz4.block

from tests.chaos.contents import PAGE_BYTES, ZEROS, content, describe, noise


def test_contents_follow_from_seed_page_and_version() -> None:
    pages = {content(seed, page, v) for seed in (1, 2) for page in range(40) for v in (1, 2)}
    # Pages of one repeated word do not carry the seed: a run has one cluster.
    assert len(pages) > 150
    assert content(1, 5, 3) == content(1, 5, 3)
    assert {len(page) for page in pages} == {PAGE_BYTES}
    assert ZEROS not in pages


def test_about_three_in_four_pages_compress_to_half() -> None:
    pages = [content(7, page, 1) for page in range(2000)]
    sizes = [len(lz4.block.compress(page, store_size=False)) for page in pages]
    assert 0.65 < sum(1800 < size < 2300 for size in sizes) / 2000 < 0.85
    assert 0.10 < sum(size >= PAGE_BYTES for size in sizes) / 2000 < 0.25
    assert 0.03 < sum(page == page[:8] * 512 for page in pages) / 2000 < 0.15


def test_a_page_says_what_it_is() -> None:
    for page in range(60):
        assert f"version 4 of page {page}" in describe(content(9, page, 4))
    assert describe(ZEROS) == "zeros"
    assert "version 1 of page 3" in describe(noise(9, 3, 1))
    damaged = bytearray(noise(9, 3, 1))
    damaged[-1] ^= 1
    assert "no page that was ever written" in describe(bytes(damaged))
