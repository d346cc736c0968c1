"""Sizes, durations and shares as texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramster.quantities import (
    format_duration,
    format_size,
    parse_count,
    parse_duration,
    parse_share,
    parse_size,
    show_size,
)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("4096", 4096),
        ("4096B", 4096),
        ("512K", 512 * 1024),
        ("512KiB", 512 * 1024),
        ("256MiB", 256 * 2**20),
        ("256 mib", 256 * 2**20),
        ("1.5G", 3 * 2**29),
        ("2TiB", 2**41),
        (12345, 12345),
    ],
)
def test_sizes_are_read_with_suffixes_of_1024(text: object, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "MiB", "-1", "1MB", "1kb", "1e3", "0.3", "1.0000001K", "1 M B", "٣", True, 1.5, -1]
)
def test_what_is_no_size_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_size(text)


@given(st.integers(0, 2**62))
def test_a_size_survives_being_written_and_read(size: int) -> None:
    assert parse_size(format_size(size)) == size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2", 2.0),
        ("2s", 2.0),
        ("500ms", 0.5),
        ("0.25", 0.25),
        ("1.5min", 90.0),
        ("1h", 3600.0),
        (3, 3.0),
    ],
)
def test_durations_are_read_with_units(text: object, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "-1", "0", "nan", "inf", "1m", "2 days", True, None])
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_duration(text)


def test_zero_is_a_duration_only_where_it_is_allowed() -> None:
    assert parse_duration("0", zero=True) == 0


@given(st.floats(1e-6, 1e9, allow_nan=False))
def test_a_duration_survives_being_written_and_read(seconds: float) -> None:
    rounded = round(seconds, 6)
    assert parse_duration(format_duration(rounded)) == rounded


@pytest.mark.parametrize("text", ["0", "1.01", "-0.5", "nan", "x", True, None])
def test_a_share_is_above_0_and_at_most_1(text: object) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_share(text)


def test_a_share_is_read_from_text_and_number() -> None:
    assert (parse_share("0.9"), parse_share(1), parse_share(0.25)) == (0.9, 1.0, 0.25)


@pytest.mark.parametrize("text", ["3", "17", "4.0", "", True, "٤"])
def test_a_count_keeps_within_its_bounds(text: object) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_count(text, least=4, most=16)


def test_a_count_is_read_from_text_and_number() -> None:
    assert (parse_count("8"), parse_count(8)) == (8, 8)


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (2**41, "2.0 TiB")]
)
def test_sizes_are_shown_rounded_for_people(size: int, text: str) -> None:
    assert show_size(size) == text
