"""How far a run is."""

from __future__ import annotations

import pytest

from ramster.bench.plan import order
from ramster.bench.progress import Progress
from tests.support.bench_workloads import configuration


def test_without_a_terminal_it_is_a_line_a_round(capsys: pytest.CaptureFixture[str]) -> None:
    steps = order([configuration("behaves", "raises", rounds=2)], ["a"], 1)
    with Progress(len(steps), 2) as progress:
        for step in steps:
            progress(step)
    captured = capsys.readouterr()
    assert captured.err.splitlines() == ["round 1 of 2 ...", "round 2 of 2 ..."]
    assert captured.out == ""


def test_on_a_terminal_it_is_a_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    steps = order([configuration("behaves", rounds=2)], ["a"], 1)
    with Progress(len(steps), 2) as progress:
        for step in steps:
            progress(step)
    assert "round 2 of 2: behaves zcache" in capsys.readouterr().err
