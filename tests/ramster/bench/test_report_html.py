"""The page of a report."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import ClassVar

from ramster.bench.report_html import page
from ramster.bench.report_model import Report, build
from tests.support.bench_results import made

RATES = [100.0, 103, 98, 101, 99, 102, 100]
EVIL = "<script>alert(1)</script>"


class Page(HTMLParser):
    """Tags that are open, tags there were, links and targets, text."""

    VOID: ClassVar = {"meta", "br"}

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.targets: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name == "href":
                self.links.append(value or "")
            if name == "id":
                self.targets.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def shown(report: Report) -> Page:
    charts = {
        (section.name, chart.workload, chart.figure.name): "<svg></svg>"
        for section in report.sections
        for chart in section.charts
    }
    return Page(page(report, charts))


def test_it_says_what_was_measured_on_what_and_who_wins() -> None:
    result = made(
        "a",
        {
            "nothing n=1": {"put_pages_s": [4 * v for v in RATES], "pool_bytes": [4096.0] * 7},
            "zcache n=1": {"put_pages_s": RATES, "pool_bytes": [2048.0] * 7},
        },
        skipped={"redis n=1": "there is no redis-server"},
    )
    found = shown(build([result], 5))
    assert found.open == []
    assert found.tags.count("svg") == 2
    for text in (
        "RAMster benchmarks: a",
        "a processor, 2 cores, virtual",
        "0.1.0, native cache",
        "of 2 comparisons 1 are better, 1 worse, and 0 undecided",
        "zcache against nothing",
        "What it does, for tests.",
        "there is no redis-server",
        "-75.0 %",
        "+50.0 %",
    ):
        assert text in found.text, text
    assert {link.removeprefix("#") for link in found.links} <= set(found.targets)


def test_what_went_to_nothing_and_came_from_it_is_said_so() -> None:
    values = {"nothing": {"pool_bytes": [5.0] * 7}, "zcache": {"pool_bytes": [0.0] * 7}}
    assert "to 0pool_bytes" in shown(build([made("a", values)], 5)).text
    values = {"nothing": {"pool_bytes": [0.0] * 7}, "zcache": {"pool_bytes": [5.0] * 7}}
    assert "from 0pool_bytes" in shown(build([made("a", values)], 5)).text


def test_what_differs_between_results_is_told_of_each() -> None:
    one = made("before", {"zcache": {"put_pages_s": RATES}}, session="s")
    two = made("after", {"zcache": {"put_pages_s": RATES}}, session="s", complete=False)
    two.versions = {**two.versions, "backend": "python"}
    text = shown(build([one, two], 5)).text
    assert "before: 0.1.0, native cache; after: 0.1.0, python cache" in text
    assert "after is partial: its run was interrupted" in text
    assert "No figure is, by more than the threshold" in text


def test_it_takes_nothing_from_elsewhere_and_believes_no_result() -> None:
    result = made(EVIL, {f"zcache {EVIL}=1": {"put_pages_s": RATES}}, skipped={"redis": EVIL})
    result.machine = {"model": EVIL, "cores": 2}
    result.versions = dict.fromkeys(("python", "ramster", "lz4", "commit"), EVIL)
    found = shown(build([result], 5))
    assert "script" not in found.tags
    assert "link" not in found.tags
    assert all(link.startswith("#") for link in found.links)
    assert found.text.count(EVIL) > 4
