"""Numbers as people read them."""

from __future__ import annotations

import pytest

from ramster.bench.notation import show_factor, show_number, show_p, show_percent


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (7, "7"),
        (182345.4, "182 345"),
        (1000, "1 000"),
        (-2500, "-2 500"),
        (999.96, "1000.0"),
        (123.456, "123.5"),
        (12.3456, "12.35"),
        (1.23456, "1.235"),
        (0.0123456, "0.01235"),
        (0.0000123, "1.2e-05"),
    ],
)
def test_numbers_have_four_digits_or_are_whole(value: float, text: str) -> None:
    assert show_number(value) == text


def test_percentages_factors_and_chances() -> None:
    assert show_percent(12.34) == "+12.3 %"
    assert show_percent(12.34, signed=False) == "12.3 %"
    assert show_percent(-0.04) == show_percent(0.0) == "0.0 %"
    assert show_percent(-1234.5) == "-1234 %"
    assert (show_percent(None), show_p(None)) == ("-", "-")
    assert (show_p(0.0004), show_p(0.0123), show_p(1)) == ("<0.001", "0.012", "1.000")
    assert (show_factor(1.2345), show_factor(0.391), show_factor(1234)) == (
        "1.23 x",
        "0.391 x",
        "1234 x",
    )
