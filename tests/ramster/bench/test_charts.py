"""Charts as SVG and PNG."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

from ramster.bench.charts import as_png, as_svg, colours
from ramster.bench.report_model import Chart, build
from tests.support.bench_results import made

NAMES = ("nothing", "zcache")


def chart(label: str, *rows: list[float]) -> Chart:
    values = {
        f"{name} {label}": {"put_pages_s": row} for name, row in zip(NAMES, rows, strict=False)
    }
    return build([made("a", values)], 5).sections[0].charts[0]


def svg_of(one: Chart) -> ElementTree.Element:
    return ElementTree.fromstring(as_svg(one, colours(NAMES), "a"))


@pytest.mark.parametrize(
    "rows",
    [
        ([100.0, 110, 105], [50.0, 55, 45]),
        ([100.0, 110, 105], [1.0, 2, 3]),
        ([0.0, 0, 0],),
        ([-1.0, 0, 2], [5.0]),
        ([1e-9, 2e-9, 3e-9], [1e12]),
    ],
)
def test_any_numbers_make_a_picture(rows: tuple[list[float], ...]) -> None:
    one = chart("n=1", *rows)
    assert svg_of(one).tag.endswith("svg")
    assert as_png(one, colours(NAMES)).startswith(b"\x89PNG\r\n")


def test_an_svg_has_every_round_the_labels_and_no_colour_of_its_own_for_text() -> None:
    rows = ([100.0, 110, 105, 102], [50.0, 55, 45, 51])
    svg = as_svg(chart("n=1", *rows), colours(NAMES), "a")
    for text in ("n=1", "nothing", "zcache", "pages/s (more is better)"):
        assert text in svg
    assert "currentColor" in svg
    assert "#010203" not in svg
    for colour in colours(NAMES).values():
        uses = [use for use in svg.split("<use ")[1:] if colour in use.split("/>")[0]]
        assert len(uses) >= 4


def test_an_svg_fits_its_page_and_says_what_it_is() -> None:
    svg = svg_of(chart("n=1", [1.0, 2, 3]))
    assert "width" not in svg.attrib
    assert svg.attrib["viewBox"].startswith("0 0 ")
    assert svg.attrib["aria-label"] == "put_pages_s"


def test_the_same_chart_is_the_same_file() -> None:
    one = chart("n=1", [1.0, 2, 3])
    assert as_svg(one, colours(NAMES), "a") == as_svg(one, colours(NAMES), "a")


def test_text_is_neither_markup_nor_mathematics() -> None:
    svg = as_svg(chart("a=<b>&$x^2$", [1.0, 2, 3]), colours(NAMES), "a")
    assert "a=&lt;b&gt;&amp;$x^2$" in svg


def test_names_keep_their_colours_and_nothing_is_plain() -> None:
    found = colours(("nothing", "zcache", "redis"))
    assert len(set(found.values())) == 3
    assert found["zcache"] == colours(NAMES)["zcache"]
