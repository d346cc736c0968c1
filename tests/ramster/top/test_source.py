"""Asking a node for its cluster."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from ramster.stats_client import StatsError
from ramster.top.source import fetch_cluster
from tests.ramster.top.clusters import answer_of, figures_of
from tests.support.serving import ServeProcess


@contextmanager
def serving(pages: dict[str, Any]) -> Iterator[str]:
    """An HTTP server with these answers; 404 for every other path."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = pages.get(self.path)
            self.send_response(404 if found is None else found[0])
            self.end_headers()
            self.wfile.write(json.dumps(None if found is None else found[1]).encode())

        def log_message(self, *words: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_the_cluster_is_what_the_node_says() -> None:
    answer = answer_of(figures_of("a"), figures_of("b"))
    with serving({"/cluster": (200, answer)}) as url:
        assert fetch_cluster(url) == answer


def test_a_node_without_it_answers_for_itself() -> None:
    figures = figures_of("a")
    with serving({"/stats": (200, figures)}) as url:
        assert fetch_cluster(url) == {"asked": "a", "nodes": [figures]}


def test_an_error_of_the_node_is_no_lack_of_the_page() -> None:
    pages = {"/cluster": (503, "stopping"), "/stats": (200, figures_of("a"))}
    with serving(pages) as url, pytest.raises(StatsError, match="/cluster: 503"):
        fetch_cluster(url)


@pytest.mark.parametrize("answer", [[], {}, {"nodes": 3}, "text"])
def test_what_is_no_cluster_is_an_error(answer: object) -> None:
    with (
        serving({"/cluster": (200, answer)}) as url,
        pytest.raises(StatsError, match="no figures of a cluster"),
    ):
        fetch_cluster(url)


def test_a_real_node_answers_for_itself_at_least() -> None:
    with ServeProcess() as node:
        answer = fetch_cluster(node.wait_ready()["http"])
    assert (answer["asked"], answer["nodes"][0]["name"]) == ("n", "n")
    assert answer["nodes"][0]["pages"]["own"] == 0


def test_nobody_there_is_an_error() -> None:
    with pytest.raises(StatsError, match="no node answers at"):
        fetch_cluster("http://127.0.0.1:1")
