"""Which build is measured."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ramster import __version__
from ramster.bench.build import describe_versions, foreign_part, source_commit
from zcache.backend import BACKEND


def test_it_says_what_is_measured() -> None:
    found = describe_versions()
    assert found["ramster"] == __version__
    assert found["backend"] == BACKEND
    assert str(found["lz4"])[0].isdigit()
    assert str(found["python"]).startswith("CPython 3.")


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git on the PATH")
def test_a_checkout_has_a_commit_and_may_have_changes(tmp_path: Path) -> None:
    assert source_commit(tmp_path) == (None, None)
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run([*git, "init", "-q"], check=True)
    assert source_commit(tmp_path) == (None, None)
    (tmp_path / "file").write_text("1")
    subprocess.run([*git, "add", "file"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "first"], check=True)
    commit, changed = source_commit(tmp_path)
    assert commit is not None
    assert len(commit) == 40
    assert changed is False
    (tmp_path / "file").write_text("2")
    assert source_commit(tmp_path) == (commit, True)


def test_a_build_is_of_one_piece() -> None:
    assert foreign_part() is None


def test_a_core_of_another_installation_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    core = type(sys)("zcache._native")
    core.__file__ = str(tmp_path / "zcache" / "_native.abi3.so")
    monkeypatch.setitem(sys.modules, "zcache._native", core)
    monkeypatch.setattr("zcache.backend.BACKEND", "native")
    assert str(foreign_part()).startswith(f"the native core is of another installation: {tmp_path}")
    # One that is there and not used changes nothing.
    monkeypatch.setattr("zcache.backend.BACKEND", "python")
    assert foreign_part() is None
