"""Pages of real files: as many as asked for, different ones, from whatever there is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ramster.bench import corpus
from ramster.bench.corpus import load
from zcache import PAGE_SIZE


def pages_of(data: bytes) -> list[bytes]:
    assert len(data) % PAGE_SIZE == 0
    return [data[at : at + PAGE_SIZE] for at in range(0, len(data), PAGE_SIZE)]


def test_pages_are_as_many_as_asked_for_and_none_comes_twice() -> None:
    pages = pages_of(load(1000))
    assert len(pages) == len(set(pages)) == 1000


def test_no_page_is_same_filled_or_near_zero(tmp_path: Path) -> None:
    good = os.urandom(PAGE_SIZE)
    (tmp_path / "file").write_bytes(
        bytes(PAGE_SIZE) + b"rammstein" * 8 + bytes(PAGE_SIZE - 72) + b"ramster " * 512 + good
    )
    assert load(1, directory=tmp_path) == good
    assert all(page.count(0) <= PAGE_SIZE * 7 / 8 for page in pages_of(load(1000)))


def test_a_seed_means_an_order_and_always_the_same() -> None:
    assert load(200, seed=1) == load(200, seed=1) != load(200, seed=2)
    assert sorted(pages_of(load(200, seed=1))) == sorted(pages_of(load(200, seed=2)))


def test_all_kinds_of_files_take_part() -> None:
    data = load(2000)
    assert b"def __init__(self" in data  # sources
    assert b"\x7fELF" in data  # programs and shared objects


def test_the_pages_are_those_of_a_directory_if_one_is_named(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    content = os.urandom(3 * PAGE_SIZE)
    (inner / "file").write_bytes(content + b"no whole page")
    (tmp_path / "link").symlink_to("/usr/bin")
    assert sorted(pages_of(load(3, directory=tmp_path))) == sorted(pages_of(content))


def test_too_few_pages_are_repeated(tmp_path: Path) -> None:
    content = os.urandom(3 * PAGE_SIZE)
    (tmp_path / "file").write_bytes(content)
    pages = pages_of(load(8, directory=tmp_path))
    assert len(pages) == 8
    assert set(pages) == set(pages_of(content))
    assert {pages.count(page) for page in pages} <= {2, 3}


def test_no_file_stands_for_all(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(os.urandom(200 * PAGE_SIZE))
    other = os.urandom(PAGE_SIZE)
    (tmp_path / "b").write_bytes(other)
    assert other in pages_of(load(100, directory=tmp_path))


def test_a_directory_without_a_page_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(b"x")
    with pytest.raises(ValueError, match=str(tmp_path)):
        load(1, directory=tmp_path)
    with pytest.raises(ValueError, match="count -1"):
        load(-1)


def test_a_machine_with_nothing_but_python_has_pages_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As in a container: the folders of a distribution are not there."""
    there = os.scandir

    def scandir(path: str):  # type: ignore[no-untyped-def]
        if not path.startswith(corpus._STDLIB) or "ensurepip" in path:
            raise FileNotFoundError(path)
        return there(path)

    monkeypatch.setattr(os, "scandir", scandir)
    pages = pages_of(load(1000))
    assert len(set(pages)) == 1000
    assert any(page.count(0) < 64 and len(set(page)) > 230 for page in pages), "nothing compressed"


def test_another_process_finds_the_same_pages() -> None:
    program = "import sys; from ramster.bench.corpus import load; sys.stdout.buffer.write(load(64))"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert found.stdout == load(64)
