"""``ramster stat``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ramster.addresses import Address
from ramster.config import NodeConfig
from ramster.embed import EmbeddedNode
from tests.support.serving import run_ramster


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with EmbeddedNode(NodeConfig(name="n", http=Address("127.0.0.1", 0))) as node:
        yield node.node.endpoints["http"]


def test_it_prints_a_page_for_people(url: str) -> None:
    done = run_ramster("stat", "--url", url)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("node n: serving for ")


def test_json_is_what_the_node_serves(url: str) -> None:
    figures = json.loads(run_ramster("stat", "--url", url, "--json").stdout)
    assert (figures["name"], figures["state"]) == ("n", "serving")


def test_it_finds_the_node_where_the_settings_say(url: str, tmp_path: Path) -> None:
    port = url.rpartition(":")[2]
    assert run_ramster("stat", RAMSTER_HTTP=f"0.0.0.0:{port}").returncode == 0
    file = tmp_path / "node.toml"
    file.write_text(f'http = "127.0.0.1:{port}"\n')
    assert run_ramster("stat", "--config", str(file)).returncode == 0


def test_a_node_that_is_not_there_is_one_line_and_exit_code_1() -> None:
    done = run_ramster("stat", "--url", "http://127.0.0.1:1")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("ramster stat: no node answers at http://127.0.0.1:1/stats: ")
    assert done.stderr.count("\n") == 1


def test_settings_without_figures_are_one_line_and_exit_code_2() -> None:
    done = run_ramster("stat", RAMSTER_HTTP="off")
    assert done.returncode == 2
    assert "http = 'off' (from RAMSTER_HTTP)" in done.stderr
