"""What the demo found, as JSON and as a table."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import Any

import pytest

from ramster.config import Mode
from ramster.counters import ClusterCounters
from ramster.demo.report import DemoReport
from ramster.demo.workload import Phase
from ramster.snapshot import ClusterSnapshot
from tests.ramster.test_figures import CLUSTER, collected


def figures(**counters: int) -> dict[str, Any]:
    """Of an owner with 11 pages here and 3 at peer b; 10 of its pages have blobs."""
    cluster: ClusterSnapshot = replace(CLUSTER, counters=ClusterCounters(**counters))
    found = collected(Mode.RAMSTER, cluster)
    found["pages"]["away"] = 3
    return found


@pytest.fixture
def report() -> DemoReport:
    return DemoReport(
        data_bytes=14 * 4096,
        files=2,
        before=figures(),
        written=figures(local_hits=1, remote_hits=1),
        after=figures(local_hits=5, remote_hits=9),
        phases=[Phase("write", bytes_done=57344, seconds=0.5, latencies_s=[0.001] * 4)],
    )


def test_places_hits_and_success_are_read_from_the_figures(report: DemoReport) -> None:
    assert report.places == {"n": 11, "b": 3}
    assert report.hits == (4, 8)
    assert report.succeeded


def test_the_ratio_counts_what_lenders_hold_if_they_can_be_asked(report: DemoReport) -> None:
    here = report.after["bytes"]["compressed_here"]
    assert report.ratio == 10 * 4096 / here
    lender = copy.deepcopy(report.after)
    lender["bytes"]["foreign"] = 1000
    report.lenders["b"] = lender
    assert report.ratio == 13 * 4096 / (here + 1000)


def test_a_wrong_page_counts_once_however_often_it_was_read(report: DemoReport) -> None:
    report.phases += [Phase("a", wrong_pages={3, 4}), Phase("b", wrong_pages={4})]
    assert report.wrong_pages == 2
    assert not report.succeeded
    assert "  wrong pages: 2\n" in report.render()


def test_a_refused_request_is_a_failure_and_is_shown(report: DemoReport) -> None:
    report.phases.append(Phase("read", failures=["read at 0: lost"] * 30))
    assert not report.succeeded
    assert report.render().count("read at 0: lost") == 5
    found = report.as_dict()
    assert (found["failed_requests"], len(found["failures"])) == (30, 20)


def test_json_and_table_say_the_same(report: DemoReport) -> None:
    found = report.as_dict()
    assert json.loads(json.dumps(found)) == found
    assert (found["wrong_pages"], found["remote_hits"], found["local_hits"]) == (0, 8, 4)
    assert found["phases"][0]["bytes_per_second"] == 114688
    table = report.render()
    lines = [line.split() for line in table.splitlines()]
    assert ["node", "n", "here", "11", "79", "%"] in lines
    assert ["node", "b", "at", "a", "peer", "3", "21", "%"] in lines
    assert ["write", "56.0", "KiB", "0.1", "MB/s", "28", "1.0", "ms", "1.0", "ms"] in lines
    assert "  local hits: 4\n  remote hits: 8\n  wrong pages: 0\n  failed requests: 0" in table


def test_a_lone_node_has_local_hits_only(report: DemoReport) -> None:
    alone = collected(Mode.ZCACHE, None)
    later = copy.deepcopy(alone)
    later["cache"]["get_hits"] += 7
    report.written, report.after = alone, later
    assert report.hits == (7, 0)
    assert report.places == {"n": 11}
