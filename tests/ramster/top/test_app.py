"""The live view, driven by Textual's pilot: against real nodes, and against hostile answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

pytest.importorskip("textual")

from textual.pilot import Pilot
from textual.widgets import Static

from ramster.stats_client import StatsError
from ramster.top.app import Help, TopApp, styled
from ramster.top.layout import Cell
from ramster.top.source import fetch_cluster
from tests.ramster.top.clusters import HOSTILE, answer_of, figures_of, silent
from tests.support.three_nodes import three_nodes, write_pages

Condition = Callable[[], bool]


def text_of(app: TopApp) -> str:
    """The picture as it stands on the screen."""
    return str(app.query_one("#picture", Static).visual)


def drawn(app: TopApp) -> str:
    """The screen as it is drawn."""
    return app.export_screenshot().replace("&#160;", " ")


async def until(pilot: Pilot[None], condition: Condition) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await pilot.pause(0.02)


class Nodes:
    """A source whose answers a test sets."""

    def __init__(self, *nodes: dict[str, Any]) -> None:
        self.answer: dict[str, Any] | None = answer_of(*nodes)
        self.defect: Exception | None = None
        self.asked = 0

    def __call__(self) -> dict[str, Any]:
        self.asked += 1
        if self.defect is not None:
            raise self.defect
        if self.answer is None:
            raise StatsError("no node answers at http://a")
        return self.answer


def run(nodes: Nodes, work: Callable[[TopApp, Pilot[None]], Any], width: int = 100) -> None:
    """Drive an app that asks ``nodes`` every 100 ms."""

    async def go() -> None:
        app = TopApp(nodes, "http://a", 0.1)
        async with app.run_test(size=(width, 40)) as pilot:
            await until(pilot, lambda: nodes.asked > 0 and "node " in text_of(app))
            await work(app, pilot)

    asyncio.run(go())


def test_a_running_cluster_is_shown_and_the_picture_outlives_it() -> None:
    async def go(url: str, node_url: str, stop: Callable[[], None]) -> None:
        app = TopApp(partial(fetch_cluster, url), url, 0.05)
        async with app.run_test(size=(100, 50)) as pilot:
            await until(pilot, lambda: "alive" in text_of(app))
            await write_pages(node_url)
            await until(pilot, lambda: "▁" in text_of(app) and "█" in text_of(app))
            assert "a at http://127.0.0.1" in text_of(app)
            assert "serving" in text_of(app)
            assert {"b", "c"} <= set(text_of(app).split())
            stop()
            await until(pilot, lambda: "old: no node answers" in text_of(app))
            assert "NO ANSWER for" in text_of(app)
            assert "serving" in text_of(app)

    with three_nodes() as (owner, _, nbd):
        asyncio.run(go(owner.ready["http"], nbd, lambda: owner.__exit__(None, None, None)))


def test_q_quits() -> None:
    async def work(app: TopApp, pilot: Pilot[None]) -> None:
        await pilot.press("q")
        await until(pilot, lambda: not app.is_running)

    run(Nodes(figures_of("a")), work)


def test_p_stops_asking_and_goes_on() -> None:
    nodes = Nodes(figures_of("a"))

    async def work(app: TopApp, pilot: Pilot[None]) -> None:
        await pilot.press("p")
        await until(pilot, lambda: not app.asking)
        assert "PAUSED" in text_of(app)
        asked = nodes.asked
        await pilot.pause(0.2)
        assert nodes.asked == asked
        await pilot.press("p")
        await until(pilot, lambda: nodes.asked > asked)
        assert "PAUSED" not in text_of(app)

    run(nodes, work)


def test_s_sorts() -> None:
    async def work(app: TopApp, pilot: Pilot[None]) -> None:
        assert text_of(app).index("zoe ") < text_of(app).index("amy ")
        await pilot.press("s")
        assert "by name" in text_of(app)
        lines = [line.split(" ")[0] for line in text_of(app).splitlines()]
        assert lines.index("amy") < lines.index("zoe")

    run(Nodes(figures_of("zoe"), figures_of("amy")), work)


def test_arrows_choose_a_node_and_enter_shows_it_alone() -> None:
    async def work(app: TopApp, pilot: Pilot[None]) -> None:
        assert "peers of a" in text_of(app)
        await pilot.press("down")
        assert "peers of b" in text_of(app)
        await pilot.press("down")
        assert "peers of a" in text_of(app)
        await pilot.press("up", "enter")
        assert "pages held by b for" in text_of(app)
        assert not [line for line in text_of(app).splitlines() if line.startswith("a ")]
        await pilot.press("escape")
        assert [line for line in text_of(app).splitlines() if line.startswith("a ")]

    run(Nodes(figures_of("a"), figures_of("b")), work)


def test_the_question_mark_helps() -> None:
    async def work(app: TopApp, pilot: Pilot[None]) -> None:
        await pilot.press("question_mark")
        assert isinstance(app.screen, Help)
        await pilot.press("x")
        await until(pilot, lambda: not isinstance(app.screen, Help))

    run(Nodes(figures_of("a")), work)


def test_without_answers_the_last_picture_is_grey_until_there_is_one() -> None:
    nodes = Nodes(figures_of("a"))

    async def work(app: TopApp, pilot: Pilot[None]) -> None:
        nodes.answer = None
        await until(pilot, lambda: "NO ANSWER" in text_of(app))
        assert "serving" in text_of(app)
        nodes.answer = answer_of(figures_of("a"), silent("b"))
        await until(pilot, lambda: "NO ANSWER" not in text_of(app))
        assert "1 of 2 nodes answer" in text_of(app)

    run(nodes, work)


def test_an_answer_that_ends_in_a_defect_is_named_and_it_is_asked_again() -> None:
    nodes = Nodes(figures_of("a"))

    async def work(app: TopApp, pilot: Pilot[None]) -> None:
        nodes.defect = RecursionError("too deep")
        await until(pilot, lambda: "cannot be used: RecursionError: too deep" in text_of(app))
        nodes.defect = None
        await until(pilot, lambda: "NO ANSWER" not in text_of(app))

    run(nodes, work)


@pytest.mark.parametrize("width", [80, 100, 200])
def test_names_of_nodes_are_neither_escapes_nor_markup(width: int) -> None:
    peers = [{"node": "[bold red]x[/]", "address": HOSTILE, "state": "dead", "reason": HOSTILE}]

    async def work(app: TopApp, pilot: Pilot[None]) -> None:
        assert "[bold red]x[/]"[:10] in text_of(app)
        await until(pilot, lambda: "?[2J?]0" in drawn(app))
        assert "\x1b" not in drawn(app)

    run(Nodes(figures_of("a", peers=peers), silent("b", HOSTILE)), work, width)


def test_styles_do_not_change_the_text() -> None:
    shown = styled([(Cell("[b]a", "bad"), Cell(" c")), (Cell("d", "no such style"),)])
    assert shown.plain == "[b]a c\nd\n"
