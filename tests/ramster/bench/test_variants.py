"""Variants: what their flag means, and the environment of their processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import ramster
from ramster.bench.variants import Variant, parse_variants
from ramster.errors import BenchError

ROOT = str(Path(__file__).parents[3])


def test_a_variant_is_a_name_an_interpreter_and_variables() -> None:
    found = parse_variants(["plain", f"other={sys.executable},A=1,B=x=y,C=", "sh=sh"])
    shell = found.pop()
    assert found == [
        Variant("plain", sys.executable, {}),
        Variant("other", sys.executable, {"A": "1", "B": "x=y", "C": ""}),
    ]
    assert Path(shell.python).is_absolute()
    assert parse_variants(["native,ZCACHE_BACKEND=native"])[0].variables == {
        "ZCACHE_BACKEND": "native"
    }


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ([""], "accepted is NAME"),
        (["a b"], "accepted is NAME"),
        (["../a"], "accepted is NAME"),
        (["a="], "accepted is NAME"),
        (["a,B"], "'B' is no VARIABLE=VALUE"),
        (["a,1B=2"], "'1B=2' is no VARIABLE=VALUE"),
        (["a,RAMSTER_CODEC=zstd"], "RAMSTER_CODEC has no effect"),
        (["a=/nonexistent/python"], "no program '/nonexistent/python'"),
        (["a", "a,B=1"], "each name only once"),
    ],
)
def test_what_is_no_variant_is_refused(texts: list[str], said: str) -> None:
    with pytest.raises(BenchError, match=said):
        parse_variants(texts)


def test_this_interpreter_runs_the_package_that_is_running(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/mine")
    monkeypatch.setenv("KEPT", "1")
    environment = Variant("a", variables={"ADDED": "2"}).environment()
    assert environment["PYTHONPATH"] == f"{ROOT}{os.pathsep}/mine"
    assert (environment["KEPT"], environment["ADDED"]) == ("1", "2")


def test_another_interpreter_runs_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", ROOT)
    assert "PYTHONPATH" not in Variant("a", "/usr/bin/python3").environment()


def test_a_variants_own_path_is_all_there_is() -> None:
    variant = Variant("a", variables={"PYTHONPATH": "/other"})
    assert variant.environment()["PYTHONPATH"] == "/other"


def test_what_a_variant_starts_is_not_taken_from_the_current_folder(tmp_path: Path) -> None:
    (tmp_path / "ramster.py").write_text("raise SystemExit('from the current folder')")
    # As nodes are started: with -c, which would put the current folder first.
    command = [sys.executable, "-c", "import ramster; print(ramster.__path__[0])"]
    environment = Variant("a").environment()
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()) == Path(ramster.__file__).parent
