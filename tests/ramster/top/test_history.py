"""Rates, shares and nodes that come and go."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ramster.top.history import History, rise
from tests.ramster.top.clusters import answer_of, answers, figures_of, silent


def played(*samples: dict[str, Any]) -> History:
    """The history of one node whose counters are these, a second apart."""
    history = History()
    for at, counters in enumerate(samples):
        cluster = {key: value for key, value in counters.items() if key.startswith("spill")}
        cache = {key: value for key, value in counters.items() if key not in cluster}
        node = figures_of("a", cluster=cluster, cache=cache, uptime_s=75.0 + at)
        history.take(answer_of(node), float(at))
    return history


def test_a_rate_is_a_difference_over_time() -> None:
    history = History()
    for at, pages in ((10.0, 100), (12.0, 700)):
        node = figures_of("a", cluster={"spill_pages": pages}, uptime_s=at)
        history.take(answer_of(node), at + 1)
    assert history.tracks["a"].rates["spill_pages"] == 300
    assert list(history.tracks["a"].sparks["spill_pages"]) == [300]


def test_time_is_that_of_the_node_and_an_answer_told_twice_is_one() -> None:
    history = History()
    for at, uptime_s, pages in ((1.0, 50.0, 100), (2.0, 50.0, 100), (2.1, 52.0, 700)):
        node = figures_of("a", cluster={"spill_pages": pages}, uptime_s=uptime_s)
        history.take(answer_of(node), at)
    assert list(history.tracks["a"].sparks["spill_pages"]) == [300]
    assert history.has_rates
    history.take(answer_of(node), 3.0)
    assert history.tracks["a"].rates["spill_pages"] == 300


def test_without_an_uptime_the_time_of_the_answers_is_taken() -> None:
    history = History()
    for at, pages in ((1.0, 100), (3.0, 300)):
        node = figures_of("a", cluster={"spill_pages": pages}, uptime_s=None)
        history.take(answer_of(node), at)
    assert history.tracks["a"].rates["spill_pages"] == 100


def test_what_goes_to_the_file_and_comes_from_it_counts_as_what_peers_have() -> None:
    history = History()
    for at in (0, 1):
        file = {"pages_written": 7, "bytes_written": 70, "pages_read": 5, "bytes_read": 50}
        cluster = {"spill_pages": 100, "spill_bytes": 1000, "pages_fetched": 20, "fetch_bytes": 200}
        node = figures_of(
            "a",
            cluster={key: at * count for key, count in cluster.items()},
            uptime_s=75.0 + at,
        )
        node["writeback"] = {key: at * count for key, count in file.items()}
        history.take(answer_of(node), float(at))
    rates = history.tracks["a"].rates
    found = [rates[f"{flow}_{unit}"] for flow in ("spill", "fetch") for unit in ("pages", "bytes")]
    assert found == [107, 1070, 25, 250]


def test_the_first_answer_has_no_rates() -> None:
    history = played({"spill_pages": 100})
    assert history.tracks["a"].rates == {}
    assert not history.has_rates


def test_a_counter_that_is_not_told_has_no_rate() -> None:
    history = played({"spill_pages": None}, {"spill_pages": 5}, {"spill_pages": 7})
    assert history.tracks["a"].rates["spill_pages"] == 2
    assert "fetch_bytes" not in history.tracks["a"].rates


def test_a_node_that_restarts_has_risen_to_where_it_is() -> None:
    history = played({"spill_pages": 1000})
    node = figures_of("a", cluster={"spill_pages": 40}, uptime_s=4.0)
    history.take(answer_of(node), 9.0)
    assert history.tracks["a"].rates["spill_pages"] == 10  # 40 pages in its 4 seconds


@given(st.floats(0, 1e24), st.floats(0, 1e24))
def test_no_counter_ever_falls(before: float, after: float) -> None:
    assert 0 <= rise(before, after) <= after


@given(st.lists(st.tuples(answers(), st.floats(0.001, 10)), max_size=6))
def test_whatever_nodes_say_rates_and_shares_make_sense(
    steps: list[tuple[dict[str, Any], float]],
) -> None:
    history, at = History(), 0.0
    for answer, pause in steps:
        at += pause
        history.take(answer, at)
        for track in history.tracks.values():
            assert all(rate >= 0 and math.isfinite(rate) for rate in track.rates.values())
            for part in ("hits", "away", "misses"):
                share = track.share(part, "hits", "away", "misses")
                assert share is None or 0 <= share <= 1
            assert track.name.isprintable()
            assert track.name.isascii()


def test_shares_are_those_of_late() -> None:
    of = ("hits", "away", "misses")
    before = {"get_hits": 1000, "gets_away": 0, "get_misses": 0}
    history = played(before)
    assert history.tracks["a"].share("hits", *of) == 1
    history = played(before, {"get_hits": 1010, "gets_away": 30, "get_misses": 0})
    assert history.tracks["a"].share("hits", *of) == 0.25
    assert played({}).tracks["a"].share("hits", *of) is None


def test_a_node_that_ceases_to_answer_keeps_its_figures_and_has_no_rates() -> None:
    history = played({"spill_pages": 1}, {"spill_pages": 3})
    history.take(answer_of(silent("a", "gone\nfar")), 2.0)
    track = history.tracks["a"]
    assert (track.answers, track.state, track.reason) == (False, "dead", "gone?far")
    assert track.rates == {}
    assert track.figures["name"] == "a"
    history.take(answer_of(figures_of("a", cluster={"spill_pages": 7}, uptime_s=80.0)), 5.0)
    assert history.tracks["a"].rates["spill_pages"] == 1  # 4 pages in 4 s, since it was heard


def test_nodes_that_are_gone_from_the_answer_are_gone() -> None:
    history = History()
    history.take(answer_of(figures_of("a"), figures_of("b")), 0.0)
    history.take(answer_of(figures_of("b"), figures_of("c")), 1.0)
    assert list(history.tracks) == ["b", "c"]


def test_two_nodes_of_one_name_are_two() -> None:
    history = History()
    history.take(answer_of(figures_of("a"), figures_of("a"), silent("a")), 0.0)
    assert list(history.tracks) == ["a", "a#2", "a#3"]


def test_without_an_answer_the_picture_stays() -> None:
    history = played({}, {})
    history.fail("no node\x1b answers", 3.0)
    history.fail("still none", 4.0)
    assert (history.failure, history.failing_since, history.taken_at) == ("still none", 3.0, 1.0)
    assert list(history.tracks) == ["a"]
    history.take(answer_of(figures_of("a")), 5.0)
    assert (history.failure, history.failing_since) == ("", None)
    history.fail("no node\x1b answers", 6.0)
    assert history.failure == "no node? answers"
