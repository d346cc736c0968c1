"""The rate limit of events: how many lines pass, and that none is left out in silence."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from ramster.log_limits import BURST, EVERY_S, LineLimit
from tests.support.hand_clock import HandClock

EVENTS = st.sampled_from(["peer_dead", "store_full"])
SUBJECTS = st.sampled_from("abcdef")
PAUSES = st.sampled_from([0.0, 0.0, 0.001, 1.0, EVERY_S, 3 * EVERY_S, 2 * BURST * EVERY_S])
HISTORIES = st.lists(st.tuples(PAUSES, EVENTS, SUBJECTS), max_size=200)


def play(
    history: list[tuple[float, str, str]], subjects_max: int
) -> list[tuple[float, str, str, int | None]]:
    clock = HandClock()
    limit = LineLimit(clock.now, subjects_max=subjects_max)
    outcomes = []
    for pause, event, subject in history:
        clock.seconds += pause
        outcomes.append((clock.seconds, event, subject, limit.admit(event, subject)))
    return outcomes


@given(HISTORIES, st.sampled_from([1, 3, 1024]))
def test_any_time_holds_no_more_than_a_burst_and_its_share(
    history: list[tuple[float, str, str]], subjects_max: int
) -> None:
    lines: dict[tuple[str, str], list[float]] = {}
    for at, event, subject, held_back in play(history, subjects_max):
        if held_back is not None:
            lines.setdefault((event, subject), []).append(at)
    for times in lines.values():
        for first in range(len(times)):
            for last in range(first, len(times)):
                allowed = BURST + (times[last] - times[first]) / EVERY_S
                # A subject may have used the shared bucket before it got one of its own.
                shares = 1 if subjects_max == 1024 else 2
                assert last - first + 1 <= shares * allowed + 1e-6


@given(HISTORIES, st.sampled_from([1, 3, 1024]))
def test_what_is_left_out_is_told_by_later_lines_and_never_more(
    history: list[tuple[float, str, str]], subjects_max: int
) -> None:
    left_out: Counter[str] = Counter()
    told: Counter[str] = Counter()
    for _, event, _, held_back in play(history, subjects_max):
        if held_back is None:
            left_out[event] += 1
        else:
            told[event] += held_back
        assert told[event] <= left_out[event]


@given(HISTORIES)
def test_with_room_for_every_subject_each_line_tells_all_that_was_left_out_before_it(
    history: list[tuple[float, str, str]],
) -> None:
    left_out: Counter[tuple[str, str]] = Counter()
    for _, event, subject, held_back in play(history, 1024):
        if held_back is None:
            left_out[event, subject] += 1
        else:
            assert held_back == left_out.pop((event, subject), 0)


def test_a_burst_passes_then_one_line_every_so_often() -> None:
    history = [(0.0, "e", "s")] * 30 + [(EVERY_S, "e", "s"), (0.0, "e", "s"), (EVERY_S, "e", "s")]
    outcomes = [held_back for *_, held_back in play(history, 1024)]
    assert outcomes == [0] * BURST + [None] * 20 + [20, None, 1]


def test_subjects_beyond_the_limit_share_one_bucket() -> None:
    history = [(0.0, "e", str(number)) for number in range(1000)]
    passed = [subject for _, _, subject, held_back in play(history, 5) if held_back is not None]
    assert passed == [str(number) for number in range(5 + BURST)]


def test_a_subject_that_was_quiet_makes_place_and_what_it_held_back_is_not_forgotten() -> None:
    flood = [(0.0, "e", "old")] * (BURST + 7)
    history = [*flood, (2 * BURST * EVERY_S, "e", "new"), (0.0, "e", "newer")]
    outcomes = [held_back for *_, held_back in play(history, 1)]
    assert outcomes[-2:] == [0, 7]  # "newer" finds no place and writes through the shared bucket
