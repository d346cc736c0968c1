"""The picture: what it says, and that it keeps its width whatever nodes say."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramster.top.frame import SORTS, WIDTH_MIN, View, ordered, picture
from ramster.top.history import History
from ramster.top.layout import plain
from tests.ramster.top.clusters import HOSTILE, answer_of, answers, figures_of, silent

OWN_GLYPHS = set("█▏▎▍▌▋▊▉·▁▂▃▄▅▆▇")


def shown(history: History, width: int = 100, now: float = 1.0, **view: Any) -> str:
    return plain(picture(history, View(url="http://a", **view), width, now))


def seen(*answers: dict[str, Any]) -> History:
    history = History()
    for at, answer in enumerate(answers):
        history.take(answer, float(at))
    return history


@given(
    st.lists(answers(), max_size=4),
    st.integers(1, 250),
    st.sampled_from(SORTS),
    st.booleans(),
    st.sampled_from(["", "a", HOSTILE]),
    st.booleans(),
)
def test_every_picture_is_plain_and_no_wider_than_its_terminal(
    said: list[dict[str, Any]], width: int, sort: str, alone: bool, chosen: str, fails: bool
) -> None:
    history = seen(*said)
    if fails:
        history.fail(HOSTILE, 9.0)
    view = View(url=HOSTILE, chosen=chosen, alone=alone, sort=sort)
    for line in picture(history, view, width, 10.0):
        text = "".join(cell.text for cell in line)
        assert len(text) <= max(width, WIDTH_MIN)
        assert all((c.isascii() and c.isprintable()) or c in OWN_GLYPHS for c in text)


def test_a_cluster_is_shown_with_its_nodes_pages_and_flows() -> None:
    before = answer_of(figures_of("a"), figures_of("b"))
    after = answer_of(
        figures_of(
            "a",
            cluster={"spill_pages": 1200, "spill_bytes": 2**20, "pages_fetched": 50},
            cache={"gets": 100, "get_hits": 75, "gets_away": 25, "get_misses": 0, "puts": 300},
            uptime_s=76.0,
        ),
        figures_of("b"),
    )
    text = shown(seen(before, after))
    assert "a at http://a  2 of 2 nodes answer" in text
    rows = [line.split() for line in text.splitlines()]
    assert ["a", "1.0k", "100", "0", "400", "0", "0", "0"] in rows
    (flow,) = [row for row in rows if row[:2] == ["a", "300"]]
    assert flow[2:8] == ["100", "75%", "25%", "0%", "1.2k", "1.0M"]
    assert "peers of a" in text
    assert "10.0.0.2:7777" in text


def test_a_node_that_does_not_answer_stands_with_its_reason() -> None:
    text = shown(seen(answer_of(figures_of("a"), silent("b", "connection refused"))))
    assert "1 of 2 nodes answer" in text
    assert "  b: connection refused" in text


def test_when_the_asked_node_is_silent_the_picture_is_grey_and_says_its_age() -> None:
    history = seen(answer_of(figures_of("a")))
    history.fail("no node answers at http://a/cluster: Connection refused", 5.0)
    lines = picture(history, View(url="http://a"), 100, 65.0)
    assert plain(lines[1:2]) == (
        "NO ANSWER for 1m0s, picture 1m5s old: no node answers: Connection refused\n"
    )
    assert lines[1][0].style == "bad"
    assert {cell.style for line in lines[2:] for cell in line} == {"dim"}


def test_before_the_first_answer_it_says_that_there_is_none() -> None:
    history = History()
    assert "NO ANSWER" not in shown(history)
    history.fail("no node answers", 1.0)
    assert "NO ANSWER for 2s: no node answers" in shown(history, now=3.0)


def test_one_node_alone_is_shown_with_all_there_is() -> None:
    history = seen(answer_of(figures_of("a"), figures_of("b")))
    text = shown(history, alone=True, chosen="b")
    assert "peers of b" in text
    assert "pages held by b for" in text
    assert not [line for line in text.splitlines() if line.startswith("a ")]


@pytest.mark.parametrize(
    ("sort", "names"), [("cluster", "cab"), ("name", "abc"), ("pool", "bca"), ("pages", "abc")]
)
def test_nodes_can_be_ordered(sort: str, names: str) -> None:
    nodes = [
        figures_of(name, pool={"used_bytes": used}, pages={"own": own})
        for name, used, own in (("c", 20, 1), ("a", 10, 3), ("b", 30, 2))
    ]
    assert "".join(track.name for track in ordered(seen(answer_of(*nodes)), sort)) == names


@pytest.mark.parametrize("sort", SORTS)
def test_nodes_that_do_not_answer_come_last_in_every_order(sort: str) -> None:
    nodes = [figures_of(name, pages={"own": own}) for name, own in (("a", 9), ("b", 1))]
    gone = figures_of("0", pages={"own": 99}, pool={"used_bytes": 2**20})
    history = seen(answer_of(gone, *nodes), answer_of(silent("0"), *nodes))
    assert [track.name for track in ordered(history, sort)] == ["a", "b", "0"]


def test_a_pool_without_any_sensible_limit_is_shown() -> None:
    odd = figures_of("b", pool={"used_bytes": 1e24, "limit_bytes": 5e-324})
    history = seen(answer_of(figures_of("a"), odd, silent("c")))
    assert " 999% " in shown(history)
    assert [track.name for track in ordered(history, "pool")] == ["b", "a", "c"]


def test_the_orders_take_turns() -> None:
    view, orders = View(), []
    for _ in SORTS:
        orders.append(view.sort)
        view = view.sorted_otherwise()
    assert tuple(orders) == SORTS
    assert view.sort == SORTS[0]


def test_a_paused_picture_says_so() -> None:
    assert "PAUSED" in shown(seen(answer_of(figures_of("a"))), paused=True)
    assert "PAUSED" not in shown(seen(answer_of(figures_of("a"))))


def test_an_old_picture_says_its_age() -> None:
    history = seen(answer_of(figures_of("a")))
    assert " old" not in shown(history, now=2.0)
    assert "  4s old" in shown(history, now=4.5)


def test_the_accounts_of_a_node_are_shown_whole_on_as_many_lines_as_they_need() -> None:
    said = "logical 12.0 MiB -> compressed 6.0 MiB -> frames 1.0 MiB here + " * 4
    text = shown(seen(answer_of(figures_of("a") | {"accounting": {"line": said}})), width=80)
    assert "memory of a" in text
    assert " ".join(said.split()) in " ".join(text.split())


def test_latency_is_shown_where_a_node_tells_it() -> None:
    put = {"bounds": [0.001, 0.002], "counts": [100, 0, 0]}
    told = figures_of("a") | {"latency": {"put": put, "get_remote": None}}
    text = shown(seen(answer_of(told, figures_of("b"))))
    rows = [line.split() for line in text.splitlines()]
    assert ["a", "500us", "990us"] in rows
    assert ["b", "-"] in rows
    assert "get away" not in text
    assert "latency" not in shown(seen(answer_of(figures_of("b"))))
