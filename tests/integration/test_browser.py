"""The status page of a running cluster, in a real browser."""

from __future__ import annotations

import asyncio
import copy
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from ramster.config import Mode
from ramster.peer_figures import encode_figures
from ramster.rpc import PeerServer
from ramster.status_page import PAGE_PATHS
from tests.ramster.test_figures import CLUSTER, collected
from tests.support.browser import Browser, browser
from tests.support.grpc_peers import LENDER_INCARNATION, lender
from tests.support.serving import ServeProcess
from tests.support.three_nodes import LENDER, POOL, write_pages

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

WILD = "<i id=wild>c</i>"
"""What a peer calls itself may be any text; on the page it must stay one."""

QUICK = ("--suspect-after", "300ms", "--dead-after", "1s")


class Cluster(NamedTuple):
    a: ServeProcess
    b: ServeProcess
    c: ServeProcess

    @property
    def url(self) -> str:
        return self.a.ready["http"]


@contextmanager
def cluster() -> Iterator[Cluster]:
    """Node a with a block device, and two lenders."""
    with ServeProcess(*LENDER, "--name", "b") as b, ServeProcess(*LENDER, "--name", "c") as c:
        peers = [word for node in (b, c) for word in ("--peer", node.wait_ready()["peers"])]
        disk = ("--nbd", "tcp://127.0.0.1:0", "--export", "disk=12MiB")
        flags = (*POOL, *QUICK, "--pool-limit", "1MiB", *peers, *disk, "--name", "a")
        with ServeProcess(*flags) as a:
            a.wait_ready()
            yield Cluster(a, b, c)


@pytest.fixture(scope="module")
def window() -> Iterator[Browser]:
    with browser() as window:
        yield window


def until(window: Browser, what: Callable[[], Any], seconds: float = 60) -> Any:
    """Wait until something is true of the page, and return it."""
    from selenium.webdriver.support.wait import WebDriverWait

    return WebDriverWait(window.driver, seconds, poll_frequency=0.1).until(lambda _: what())


def cards(window: Browser) -> dict[str, tuple[str, str]]:
    """Mood and text of each node's card."""
    rows: list[list[str]] = window.run(
        "return [...document.querySelectorAll('.node')].map("
        "card => [card.dataset.node, card.dataset.mood, card.innerText])"
    )
    return {name: (mood, text) for name, mood, text in rows}


def text_of(window: Browser, selector: str) -> str:
    found: str = window.run("return document.querySelector(arguments[0]).innerText", selector)
    return found


def too_wide(window: Browser, width: int, *, dark: bool) -> list[str]:
    """Elements that stand out of the page at a width, and the page itself if it scrolls."""
    window.resize(width, 900, dark=dark)
    found: list[str] = window.run(
        "const wide = [...document.querySelectorAll('body *')].filter(e => "
        "e.getBoundingClientRect().right > innerWidth + 0.5);"
        "if (document.documentElement.scrollWidth > innerWidth) wide.push(document.body);"
        "return wide.map(e => e.tagName + '.' + e.className + ' ' + e.textContent.slice(0, 40))"
    )
    assert window.run("return innerWidth") == width
    return found


def states(window: Browser) -> dict[str, str]:
    return {name: mood for name, (mood, _) in cards(window).items()}


def test_the_page_shows_the_cluster_live_and_loads_nothing_from_elsewhere(
    window: Browser,
) -> None:
    with cluster() as nodes:
        window.resize(1280, 900)
        window.requests()
        window.driver.get(f"{nodes.url}/")
        until(window, lambda: states(window) == {"a": "good", "b": "good", "c": "good"})
        assert text_of(window, "#live") == "live"
        assert text_of(window, "#tiles .tile b") == "0\N{NO-BREAK SPACE}B"

        asyncio.run(write_pages(nodes.a.ready["nbd"]))
        until(window, lambda: text_of(window, "#tiles .tile b") == "11.7\N{NO-BREAK SPACE}MiB")
        until(window, lambda: "at peers" in cards(window)["a"][1])
        until(window, lambda: "for others" in cards(window)["c"][1])
        until(window, lambda: "logical 11.7 MiB -> compr" in text_of(window, "#account-line"))
        until(window, lambda: len(drawn(window)) > 10)
        for width in (1280, 390):
            assert too_wide(window, width, dark=width == 390) == []
        assert window.complaints() == []

        os.kill(nodes.c.pid, signal.SIGKILL)
        until(window, lambda: states(window) == {"a": "good", "b": "good", "c": "bad"})
        assert "connect" in cards(window)["c"][1]
        until(window, lambda: text_of(window, "#live") == "1 node in trouble")
        until(window, lambda: "pages unreachable" in cards(window)["a"][1])
        for width in (1280, 390):
            assert too_wide(window, width, dark=False) == []
        assert window.complaints() == []
        asked = {url.removeprefix(nodes.url) for url in window.requests()}
        assert asked <= {*PAGE_PATHS, "/cluster", "/history"}, asked
        assert asked >= {"/", "/page/page.js", "/cluster", "/history"}


def drawn(window: Browser) -> str:
    """The line of the first chart."""
    line: str = window.run("return document.querySelector('.chart .stroke').getAttribute('d')")
    return line or ""


def test_the_page_says_when_its_node_stops_answering_and_when_it_does_again(
    window: Browser,
) -> None:
    with ServeProcess("--name", "alone") as node:
        window.driver.get(f"{node.wait_ready()['http']}/")
        until(window, lambda: text_of(window, "#live") == "live")
        # A lone node has no peers to list.
        assert window.run("return document.getElementById('peers-section').hidden")
        node.signal(signal.SIGSTOP)
        until(window, lambda: "Node alone has not answered since" in text_of(window, "#alarm"))
        assert text_of(window, "#live") == "not answering"
        node.signal(signal.SIGCONT)
        until(window, lambda: text_of(window, "#live") == "live")
        assert window.run("return document.getElementById('alarm').hidden")


TIMERS = """
window.pending = new Set();
const start = window.setTimeout, stop = window.clearTimeout;
window.setTimeout = (call, ...rest) => {
  const id = start(() => { window.pending.delete(id); call(); }, ...rest);
  window.pending.add(id);
  return id;
};
window.clearTimeout = (id) => { window.pending.delete(id); stop(id); };
window.show = (hidden) => {
  Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
  document.dispatchEvent(new Event('visibilitychange'));
};
"""
"""Lets a test see whether the page means to look again, and hide it."""


def test_a_page_that_is_not_seen_does_not_look_and_looks_again_when_it_is(
    window: Browser,
) -> None:
    script = window.driver.execute_cdp_cmd(
        "Page.addScriptToEvaluateOnNewDocument", {"source": TIMERS}
    )
    try:
        with ServeProcess("--name", "alone") as node:
            window.driver.get(f"{node.wait_ready()['http']}/")
            until(window, lambda: window.run("return pending.size === 1"))
            window.run("show(true)")
            until(window, lambda: window.run("return pending.size === 0"))
            since = node_uptime(window)
            window.run("show(false)")
            until(window, lambda: window.run("return pending.size === 1"))
            until(window, lambda: node_uptime(window) != since)
    finally:
        window.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)


def node_uptime(window: Browser) -> str:
    return text_of(window, ".node .about")


@contextmanager
def rogue_peer(**changes: Any) -> Iterator[str]:
    """The address of a peer whose every text is wild, in a thread of this process.

    ``changes``: fields of its figures, by section, that are something else yet.
    """
    wild: Any = copy.deepcopy(collected(Mode.RAMSTER, CLUSTER))
    wild |= {"name": WILD, "state": WILD, "version": WILD, "backend": "constructor"}
    wild["accounting"]["line"] = wild["peers"][0]["reason"] = WILD
    wild["cluster"]["incarnation"] = f"{LENDER_INCARNATION:016x}"
    for key, value in changes.items():
        wild[key] = {**wild[key], **value} if isinstance(value, dict) else value
    handler = lender("rogue", figures=lambda: encode_figures(wild))
    honest = handler.on_hello
    handler.on_hello = lambda hello: replace(honest(hello), node=WILD)  # type: ignore[method-assign]
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = PeerServer(handler)
    try:
        start = server.start("127.0.0.1:0")
        yield asyncio.run_coroutine_threadsafe(start, loop).result(30)
        asyncio.run_coroutine_threadsafe(server.stop(0), loop).result(30)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_what_a_peer_says_is_shown_as_text_and_never_as_a_part_of_the_page(
    window: Browser,
) -> None:
    with rogue_peer() as address, ServeProcess(*POOL, "--name", "a", "--peer", address) as node:
        window.driver.get(f"{node.wait_ready()['http']}/")
        until(window, lambda: WILD in cards(window) and "compressed" in text_of(window, "#tiles"))
        assert window.run("return document.getElementById('wild')") is None
        assert WILD in text_of(window, "#nodes")
        assert WILD in text_of(window, "#peers")
        assert text_of(window, "#live") == "live"
        assert too_wide(window, 390, dark=False) == []
        assert window.complaints() == []


@pytest.mark.parametrize(
    "changes",
    [
        {"latency": {"put": {"bounds": [], "counts": [5]}}},
        {"writeback": {"bytes_written": {"toString": 1}}},
    ],
    ids=["latency", "writeback"],
)
def test_a_peer_whose_figures_make_no_sense_spoils_only_its_own_card(
    window: Browser, changes: dict[str, Any]
) -> None:
    with (
        rogue_peer(**changes) as address,
        ServeProcess(*POOL, "--name", "a", "--peer", address) as node,
    ):
        window.driver.get(f"{node.wait_ready()['http']}/")
        until(window, lambda: "accepted is" in cards(window).get(WILD, ("", ""))[1])
        since = node_uptime(window)
        until(window, lambda: node_uptime(window) != since)
        assert states(window)["a"] == "good"
        assert text_of(window, "#live") == "1 node silent"
        assert window.complaints() == []


ALTER = """
const alter = (said) => { FAULT };
window.fetched ??= window.fetch;
window.fetch = async (path, ...rest) => {
  const answer = await window.fetched(path, ...rest);
  if (path !== '/cluster') return answer;
  const said = await answer.json();
  alter(said);
  return new Response(JSON.stringify(said));
};
"""


def alter(window: Browser, fault: str) -> None:
    """Change what the page is told from now on, as a fault of the node would."""
    window.run(ALTER.replace("FAULT", fault))


@pytest.mark.parametrize(
    "fault",
    [
        "writeback = { bytes_written: { toString: 1 } }",
        "latency = { put: { bounds: [{ toString: 1 }, 1], counts: [0, 9, 0] } }",
        "bytes = null",
        "pool.used_bytes = 'x'",
        "cache = { gets: {} }",
        "mode = {}; said.nodes[1].version = { toString: 1 }",
    ],
)
def test_figures_that_make_no_sense_spoil_no_other_card(window: Browser, fault: str) -> None:
    """The second wall: the node that was asked should have refused them."""
    with ServeProcess("--name", "a") as node:
        window.driver.get(f"{node.wait_ready()['http']}/")
        until(window, lambda: set(cards(window)) == {"a"})
        alter(
            window,
            "said.nodes.push({ ...structuredClone(said.nodes[0]), name: 'b', started: 7 });"
            f"said.nodes[1].{fault};",
        )
        until(window, lambda: "its figures make no sense" in cards(window).get("b", ("", ""))[1])
        since = node_uptime(window)
        until(window, lambda: node_uptime(window) != since)
        assert window.run("return document.getElementById('alarm').hidden")
        alter(window, "")
        until(window, lambda: set(cards(window)) == {"a"})
        assert window.complaints() == []


def test_an_answer_that_the_page_fails_to_show_is_said_with_its_reason(window: Browser) -> None:
    with ServeProcess("--name", "alone") as node:
        window.driver.get(f"{node.wait_ready()['http']}/")
        until(window, lambda: text_of(window, "#live") == "live")
        alter(window, "said.nodes[0].peers = null")
        until(window, lambda: text_of(window, "#live") == "not shown")
        assert "Node alone answers" in text_of(window, "#alarm")
        assert "null" in text_of(window, "#alarm")  # the browser's reason
        alter(window, "")
        until(window, lambda: text_of(window, "#live") == "live")
        assert window.run("return document.getElementById('alarm').hidden")


def test_the_nodes_whose_pages_are_here_are_said_to_borrow(window: Browser) -> None:
    with ServeProcess("--name", "a") as node:
        window.driver.get(f"{node.wait_ready()['http']}/")
        until(window, lambda: set(cards(window)) == {"a"})
        alter(window, "said.nodes[0].owners = [{ owner: 'c', pages: 7, heard_s: 1 }]")
        until(window, lambda: "borrows from us" in text_of(window, "#peers"))


def test_the_policy_is_kept_by_the_browser(window: Browser) -> None:
    """That nothing from elsewhere is loaded is not only a habit of the page."""
    with ServeProcess("--name", "alone") as node:
        url = node.wait_ready()["http"]
        window.driver.get(f"{url}/")
        until(window, lambda: set(cards(window)) == {"alone"})
        window.complaints()
        window.run(
            "const image = document.createElement('img');"
            "image.src = arguments[0]; document.body.append(image)",
            "http://127.0.0.1:9/x.png",
        )
        until(window, lambda: any("Content Security Policy" in row for row in window.complaints()))


def call(window: Browser, module: str, name: str, *arguments: object) -> Any:
    """What a function of the page's modules returns."""
    return window.driver.execute_async_script(
        "const [path, name, args, done] = arguments;"
        "import(path).then(m => done(m[name](...args)), e => done('' + e))",
        f"/page/{module}.js",
        name,
        list(arguments),
    )


def test_words_of_the_page(window: Browser) -> None:
    with ServeProcess("--name", "alone") as node:
        window.driver.get(f"{node.wait_ready()['http']}/")
        said = {
            ("size", 0): "0 B",
            ("size", 1536): "1.5 KiB",
            ("size", -3 * 2**20): "\N{MINUS SIGN}3.0 MiB",
            ("count", 1234567): "1.2 M",
            ("count", 12345): "12 345",
            ("share", 0): "\N{EN DASH}",
            ("moment", 0.00042): "420 \N{MICRO SIGN}s",
            ("moment", 0.0042): "4.2 ms",
            ("moment", 42): "42.0 s",
            ("moment", None): "\N{EN DASH}",
            ("moment", "x"): "\N{EN DASH}",
            ("rate", "x"): "\N{EN DASH}",
            ("byteRate", None): "\N{EN DASH}",
            ("span", 3700): "1 h 1 min",
        }
        for (name, number), wanted in said.items():
            arguments = (number, 0) if name == "share" else (number,)
            found = call(window, "words", name, *arguments)
            assert found.replace("\N{NO-BREAK SPACE}", " ").replace("\u202f", " ") == wanted


def test_durations_are_of_the_last_minute_and_right_to_the_bucket(window: Browser) -> None:
    with ServeProcess("--name", "alone") as node:
        window.driver.get(f"{node.wait_ready()['http']}/")
        found = window.driver.execute_async_script(
            """
            const done = arguments[0];
            import('/page/rates.js').then(({ Rates }) => {
              const look = (uptime_s, counts, gets) => ({ name: 'n', started: 1, uptime_s,
                cache: { puts: gets, gets, get_hits: gets, gets_away: 0 },
                latency: { put: { bounds: [1, 2, 4], counts }, get_local: null } });
              const rates = new Rates();
              const first = rates.note(look(10, [100, 0, 0, 0], 50));
              const second = rates.note(look(12, [100, 0, 10, 0], 90));
              const quiet = rates.note(look(100, [100, 0, 10, 0], 90));
              for (let at = 101; at < 102; at += 0.001) rates.note(look(at, [9, 0, 0, 0], 90));
              done([first, second, quiet, [...rates.looks.values()].map((looks) => looks.length)]);
            }, (error) => done('' + error));
            """
        )
        first, second, quiet, looks = found
        assert first["gets"] is None
        assert first["durations"]["put"] == {"p50": None, "p99": None}  # nothing was seen yet
        assert second["gets"] == 20
        assert second["durations"]["put"] == {"p50": 3, "p99": 3.98}
        assert quiet["durations"]["put"] == {"p50": None, "p99": None}
        assert looks == [64]  # of a node whose clock hardly goes


def test_charts_have_the_last_minutes_only_however_rare_samples_were(window: Browser) -> None:
    with ServeProcess("--name", "alone") as node:
        window.driver.get(f"{node.wait_ready()['http']}/")
        history = {"columns": ["uptime_s", "late_s"], "kept_s": 600, "samples": [[5, 0]]}
        found = call(window, "rates", "lately", history)
        assert found == {"rows": [{"uptime_s": 5, "late_s": 0}], "from": -55, "until": 5}
        history["samples"] = [[2000, 70], [4390, 60], [4400, 1], [5000, 2]]
        found = call(window, "rates", "lately", history)
        assert (found["from"], found["until"]) == (4400, 5000)
        assert [row["late_s"] for row in found["rows"]] == [1, 2]
