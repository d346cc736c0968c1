"""Dataclasses to JSON and back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramster.bench.typed_json import dump, load


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Inner:
    colour: Colour
    values: Mapping[str, bool | int | float | str]


@dataclass
class Outer:
    name: str
    inner: tuple[Inner, ...]
    samples: Mapping[str, Sequence[float]]
    share: float | None
    count: int = 3
    more: list[str] = field(default_factory=list)


OUTER = Outer("a", (Inner(Colour.RED, {"b": True, "i": 1, "f": 1.5, "s": "x"}),), {"x": [1.0]}, 0.5)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


@given(
    st.builds(
        Outer,
        name=st.text(),
        inner=st.lists(
            st.builds(
                Inner,
                colour=st.sampled_from(Colour),
                values=st.dictionaries(st.text(), st.booleans() | st.integers() | NUMBERS),
            )
        ).map(tuple),
        samples=st.dictionaries(st.text(), st.lists(NUMBERS)),
        share=st.none() | NUMBERS,
        count=st.integers(),
        more=st.lists(st.text()),
    )
)
def test_what_was_dumped_is_loaded_the_same(outer: Outer) -> None:
    assert load(Outer, json.loads(json.dumps(dump(outer)))) == outer


def test_plain_types_stay_what_they_are() -> None:
    values = load(Outer, dump(OUTER)).inner[0].values
    assert [type(value) for value in values.values()] == [bool, int, float, str]


def test_defaults_may_be_missing() -> None:
    content = dump(OUTER)
    del content["count"], content["more"]
    assert load(Outer, content) == OUTER


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": 1}, "name is 1, not text"),
        ({"count": True}, "count is True, not a whole number"),
        ({"count": 1.0}, "count is 1.0, not a whole number"),
        ({"share": "x"}, "share is 'x', not a number"),
        ({"share": float("nan")}, "share is nan, not a number"),
        ({"samples": []}, r"samples is \[\], not an object"),
        ({"samples": {"x": 1}}, "samples.x is 1, not a list"),
        ({"samples": {"x": [1, None]}}, r"samples.x\[1\] is None, not a number"),
        ({"inner": [{"colour": "green", "values": {}}]}, "'green', not one of: red, blue"),
        ({"inner": [{"colour": "red", "values": {"a": []}}]}, "values.a is .*true or false or"),
        ({"inner": [{"values": {}}]}, r"inner\[0\] has no colour"),
        ({"extra": 1}, "has what is not known here: extra"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_place(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        load(Outer, dump(OUTER) | change)


def test_what_is_no_object_is_refused() -> None:
    with pytest.raises(ValueError, match="it is 3, not an object"):
        load(Outer, 3)
