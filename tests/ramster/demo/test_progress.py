"""How far the demo is, on a terminal and elsewhere."""

from __future__ import annotations

import io
import sys

import pytest

from ramster.demo.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def use(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO) -> str:
    monkeypatch.setattr(sys, "stderr", stream)
    with Progress() as progress:
        progress.say("begin")
        for done in range(0, 101, 10):
            progress("write", done, 100)
        progress("read in order", 0, 100)
        progress.say("end")
    return stream.getvalue()


def test_elsewhere_each_pass_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    assert use(monkeypatch, io.StringIO()) == "begin\nwrite ...\nread in order ...\nend\n"


def test_on_a_terminal_each_pass_is_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    said = use(monkeypatch, Terminal())
    assert "\rwrite" in said
    assert "\rread in order" in said
    assert "%|" in said
    assert said.endswith("end\n")
