"""The measuring process: what it answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ramster.bench.configurations import WORKLOADS
from ramster.bench.measure import answer, checked_samples
from tests.support.bench_workloads import TESTED


@pytest.fixture(autouse=True)
def known_workloads(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, workload in TESTED.items():
        monkeypatch.setitem(WORKLOADS, name, workload)


def ask(workload: str, folder: Path) -> dict[str, Any]:
    return answer(
        {
            "workload": workload,
            "subject": "zcache",
            "parameters": {},
            "scale": 0.5,
            "seed": 7,
            "scratch": str(folder),
        }
    )


def test_it_says_what_it_is() -> None:
    told = answer({"describe": True})
    assert told["machine"]["cores"] >= 1
    assert told["versions"]["backend"] in ("native", "python")


def test_it_measures_between_two_calibrations(tmp_path: Path) -> None:
    told = ask("behaves", tmp_path)
    assert told["samples"] == {"rate_pages_s": [100.0, 102.0], "seed": [7.0]}
    assert told["calibration"].keys() == {"before", "after"}
    assert told["peak_rss_bytes"] > 2**20
    assert told["elapsed_s"] > 0
    assert (tmp_path / "file").stat().st_size == 50


def test_what_cannot_run_says_why(tmp_path: Path) -> None:
    assert ask("missing", tmp_path) == {
        "unavailable": "there is no such program: apt-get install it"
    }


def test_a_build_without_the_workload_says_so(tmp_path: Path) -> None:
    assert ask("nothing", tmp_path) == {"unavailable": "this build knows no workload 'nothing'"}


def test_what_raises_has_failed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask("raises", tmp_path) == {"failed": "AssertionError: page 7 came back wrong"}
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        ({}, "measured nothing"),
        ({"other": 1.0}, r"does not declare: \['other'\]"),
        ({"rate_pages_s": []}, "rate_pages_s has no samples"),
        ({"rate_pages_s": [1.0, float("nan")]}, "what is no number"),
        ({"rate_pages_s": float("inf")}, "what is no number"),
    ],
)
def test_samples_that_are_none_are_refused(samples: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        checked_samples(TESTED["behaves"], samples)
