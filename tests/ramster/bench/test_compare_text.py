"""A comparison as text and as JSON."""

from __future__ import annotations

import json

from ramster.bench.compare import compare_results
from ramster.bench.compare_text import as_json, render
from tests.support.bench_results import made

RATES = [100.0, 103, 98, 101, 99, 102, 100]

BASE = made("before", {"zcache n=1": {"put_pages_s": RATES, "pool_bytes": [0.0] * 7}}, session="s")
SLOW = made(
    "after",
    {"zcache n=1": {"put_pages_s": [v / 2 for v in RATES], "pool_bytes": [9.0] * 7}},
    session="s",
)
COMPARISON = compare_results([BASE, SLOW], 5)


def test_the_text_is_grouped_and_aligned() -> None:
    assert render(COMPARISON) == TEXT


def test_every_cell_of_a_column_ends_or_begins_in_the_same_place() -> None:
    lines = [line for line in render(COMPARISON).splitlines() if line.startswith("     ")]
    assert len({line.index("before") for line in lines if "before" in line}) <= 1
    assert max(map(len, render(COMPARISON).splitlines())) <= 110


def test_the_same_as_json() -> None:
    found = json.loads(json.dumps(as_json(COMPARISON), allow_nan=False))
    assert (found["names"], found["worse"], found["better"]) == (["before", "after"], 2, 0)
    row = found["rows"][0]
    assert row["case"]["label"] == "n=1"
    assert row["figure"]["unit"] == "pages/s"
    assert row["cells"][1]["verdict"] == "worse"
    assert row["cells"][1]["spread"]["rounds"] == 7
    # What grew from nothing grew by no number of percent.
    assert found["rows"][1]["cells"][1]["change_percent"] is None
    assert found["geometric_means"]["tested"]["after"] == 0.5


def test_where_nothing_is_comparable_it_says_so() -> None:
    other = made("other", {"nothing n=1": {"put_pages_s": RATES}}, session="s")
    text = render(compare_results([made("empty", {}, skipped={"zcache": "why"}), other], 5))
    assert "there is nothing to compare" in text
    assert "0 figures compared" in text


TEXT = """\
after against before: round by round
gain: percent better (+) or worse (-) than the first; p: corrected for the number of
figures; *: p below 0.05 and more than 5 % apart

tested
    figure                          mean  min    max     cv     gain       p
  mix n=1 (zcache)
    put_pages_s [pages/s]  before  100.4   98    103  1.7 %
                           after   50.20   49  51.50  1.7 %  -50.0 %  <0.001  * worse
    pool_bytes [bytes]     before      0    0      0      -
                           after       9    9      9  0.0 %        -  <0.001  * worse

geometric mean of all figures, times as good as before:
  tested  after 0.5 x
2 figures compared: 0 better, 2 worse by more than 5 %"""
