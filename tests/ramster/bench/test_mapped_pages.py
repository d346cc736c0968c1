"""Pages made by another process: the same ones, and no trace in this one's memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ramster.bench.mapped_pages import map_made, waited_s
from ramster.bench.pages import made
from ramster.bench.store_measures import anonymous_bytes
from zcache import PAGE_SIZE


def test_what_is_mapped_is_what_would_be_made(tmp_path: Path) -> None:
    mapped = map_made(tmp_path, 70, 2.5, seed=3, same_filled=0.2)
    assert mapped.readonly
    assert mapped == made(70, 2.5, seed=3, same_filled=0.2)


def test_it_is_made_once_a_folder(tmp_path: Path) -> None:
    map_made(tmp_path, 64, 1.0)
    (file,) = tmp_path.iterdir()
    written = file.stat().st_mtime_ns
    map_made(tmp_path, 64, 1.0)
    assert file.stat().st_mtime_ns == written
    map_made(tmp_path, 64, 1.0, seed=1)
    assert len(list(tmp_path.iterdir())) == 2


def test_this_process_does_not_grow_by_it(tmp_path: Path) -> None:
    before = anonymous_bytes()
    mapped = map_made(tmp_path, 8192, 1.0)
    assert len(mapped) == 8192 * PAGE_SIZE
    assert sum(mapped[::PAGE_SIZE]) > 0
    assert anonymous_bytes() - before < len(mapped) / 4


def test_a_failure_is_the_callers_to_see(tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        map_made(tmp_path, 64, 99.0)
    assert list(tmp_path.iterdir()) == []


def test_the_program_writes_whole_files_only(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ramster.bench.mapped_pages", tmp_path / "f", "64", "2", "5"]
    done = subprocess.run([*command, "0"], check=False)
    assert done.returncode == 0
    assert (tmp_path / "f").read_bytes() == made(64, 2.0, seed=5)
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_the_time_of_the_other_process_is_told(tmp_path: Path) -> None:
    before = waited_s()
    map_made(tmp_path, 8, 2.0)
    made_once = waited_s()
    assert made_once > before
    map_made(tmp_path, 8, 2.0)
    assert waited_s() == made_once
