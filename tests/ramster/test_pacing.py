"""How much may be on its way to a lender, as a function of its answers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ramster.lenders import Lender
from ramster.pacing import QUICK, SLOW, SLOW_S_MIN, SpillPacer

B, C = Lender("b", 1, 10), Lender("c", 2, 20)
BATCH = 1000
MOST = 8 * BATCH


def pacer() -> SpillPacer:
    return SpillPacer(BATCH, MOST)


def exchange(pace: SpillPacer, took_s: float, lender: Lender = B) -> int:
    """One batch and its answer; the window after it."""
    pace.sent(lender, BATCH)
    pace.answered(lender, BATCH, took_s)
    return pace.window_bytes(lender)


def test_a_lender_nothing_is_known_of_gets_the_whole_window() -> None:
    pace = pacer()
    assert pace.window_bytes(B) == MOST
    assert pace.admits(B, MOST)
    pace.sent(B, BATCH)
    assert pace.admits(B, MOST - BATCH)
    assert not pace.admits(B, MOST - BATCH + 1)


def test_one_batch_is_always_admitted_however_large() -> None:
    pace = pacer()
    assert pace.admits(B, 100 * MOST)
    pace.sent(B, BATCH)
    pace.failed(B, BATCH)
    assert pace.window_bytes(B) == BATCH
    assert pace.admits(B, 2 * BATCH), "nothing is on its way"


def test_a_missing_answer_leaves_one_batch_at_a_time() -> None:
    pace = pacer()
    exchange(pace, 0.001)
    pace.sent(B, BATCH)
    pace.failed(B, BATCH)
    assert pace.window_bytes(B) == BATCH
    pace.sent(B, BATCH)
    assert not pace.admits(B, 1)


def test_quick_answers_open_the_window_by_half_a_batch_each() -> None:
    pace = pacer()
    pace.sent(B, BATCH)
    pace.failed(B, BATCH)
    windows = [exchange(pace, 0.001) for _ in range(20)]
    assert windows[:4] == [1500, 2000, 2500, 3000]
    assert windows[-1] == MOST


def test_slow_answers_halve_it_down_to_one_batch() -> None:
    pace = pacer()
    exchange(pace, 0.1)
    windows = [exchange(pace, 0.1 * SLOW * 2) for _ in range(5)]
    assert windows == [4000, 2000, 1000, 1000, 1000]


def test_answers_neither_quick_nor_slow_leave_it_as_it_is() -> None:
    pace = pacer()
    pace.sent(B, BATCH)
    pace.failed(B, BATCH)
    before = exchange(pace, 0.1)
    for _ in range(3):
        assert exchange(pace, 0.1 * (QUICK + SLOW) / 2) == before


def test_no_answer_within_a_moment_counts_as_slow() -> None:
    pace = pacer()
    pace.sent(B, BATCH)
    pace.failed(B, BATCH)
    exchange(pace, 0.00001)
    before = pace.window_bytes(B)
    assert exchange(pace, SLOW_S_MIN) > before
    assert exchange(pace, SLOW_S_MIN * 1.1) < before


def test_a_path_that_became_longer_is_learnt() -> None:
    pace = pacer()
    exchange(pace, 0.01)
    windows = [exchange(pace, 0.5) for _ in range(300)]
    assert min(windows) == BATCH
    assert windows[-1] == MOST


def test_one_lenders_answers_say_nothing_of_another() -> None:
    pace = pacer()
    pace.sent(B, BATCH)
    pace.failed(B, BATCH)
    assert pace.window_bytes(C) == MOST
    pace.sent(B, BATCH)
    assert pace.admits(C, MOST)


def test_what_comes_after_a_lender_was_forgotten_counts_no_more() -> None:
    pace = pacer()
    for _ in range(3):
        pace.sent(B, BATCH)
    pace.forget(B)
    pace.answered(B, BATCH, 100.0)
    pace.failed(B, BATCH)
    assert pace.window_bytes(B) == MOST
    assert pace.admits(B, MOST)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["sent", "answered", "failed", "forget"]),
        st.sampled_from([B, C]),
        st.integers(1, 2 * BATCH),
        st.floats(0.0, 100.0),
    ),
    max_size=60,
)


@given(STEPS, st.integers(1, 20))
def test_the_window_is_within_its_bounds_whatever_the_answers(
    steps: list[tuple[str, Lender, int, float]], batches: int
) -> None:
    """And what is on its way is what was sent and has not ended."""
    most = batches * BATCH
    pace = SpillPacer(BATCH, most)
    under_way: dict[Lender, list[int]] = {B: [], C: []}
    for kind, lender, size, took_s in steps:
        sizes = under_way[lender]
        if kind == "sent":
            pace.sent(lender, size)
            sizes.append(size)
        elif kind == "forget":
            pace.forget(lender)
            sizes.clear()
        elif sizes and kind == "answered":
            pace.answered(lender, sizes.pop(0), took_s)
        elif sizes:
            pace.failed(lender, sizes.pop(0))
        for one, left in under_way.items():
            window = pace.window_bytes(one)
            assert BATCH <= window <= most
            fits = window - sum(left)
            assert pace.admits(one, BATCH) == (not left or fits >= BATCH)
            if left:
                assert not pace.admits(one, max(0, fits) + 1)
