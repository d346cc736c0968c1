"""What is foretold from a sample, beside what a cache takes for everything."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ramster.estimate import prediction
from ramster.estimate.files import sample_folder
from ramster.estimate.prediction import COLUMN_BYTES, count_zeros, measure, predict
from zcache import PAGE_SIZE, Cache, CacheConfig, PoolKind
from zcache.backend import BACKENDS
from zcache.zstd import INSTALLED

WORDS = [bytes([97 + a, 97 + b, 97 + c, 32]) for a in range(8) for b in range(8) for c in range(8)]


def page_of(kind: int, rng: random.Random) -> bytes:
    """Zeros, one word over and over, random bytes, or text of which some share is random."""
    if kind < 3:
        return (bytes(PAGE_SIZE), rng.randbytes(8) * 512, rng.randbytes(PAGE_SIZE))[kind]
    hard = rng.randrange(PAGE_SIZE)
    text = b"".join(rng.choice(WORDS) for _ in range((PAGE_SIZE - hard) // 4 + 1))
    return (rng.randbytes(hard) + text)[:PAGE_SIZE]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of 12000 pages whose compressibility goes file by file, as that of real ones does."""
    folder = tmp_path_factory.mktemp("tree")
    rng = random.Random(11)
    pages = 0
    while pages < 12000:
        count = rng.choice((1, 2, 5, 20, 100, 400))
        kinds = rng.choice(((0, 3), (1, 3, 3), (2,), (3,), (3,), (3,)))
        place = folder / f"d{pages % 7}" / f"f{pages}"
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(b"".join(page_of(rng.choice(kinds), rng) for _ in range(count)))
        pages += count
    return folder


def everything(folder: Path, codec: str) -> tuple[int, int]:
    """(frames, bytes of index) of a cache that holds every page of every file."""
    cache = Cache(CacheConfig(pool_bytes_max=2**30, codec=codec))
    pool = cache.create_pool(PoolKind.PERSISTENT)
    index = 0
    for path in sorted(folder.rglob("f*")):
        data = path.read_bytes()
        count = len(data) // PAGE_SIZE
        cache.put_many(pool, 1, range(index, index + count), data)
        index += count
    stats = cache.stats()
    return stats.frames_used, stats.metadata_bytes


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_sample_foretells_the_pool_of_all_files_within_5_per_cent(
    tree: Path, codec: str, seed: int
) -> None:
    if codec == "zstd" and Cache is BACKENDS["python"] and not INSTALLED:
        pytest.skip("the package zstandard is not installed")
    sample = sample_folder(str(tree), 4096, random.Random(seed))
    foretold = predict(measure(sample.pages, codec), sample.pages_total, random.Random(seed))
    frames, metadata = everything(tree, codec)
    assert foretold.pool.value == pytest.approx(frames * PAGE_SIZE, rel=0.05)
    assert foretold.pool.low <= frames * PAGE_SIZE * 1.01
    assert foretold.pool.high >= frames * PAGE_SIZE * 0.99
    assert foretold.metadata_bytes == pytest.approx(metadata, rel=0.2)
    # A node with the suggested limit holds everything below its high watermark.
    assert frames * PAGE_SIZE <= foretold.pool_limit * CacheConfig().high_watermark * 1.01


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=200), st.integers(0, 2**32))
def test_a_sample_that_is_everything_foretells_exactly_what_the_cache_took(
    kinds: list[int], seed: int
) -> None:
    rng = random.Random(seed)
    pages = bytearray(b"".join(page_of(kind, rng) for kind in kinds))
    measured = measure(pages, "lz4")
    foretold = predict(measured, len(kinds), rng)
    taken = measured.frames * PAGE_SIZE
    assert (foretold.pool.low, foretold.pool.value, foretold.pool.high) == (taken, taken, taken)
    assert foretold.compressed.value == measured.compressed_bytes
    assert foretold.metadata_bytes == measured.metadata_bytes
    columns = len(measured.lengths) * COLUMN_BYTES
    assert foretold.spill_bytes == measured.compressed_bytes + columns
    assert foretold.saved_bytes == len(pages) - taken - measured.metadata_bytes


def test_kinds_of_pages_are_told_apart() -> None:
    rng = random.Random(1)
    kinds = [0] * 5 + [1] * 4 + [2] * 3
    pages = bytearray(b"".join(page_of(kind, rng) for kind in kinds))
    pages += b"".join(rng.choice(WORDS) for _ in range(2 * 1024))
    measured = measure(pages, "lz4")
    assert count_zeros(pages) == 5
    assert (measured.pages, measured.same_filled, measured.incompressible) == (14, 9, 3)
    assert len(measured.lengths) == 5
    assert sorted(measured.lengths)[-3:] == [PAGE_SIZE] * 3
    assert measured.all_lengths()[:9] == [0] * 9
    assert measured.put_us > 0
    assert measured.get_us > 0


def test_same_filled_pages_alone_need_no_pool() -> None:
    measured = measure(bytearray(100 * PAGE_SIZE), "lz4")
    foretold = predict(measured, 10**6, random.Random(1))
    assert measured.ratio is None
    assert (foretold.pool.value, foretold.pool.high, foretold.spill_bytes) == (0, 0, 0)
    assert foretold.pool_limit == 2**20


@pytest.mark.skipif("native" not in BACKENDS, reason="the native core is not there")
@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_both_backends_foretell_the_same(codec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if codec == "zstd" and not INSTALLED:
        pytest.skip("the package zstandard is not installed")
    rng = random.Random(4)
    pages = bytearray(b"".join(page_of(rng.randrange(4), rng) for _ in range(300)))
    found = {}
    for name, backend in BACKENDS.items():
        monkeypatch.setattr(prediction, "Cache", backend)
        measured = measure(pages, codec)
        foretold = predict(measured, 5000, random.Random(9))
        found[name] = (sorted(measured.lengths), measured.frames, foretold.pool)
    assert found["native"] == found["python"]


def test_more_pages_narrow_the_interval() -> None:
    rng = random.Random(5)
    pages = bytearray(b"".join(page_of(3, rng) for _ in range(1600)))
    widths = []
    for count in (100, 400, 1600):
        measured = measure(pages[: count * PAGE_SIZE], "lz4")
        pool = predict(measured, 10**6, random.Random(5)).pool
        assert pool.low <= pool.value <= pool.high
        widths.append(pool.high - pool.low)
    assert widths[0] > 1.5 * widths[1] > 2 * widths[2]
