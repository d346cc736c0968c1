"""An owner and real lenders: where pages are, and what comes back."""

from __future__ import annotations

import asyncio
import random
import time

import pytest

from ramster.bench.lending import OBJECT, Owner, open_owner, pool_for, wait_until
from ramster.bench.pages import corpus
from zcache import PAGE_SIZE

pytest.importorskip("grpc")

PAGES = 2048


def with_owner(check, **settings) -> None:  # type: ignore[no-untyped-def]
    async def go() -> None:
        async with open_owner(PAGES, 4, seed=1, **settings) as owner:
            await check(owner)
            owner.check()

    asyncio.run(go())


def test_most_pages_of_a_small_pool_are_away_and_come_back_right() -> None:
    async def check(owner: Owner) -> None:
        await owner.put_all()
        await owner.settle()
        away = owner.away_shuffled(random.Random(1))
        assert sorted(away) == owner.away()
        assert PAGES // 2 < len(away) < PAGES
        seconds: list[float] = []
        runs = [range(page, page + 1) for page in away[:100]]
        await owner.fetch(runs, 4, seconds, time.perf_counter)
        assert len(seconds) == 100
        assert owner.figures()["cluster"]["remote_hits"] >= 100

    with_owner(check)


def test_with_two_replicas_each_lender_has_a_copy_of_each_page_that_left() -> None:
    async def check(owner: Owner) -> None:
        await owner.put_all()
        await owner.settle()
        away = len(owner.away())
        assert [peer["pages_away"] for peer in owner.figures()["peers"]] == [away, away]

    with_owner(check, lenders=2, replicas=2)


def test_a_page_that_was_changed_is_wrong() -> None:
    async def check(owner: Owner) -> None:
        await owner.put_all()
        await owner.node.store.put_many(owner.pool, OBJECT, (7,), b"\xaa\x55" * (PAGE_SIZE // 2))
        with pytest.raises(AssertionError, match="came back wrong"):
            await owner.fetch([range(7, 8)], 1, [], time.perf_counter)
        await owner.node.store.flush(owner.pool, OBJECT, 7)
        with pytest.raises(AssertionError, match="absent"):
            await owner.get(range(7, 8))

    with_owner(check)


def test_a_pool_for_half_of_the_data_is_half_of_one_for_all() -> None:
    data = corpus(4096, seed=1)
    assert 0 < pool_for(data, 1) < len(data)
    assert pool_for(data, 2) == pytest.approx(pool_for(data, 1) / 2, abs=PAGE_SIZE)
    assert pool_for(data, 3) % PAGE_SIZE == 0


def test_waiting_for_what_does_not_come_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ramster.bench.lending._WAIT_S", 0.01)
    with pytest.raises(AssertionError, match=r"nothing came within 0\.01 s"):
        asyncio.run(wait_until(lambda: False, "nothing came"))
