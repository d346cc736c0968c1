"""Peers, owners, latency and the accounting line of one node."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ramster.top.sections import accounting_line, owner_rows, peer_reasons, peer_rows
from tests.ramster.top.clusters import HOSTILE, figures_of


def test_a_peer_is_shown_with_its_health() -> None:
    (row,) = peer_rows(figures_of("a"))
    assert [cell.text for cell in row] == [
        *("b", "10.0.0.2:7777", "alive", "1.2ms", "1.0M", "400", "0s")
    ]
    assert peer_reasons(figures_of("a")) == []
    assert row[2].style == "good"


def test_a_peer_that_is_not_well_says_why() -> None:
    peer = {"node": None, "address": "x:1", "state": "refused", "reason": "other cluster"}
    (row,) = peer_rows({"peers": [peer]})
    assert [cell.text for cell in row] == [
        "?",
        "x:1",
        "refused",
        "-",
        "-",
        "-",
        "-",
    ]
    assert peer_reasons({"peers": [peer]}) == ["  x:1: other cluster"]
    assert row[2].style == "bad"


def test_a_peer_that_drains_is_shown_so() -> None:
    (row,) = peer_rows({"peers": [{"state": "alive", "draining": True}]})
    assert (row[2].text, row[2].style) == ("draining", "warn")


def test_owners_are_shown_with_their_pages() -> None:
    assert [[cell.text for cell in row] for row in owner_rows(figures_of("a"))] == [
        ["c", "7", "1s"]
    ]


@given(st.sampled_from([None, 3, HOSTILE, [HOSTILE], {"x": 1}, {HOSTILE: {"p50_s": 1}}]))
def test_what_makes_no_sense_is_no_row_or_harmless(value: object) -> None:
    figures = {"peers": value, "owners": value, "accounting": value}
    assert peer_rows(figures) == []
    assert owner_rows(figures) == []
    assert accounting_line(figures) == ""
