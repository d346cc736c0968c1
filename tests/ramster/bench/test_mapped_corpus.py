"""Pages of real files from another process: the same ones, and no trace in this one's memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ramster.bench.mapped_corpus import map_corpus
from ramster.bench.pages import corpus
from ramster.bench.store_measures import anonymous_bytes
from zcache import PAGE_SIZE


def test_what_is_mapped_is_what_would_be_read(tmp_path: Path) -> None:
    mapped = map_corpus(tmp_path, 70, seed=3)
    assert mapped.readonly
    assert mapped == corpus(70, seed=3)


def test_it_is_read_once_a_folder(tmp_path: Path) -> None:
    map_corpus(tmp_path, 64)
    (file,) = tmp_path.iterdir()
    written = file.stat().st_mtime_ns
    map_corpus(tmp_path, 64)
    assert file.stat().st_mtime_ns == written
    map_corpus(tmp_path, 64, seed=1)
    assert len(list(tmp_path.iterdir())) == 2


def test_this_process_does_not_grow_by_it(tmp_path: Path) -> None:
    before = anonymous_bytes()
    mapped = map_corpus(tmp_path, 4096)
    assert len(mapped) == 4096 * PAGE_SIZE
    assert sum(mapped[::PAGE_SIZE]) > 0
    assert anonymous_bytes() - before < len(mapped) / 4


def test_a_failure_is_the_callers_to_see(tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        map_corpus(tmp_path / "nonexistent", 64)


def test_the_program_writes_whole_files_only(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ramster.bench.mapped_corpus", tmp_path / "f", "64", "5"]
    assert subprocess.run(command, check=False).returncode == 0
    assert (tmp_path / "f").read_bytes() == corpus(64, seed=5)
    assert [path.name for path in tmp_path.iterdir()] == ["f"]
