"""Pages that can be told apart."""

from __future__ import annotations

import pytest

from ramster.bench.stamped_pages import StampedPages, stamped
from zcache import PAGE_SIZE, Cache, CacheConfig, PoolKind

CONTENTS = stamped(2.5, seed=1, distinct=8)


def test_what_was_written_passes_and_all_else_says_what_it_is() -> None:
    page = CONTENTS.page(5, 3)
    assert len(page) == PAGE_SIZE
    CONTENTS.check(5, 3, page)
    CONTENTS.check(5, 3, memoryview(bytearray(page)))
    damaged = page[:-1] + bytes([page[-1] ^ 1])
    for wrong, words in (
        (CONTENTS.page(5, 2), "page 5 version 3 came back wrong: it is page 5 version 2"),
        (CONTENTS.page(13, 3), "it is page 13 version 3"),
        (bytes(PAGE_SIZE), "zeros"),
        (damaged, "its bytes are no page's"),
        (page[:100], "100 bytes"),
    ):
        with pytest.raises(AssertionError, match=words):
            CONTENTS.check(5, 3, wrong)


def test_runs_are_pages_back_to_back() -> None:
    run = CONTENTS.run(6, 4, 1)
    assert run == b"".join(CONTENTS.page(n, 1) for n in range(6, 10))
    CONTENTS.check_run(6, 4, 1, run)
    wrong = run[: 2 * PAGE_SIZE] + CONTENTS.page(8, 0) + run[3 * PAGE_SIZE :]
    with pytest.raises(AssertionError, match="page 8 version 1 came back wrong: it is page 8 vers"):
        CONTENTS.check_run(6, 4, 1, wrong)
    with pytest.raises(AssertionError, match=f"{5 * PAGE_SIZE} bytes came for 4 pages"):
        CONTENTS.check_run(6, 4, 1, run + run[:PAGE_SIZE])


def test_no_two_pages_are_equal_and_the_rest_takes_turns() -> None:
    contents = StampedPages(b"a" * PAGE_SIZE + b"b" * PAGE_SIZE)
    pages = [contents.page(n, v) for n in range(8) for v in range(3)]
    assert len(set(pages)) == 24
    assert contents.page(3)[16:] == b"b" * (PAGE_SIZE - 16)


@pytest.mark.parametrize("ratio", [1.3, 2.5])
def test_the_stamp_changes_little_of_the_ratio(ratio: float) -> None:
    contents = stamped(ratio, seed=2, distinct=64)
    cache = Cache(CacheConfig(pool_bytes_max=2**24))
    pool = cache.create_pool(PoolKind.PERSISTENT)
    cache.put_many(pool, 1, range(64), contents.run(0, 64))
    assert 64 * PAGE_SIZE / cache.stats().bytes_local == pytest.approx(ratio, rel=0.1)
