"""``ramster estimate``."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.support.serving import ROOT, run_ramster


def test_of_a_folder_it_prints_a_page_for_people() -> None:
    done = run_ramster("estimate", "--dir", str(ROOT / "zcache"), "--pages", "64", "--seed", "1")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{ROOT / 'zcache'}: ")
    assert "--pool-limit" in done.stdout


def test_the_seed_makes_the_same_estimate() -> None:
    words = ["estimate", "--dir", str(ROOT / "ramster"), "--pages", "64", "--seed", "9", "--json"]
    first, second = (json.loads(run_ramster(*words).stdout) for _ in range(2))
    for found in (first, second):
        for codec in found["codecs"].values():
            del codec["measured_here"]
    assert first == second


def test_files_and_codecs_may_be_named(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"text " * 10000)
    files = ["--file", str(tmp_path / "a"), "--file", str(tmp_path / "b")]
    done = run_ramster("estimate", *files, "--codec", "none", "--codec", "lz4", "--json")
    found = json.loads(done.stdout)
    assert list(found["codecs"]) == ["none", "lz4"]
    assert found["pages"] == 26


@pytest.mark.skipif(not os.path.exists("/proc/self/pagemap"), reason="no pagemap here")
def test_of_a_process_it_says_which() -> None:
    done = run_ramster("estimate", str(os.getpid()), "--pages", "64", "--codec", "lz4")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"process {os.getpid()} (")


def test_nothing_to_sample_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    done = run_ramster("estimate", "--dir", str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"ramster estimate: {tmp_path}: no page to sample (0 regular files)\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "source = 'nothing' (from the command line): accepted is exactly one of: PID"),
        (["1", "--dir", "/"], "source = 'PID, --dir'"),
        (["0"], "PID = '0' (from the command line): accepted is a whole number from 1"),
        (["x"], "PID = 'x'"),
        (["1", "--pages", "1"], "pages = '1' (from --pages): accepted is a whole number from 64"),
        (["1", "--seed", "-1"], "seed = '-1' (from --seed)"),
        (["1", "--codec", "gzip"], "codec = 'gzip' (from --codec): accepted is one of: lz4"),
        (["1", "--time", "0"], "time = '0' (from --time): accepted is a duration"),
        (["--file", "/nonexistent"], "file = '/nonexistent' (from --file): accepted is a regular"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(words: list[str], said: str) -> None:
    done = run_ramster("estimate", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert said in done.stderr


def test_without_zstandard_the_backend_in_python_does_without() -> None:
    before = "import sys\nsys.modules['zstandard'] = sys.modules['zcache._native'] = None\n"
    words = ["estimate", "--dir", str(ROOT / "zcache"), "--pages", "64", "--json"]
    assert list(json.loads(run_ramster(*words, before=before).stdout)["codecs"]) == ["lz4"]
    done = run_ramster(*words, "--codec", "zstd", before=before)
    assert done.returncode == 2
    assert "pip install 'ramster[zstd]'" in done.stderr
