"""Reading figures that somebody else sent."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramster.top.reading import NUMBER_MAX, mappings, number, safe, section, text

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from("abc") | st.text(), inner),
    max_leaves=20,
)


@given(JSON, st.lists(st.sampled_from("abc")))
def test_anything_is_read_as_a_number_that_makes_sense_or_none(figures, path) -> None:  # type: ignore[no-untyped-def]
    value = number(figures, *path)
    assert value is None or 0 <= value <= NUMBER_MAX


@given(JSON, st.lists(st.sampled_from("abc")))
def test_anything_is_read_as_text_fit_for_a_terminal(figures, path) -> None:  # type: ignore[no-untyped-def]
    value = text(figures, *path)
    assert value.isascii()
    assert value.isprintable()


@given(JSON, st.lists(st.sampled_from("abc")))
def test_anything_is_read_as_objects(figures, path) -> None:  # type: ignore[no-untyped-def]
    assert isinstance(section(figures, *path), dict)
    assert all(isinstance(item, dict) for item in mappings(figures, *path))


def test_what_is_there_is_read() -> None:
    figures = {"a": {"b": 3, "c": "text"}, "d": [{"e": 1}, "no object"]}
    assert number(figures, "a", "b") == 3
    assert text(figures, "a", "c") == "text"
    assert section(figures, "a") == {"b": 3, "c": "text"}
    assert mappings(figures, "d") == [{"e": 1}]


@pytest.mark.parametrize("value", [True, "3", None, -1, math.nan, math.inf, [3], 10**30])
def test_what_is_no_number_of_anything_is_none(value: object) -> None:
    assert number({"a": value}, "a") is None


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("\x1b[31mred", "?[31mred"),
        ("two\nlines\r", "two?lines?"),
        ("wide \u5bbd", "wide ?"),
        ("\u202eback", "?back"),
        ("[bold]kept[/bold]", "[bold]kept[/bold]"),
    ],
)
def test_escapes_and_wide_characters_are_question_marks(hostile: str, shown: str) -> None:
    assert safe(hostile) == shown
