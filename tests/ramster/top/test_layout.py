"""Lines, columns, bars and short numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramster.top.layout import (
    Cell,
    Column,
    bar,
    line,
    plain,
    show_bytes,
    show_count,
    show_seconds,
    show_span,
    sparkline,
    table,
)

NUMBERS = st.none() | st.floats(0, 1e24)
COLUMNS = st.lists(
    st.builds(Column, st.sampled_from(["", "title"]), st.integers(1, 20), st.booleans(),
              st.integers(0, 40)),
    min_size=1, max_size=10,
)  # fmt: skip


@given(NUMBERS)
def test_short_numbers_are_short(value: float | None) -> None:
    assert len(show_count(value)) <= 5
    assert len(show_bytes(value)) <= 5
    assert len(show_seconds(value)) <= 6
    assert len(show_span(value)) <= 6


@pytest.mark.parametrize(
    ("show", "value", "shown"),
    [
        (show_count, None, "-"),
        (show_count, 0, "0"),
        (show_count, 999.4, "999"),
        (show_count, 999.6, "1.0k"),
        (show_count, 34_000, "34k"),
        (show_bytes, 256 * 2**20, "256M"),
        (show_bytes, 1000, "1000"),
        (show_bytes, 1.5 * 2**30, "1.5G"),
        (show_seconds, 0.000085, "85us"),
        (show_seconds, 0.0012, "1.2ms"),
        (show_seconds, 2.5, "2.5s"),
        (show_span, 59, "59s"),
        (show_span, 190, "3m10s"),
        (show_span, 7260, "2h1m"),
        (show_span, 90_000, "1d1h"),
        (show_span, 1e12, "years"),
    ],
)
def test_numbers_for_people(show, value, shown) -> None:  # type: ignore[no-untyped-def]
    assert show(value) == shown


@given(st.none() | st.floats(-1, 2), st.integers(0, 40))
def test_a_bar_has_its_width(share: float | None, width: int) -> None:
    assert len(bar(share, width)) == width


def test_a_bar_is_filled_to_its_share() -> None:
    assert bar(0.5, 4) == "██··"
    assert bar(0.6, 4) == "██▍·"
    assert bar(1.0, 4) == "████"
    assert bar(None, 4) == "····"


@given(st.lists(st.floats(0, 1e12), max_size=70), st.integers(0, 60))
def test_a_sparkline_has_its_width(values: list[float], width: int) -> None:
    assert len(sparkline(values, width)) == width


def test_a_sparkline_goes_from_zero_to_the_largest() -> None:
    assert sparkline([0, 1, 50, 100], 6) == "  ▁▂▅█"
    assert sparkline([0, 0], 2) == "▁▁"
    assert sparkline([9, 1, 1], 2) == "██"


@given(st.integers(20, 200), COLUMNS, st.text(alphabet="ab", max_size=50), st.integers(0, 5))
def test_no_line_of_a_table_is_wider_than_the_terminal(
    width: int, columns: list[Column], text: str, rows: int
) -> None:
    lines = table(width, columns, [[Cell(text)] * len(columns)] * rows)
    assert len(lines) == rows + 1
    assert all(len(shown) <= width for shown in plain(lines).splitlines())
    assert len({sum(len(cell.text) for cell in one) for one in lines}) == 1


def test_what_is_too_long_is_cut_and_what_does_not_fit_is_left_out() -> None:
    columns = [Column("name", 4, True), Column("pages", 5), Column("more", 9)]
    assert plain(table(12, columns, [[Cell("long name"), Cell("7"), Cell("x")]])).splitlines() == [
        "name pages",
        "lon~     7",
    ]
    assert plain([line(5, Cell("abc"), Cell("defg"), Cell("h"))]) == "abcde\n"
