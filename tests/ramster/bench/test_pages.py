"""Made pages: the wanted ratio, the exact share of same-filled ones, never near zero."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ramster.bench.page_templates import blob_length
from ramster.bench.pages import RATIO_LEAST, RATIO_MOST, corpus, made, stored_ratio
from zcache import PAGE_SIZE, Cache, CacheConfig, PoolKind, zstd

RATIOS = st.floats(RATIO_LEAST, RATIO_MOST).map(lambda ratio: round(ratio, 2))
SEEDS = st.integers(0, 2**32)


def pages_of(data: bytes) -> list[bytes]:
    assert len(data) % PAGE_SIZE == 0
    return [data[at : at + PAGE_SIZE] for at in range(0, len(data), PAGE_SIZE)]


def is_same_filled(page: bytes) -> bool:
    return page[8:] == page[:-8]


@settings(max_examples=15, deadline=None)
@given(RATIOS, SEEDS, st.integers(64, 200))
def test_the_ratio_is_hit_within_five_percent(ratio: float, seed: int, count: int) -> None:
    data = made(count, ratio, seed=seed)
    assert len(data) == count * PAGE_SIZE
    assert stored_ratio(data) == pytest.approx(ratio, rel=0.05)


@settings(max_examples=15, deadline=None)
@given(RATIOS, SEEDS, st.integers(0, 200), st.floats(0, 1))
def test_the_share_of_same_filled_pages_is_exact(
    ratio: float, seed: int, count: int, share: float
) -> None:
    pages = pages_of(made(count, ratio, seed=seed, same_filled=share))
    assert len(pages) == count
    assert sum(map(is_same_filled, pages)) == round(count * share)


@settings(max_examples=15, deadline=None)
@given(RATIOS, SEEDS, st.floats(0, 1))
def test_no_page_is_near_zero(ratio: float, seed: int, share: float) -> None:
    for page in pages_of(made(64, ratio, seed=seed, same_filled=share)):
        if is_same_filled(page):
            assert any(page)
        else:
            assert page.count(0) <= PAGE_SIZE // 2


@settings(max_examples=10, deadline=None)
@given(RATIOS, SEEDS, st.floats(0, 1))
def test_equal_arguments_make_equal_pages(ratio: float, seed: int, share: float) -> None:
    data = made(64, ratio, seed=seed, same_filled=share)
    assert data == made(64, ratio, seed=seed, same_filled=share)
    assert data != made(64, ratio, seed=seed + 1, same_filled=share)


def test_another_process_makes_the_same_pages() -> None:
    program = (
        "import sys; from ramster.bench.pages import made; "
        "sys.stdout.buffer.write(made(64, 3.0, seed=7, same_filled=0.1))"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert found.stdout == made(64, 3.0, seed=7, same_filled=0.1)


def test_no_page_comes_twice() -> None:
    pages = pages_of(made(3000, 10.0))
    assert len(set(pages)) == 3000


def test_the_cache_sees_the_ratio_and_the_same_filled_pages() -> None:
    cache = Cache(CacheConfig(codec="lz4"))
    pool = cache.create_pool(PoolKind.PERSISTENT)
    cache.put_many(pool, 1, range(256), made(256, 4.0, same_filled=0.25))
    stats = cache.stats()
    assert stats.pages_same_filled == 64
    assert stats.pages_local * PAGE_SIZE / stats.bytes_local == pytest.approx(4.0, rel=0.05)


def test_arguments_out_of_range_are_refused_with_what_is_accepted() -> None:
    with pytest.raises(ValueError, match=r"ratio 0\.9: accepted is 1\.0 to 10\.0"):
        made(1, 0.9)
    with pytest.raises(ValueError, match=r"ratio nan: accepted is"):
        made(1, float("nan"))
    with pytest.raises(ValueError, match=r"same_filled 1\.5: accepted is 0\.0 to 1\.0"):
        made(1, 2.0, same_filled=1.5)
    with pytest.raises(ValueError, match="count -1: accepted is 0 or more"):
        made(-1, 2.0)
    assert made(0, 2.0) == b""


def test_a_ratio_is_of_pages_that_are_not_same_filled() -> None:
    noise = os.urandom(2 * PAGE_SIZE)
    assert stored_ratio(noise + bytes(PAGE_SIZE)) == 1.0
    with pytest.raises(ValueError, match="no page"):
        stored_ratio(bytes(PAGE_SIZE))


def test_real_pages_compress_as_real_pages_do() -> None:
    assert 1.2 < stored_ratio(corpus(500)) < 4


def zstandard_gain(pages: list[bytes]) -> float:
    """Bytes of LZ4 blobs over bytes of Zstandard frames."""
    lz4 = sum(blob_length(page) for page in pages)
    return lz4 / sum(min(PAGE_SIZE, len(zstd.compress(page))) for page in pages)


@pytest.mark.skipif(not zstd.INSTALLED, reason="zstandard is not installed")
@pytest.mark.parametrize(("ratio", "least"), [(1.5, 1.15), (2.0, 1.2), (3.0, 1.25), (5.0, 1.25)])
def test_zstandard_gains_about_as_much_as_on_real_pages(ratio: float, least: float) -> None:
    real = zstandard_gain([page for page in pages_of(corpus(500)) if blob_length(page) < PAGE_SIZE])
    assert least < zstandard_gain(pages_of(made(256, ratio))) < real + 0.15
