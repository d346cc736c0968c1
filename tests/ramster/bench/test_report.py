"""A report on disk."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from ramster.bench.report import write_report
from ramster.errors import BenchError
from tests.support.bench_results import made

RESULT = made(
    "a",
    {
        "nothing": {"put_pages_s": [4.0, 5, 6], "pool_bytes": [9.0, 9, 9]},
        "zcache": {"put_pages_s": [1.0, 2, 3], "pool_bytes": [3.0, 3, 3]},
    },
)


def test_it_is_a_page_and_each_chart_in_two_formats(tmp_path: Path) -> None:
    path = write_report([RESULT], tmp_path / "report", 5)
    assert path == tmp_path / "report" / "report.html"
    text = path.read_text()
    assert text.count("<svg ") == 2
    assert "http://" not in text.replace("http://www.w3.org/", "")
    assert "https://" not in text
    charts = sorted(child.name for child in (tmp_path / "report" / "charts").iterdir())
    assert charts == [
        f"tested_mix_{figure}.{kind}"
        for figure in ("pool_bytes", "put_pages_s")
        for kind in ("png", "svg")
    ]
    for child in (tmp_path / "report" / "charts").glob("*.svg"):
        assert ElementTree.parse(child).getroot().tag.endswith("svg")


def test_an_older_report_is_replaced(tmp_path: Path) -> None:
    first = write_report([RESULT], tmp_path, 5).read_text()
    assert write_report([RESULT], tmp_path, 5).read_text() == first


def test_where_it_cannot_be_written_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BenchError, match="cannot be written"):
        write_report([RESULT], tmp_path / "file", 5)
