from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from ramster.nbd.page_claims import Claim, PageClaims
from tests.ramster.nbd.serving import run


def test_shared_claims_on_the_same_pages_do_not_wait() -> None:
    claims = PageClaims()
    assert not claims.claim(0, 10, exclusive=False).must_wait
    assert not claims.claim(5, 6, exclusive=False).must_wait


def test_exclusive_claims_wait_for_whoever_overlaps() -> None:
    claims = PageClaims()
    shared = claims.claim(0, 10, exclusive=False)
    inside = claims.claim(9, 10, exclusive=True)
    beside = claims.claim(10, 11, exclusive=True)
    assert inside.must_wait
    assert not beside.must_wait
    claims.release(shared)
    assert not inside.must_wait


def test_a_shared_claim_does_not_overtake_an_exclusive_one_that_waits() -> None:
    claims = PageClaims()
    first = claims.claim(0, 1, exclusive=False)
    waiting = claims.claim(0, 1, exclusive=True)
    late = claims.claim(0, 1, exclusive=False)
    assert late.must_wait
    claims.release(first)
    assert not waiting.must_wait
    assert late.must_wait
    claims.release(waiting)
    assert not late.must_wait


def test_a_claim_given_up_while_waiting_holds_nobody_up() -> None:
    async def scenario() -> None:
        claims = PageClaims()
        first = claims.claim(0, 1, exclusive=True)
        second = claims.claim(0, 1, exclusive=True)
        third = claims.claim(0, 1, exclusive=True)
        waiter = asyncio.ensure_future(second.granted())
        await asyncio.sleep(0)
        waiter.cancel()
        await asyncio.gather(waiter, return_exceptions=True)
        claims.release(second)
        assert third.must_wait
        claims.release(first)
        await third.granted()
        claims.release(third)
        assert len(claims) == 0

    run(scenario())


RANGES = st.tuples(st.integers(0, 20), st.integers(1, 8), st.booleans())


@given(st.lists(st.one_of(RANGES, st.integers(0, 30)), max_size=60))
def test_no_two_granted_claims_conflict_and_all_are_granted_in_the_end(
    steps: list[tuple[int, int, bool] | int],
) -> None:
    """A tuple makes a claim; a number releases one, granted or not."""
    claims = PageClaims()
    live: list[Claim] = []

    def check() -> None:
        granted = [claim for claim in live if not claim.must_wait]
        for at, one in enumerate(granted):
            for other in granted[at + 1 :]:
                overlap = one.start < other.stop and other.start < one.stop
                assert not (overlap and (one.exclusive or other.exclusive))
        if live:
            assert granted, "a deadlock"

    for step in steps:
        if isinstance(step, tuple):
            start, length, exclusive = step
            live.append(claims.claim(start, start + length, exclusive=exclusive))
        elif live:
            claims.release(live.pop(step % len(live)))
        check()
    while live:
        ready = next(claim for claim in live if not claim.must_wait)
        live.remove(ready)
        claims.release(ready)
        check()
    assert len(claims) == 0
