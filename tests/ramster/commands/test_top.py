"""``ramster top``: once as text, live in a terminal, and what it says when it cannot."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ramster.cli import build_parser
from tests.support.serving import ROOT, ServeProcess, run_ramster
from tests.support.terminals import TerminalProcess
from tests.support.three_nodes import three_nodes, write_pages

BLOCK_TEXTUAL = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in ('textual', 'rich'):
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)
sys.meta_path.insert(0, Blocker())
"""


@pytest.mark.parametrize("columns", ["80", "150"])
def test_once_prints_one_picture_of_a_cluster_without_textual(columns: str) -> None:
    with three_nodes() as (owner, _, nbd):
        asyncio.run(write_pages(nbd))
        flags = ("--once", "--url", owner.ready["http"], "--interval", "100ms")
        done = run_ramster("top", *flags, before=BLOCK_TEXTUAL, COLUMNS=columns)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"ramster top  a at {owner.ready['http']}")
    assert all(len(line) <= int(columns) for line in lines)
    assert "\x1b" not in done.stdout
    rows = [line.split() for line in lines]
    (peer,) = [row for row in rows if row[:1] == ["b"] and "alive" in row]
    assert len(peer) == 9 or len(peer) == 7
    (pages,) = [row for row in rows if row[:1] == ["a"] and len(row) == 8]
    assert pages[-2:] == ["0", "0"]


def test_in_a_terminal_it_draws_and_q_ends_it() -> None:
    pytest.importorskip("textual")
    with ServeProcess() as node:
        url = node.wait_ready()["http"]
        with TerminalProcess("top", "--url", url) as top:
            top.wait_drawn("serving")
            top.wait_drawn("has no peers configured")
            top.press("q")
            assert top.wait() == 0
    assert "Traceback" not in top.drawn
    assert "\x1b[?1049l" in top.drawn  # the screen is as it was before


def test_control_c_ends_it_even_while_the_node_hangs() -> None:
    pytest.importorskip("textual")
    with ServeProcess() as node:
        url = node.wait_ready()["http"]
        with TerminalProcess("top", "--url", url, "--interval", "100ms") as top:
            top.wait_drawn("serving")
            node.signal(signal.SIGSTOP)
            top.wait_drawn("NO ANSWER")
            top.press("\x03")
            assert top.wait() == 0
        node.signal(signal.SIGCONT)


def test_in_a_terminal_without_a_node_it_says_so_and_keeps_trying() -> None:
    pytest.importorskip("textual")
    with TerminalProcess("top", "--url", "http://127.0.0.1:1", "--interval", "100ms") as top:
        top.wait_drawn("NO ANSWER")
        top.press("q")
        assert top.wait() == 0


def test_its_screen_can_be_drawn_for_documents(tmp_path: Path) -> None:
    pytest.importorskip("textual")
    file = tmp_path / "top.svg"
    with ServeProcess() as node:
        command = [sys.executable, "tools/draw_top.py", node.wait_ready()["http"], str(file)]
        subprocess.run([*command, "--seconds", "1"], cwd=ROOT, check=True, timeout=60)
    drawn = file.read_text()
    assert drawn.startswith("<svg ")
    assert "serving" in drawn
    assert "url(http" not in drawn  # nothing is fetched to show it


def test_without_the_extra_it_is_one_line_that_says_how_to_install_it() -> None:
    done = run_ramster("top", before=BLOCK_TEXTUAL)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "pip install 'ramster[top]'" in done.stderr
    assert "--once" in done.stderr


def test_without_a_terminal_it_says_what_works_there() -> None:
    pytest.importorskip("textual")
    done = run_ramster("top")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "ramster top: this is no terminal; --once prints one picture\n"


def test_once_without_an_answer_is_one_line_and_exit_code_1() -> None:
    done = run_ramster("top", "--once", "--url", "http://127.0.0.1:1")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith("ramster top: no node answers at http://127.0.0.1:1/")


@pytest.mark.parametrize("interval", ["0", "50ms", "2h", "x", "-1s"])
def test_an_interval_that_makes_no_sense_is_refused(interval: str) -> None:
    done = run_ramster("top", f"--interval={interval}")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"'{interval}', accepted is a time from 100ms to 1h" in done.stderr


def test_the_interval_is_a_second_unless_it_is_given() -> None:
    assert build_parser("top").parse_args([]).interval == 1.0
    assert build_parser("top").parse_args(["--interval", "500ms"]).interval == 0.5
