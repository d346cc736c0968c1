"""Rows of the table of metrics."""

from __future__ import annotations

from ramster.metrics.row import MetricRow, by, one


def test_the_name_says_whether_it_is_a_counter() -> None:
    assert one("ramster_x_total", "X.", "x").type == "counter"
    assert one("ramster_x", "X.", "x").type == "gauge"


def test_a_histogram_is_scraped_under_three_names() -> None:
    row = MetricRow("ramster_x_seconds", "X.", (), lambda _: (), is_histogram=True)
    assert row.type == "histogram"
    assert row.scraped_names == (
        "ramster_x_seconds_bucket",
        "ramster_x_seconds_sum",
        "ramster_x_seconds_count",
    )


def test_a_figure_is_found_at_its_path_and_is_absent_where_it_is_null() -> None:
    row = one("ramster_x", "X.", "a", "b")
    assert list(row.samples({"a": {"b": True}})) == [((), 1.0)]
    assert list(row.samples({"a": {"b": None}})) == []
    assert list(row.samples({"a": None})) == []


def test_outcomes_become_values_of_a_label() -> None:
    row = by("ramster_x_total", "X.", "how", "a", {"good": "x_good", "bad": "x_bad"})
    assert list(row.samples({"a": {"x_good": 2, "x_bad": 3}})) == [(("good",), 2.0), (("bad",), 3)]
    assert list(row.samples({"a": None})) == []
