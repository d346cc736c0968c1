"""Sampling real files: which count, which are passed over, and what time ends."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from ramster.errors import ConfigurationError
from ramster.estimate.files import sample_files, sample_folder
from ramster.estimate.sampling import EstimateError
from zcache import PAGE_SIZE


def numbered(folder: Path, name: str, pages: int, *, more: bytes = b"") -> Path:
    """A file whose every page begins with its name and number."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        b"".join(f"{name}:{page};".encode().ljust(PAGE_SIZE, b".") for page in range(pages)) + more
    )
    return path


def names(pages: bytearray) -> list[str]:
    starts = range(0, len(pages), PAGE_SIZE)
    return sorted(bytes(pages[at : at + 40]).partition(b";")[0].decode() for at in starts)


def test_all_pages_of_all_files_below_are_there(tmp_path: Path) -> None:
    numbered(tmp_path, "a", 3)
    numbered(tmp_path, "x/y/b", 2)
    (tmp_path / "empty").touch()
    sample = sample_folder(str(tmp_path), 100, random.Random(1))
    assert names(sample.pages) == ["a:0", "a:1", "a:2", "x/y/b:0", "x/y/b:1"]
    assert (sample.pages_total, sample.vanished, sample.complete) == (5, 0, True)
    assert sample.facts["files"] == 3


def test_the_last_page_is_filled_up_with_zeros(tmp_path: Path) -> None:
    path = numbered(tmp_path, "a", 1, more=b"rest")
    sample = sample_files([str(path)], 100, random.Random(1))
    assert sample.pages_total == 2
    assert sample.pages.endswith(b"rest" + bytes(PAGE_SIZE - 4))


def test_a_file_that_is_named_twice_counts_once_and_its_name_may_be_any_bytes(
    tmp_path: Path,
) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff\n")
    Path(path).write_bytes(b"x" * PAGE_SIZE)
    sample = sample_files([path, path], 100, random.Random(1))
    assert sample.pages_total == 1
    assert sample.source == f"{tmp_path}/\ufffd?"


def test_files_count_by_their_size(tmp_path: Path) -> None:
    numbered(tmp_path, "large", 900)
    for number in range(100):
        numbered(tmp_path, f"small{number}", 1)
    sample = sample_folder(str(tmp_path), 200, random.Random(3))
    assert len(sample) == 200
    large = sum(name.startswith("large:") for name in names(sample.pages))
    assert 160 <= large <= 195  # 180 expected, standard deviation 3.8


def test_links_special_files_and_second_names_are_passed_over(tmp_path: Path) -> None:
    path = numbered(tmp_path, "a", 2)
    (tmp_path / "again").hardlink_to(path)
    (tmp_path / "link").symlink_to(path)
    (tmp_path / "round").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    sample = sample_folder(str(tmp_path), 100, random.Random(1))
    assert sample.pages_total == 2
    assert (sample.facts["symbolic_links"], sample.facts["special_files"]) == (2, 1)


@pytest.mark.skipif(not os.path.ismount("/proc"), reason="no other file system at /proc")
def test_another_file_system_is_not_entered() -> None:
    sample = sample_folder("/", 64, random.Random(1), seconds_max=0.5)
    assert sample.facts["other_file_systems"] >= 1


def test_holes_are_counted_and_not_sampled(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as stream:
        stream.truncate(2**32)
        for at in (0, 2**30, 2**32 - PAGE_SIZE):
            stream.seek(at)
            stream.write(b"data".ljust(PAGE_SIZE, b"."))
    if path.stat().st_blocks * 512 >= 2**31:
        pytest.skip("this file system has no sparse files")
    sample = sample_files([str(path)], 100, random.Random(1))
    # A file system may count a few pages around data as data.
    assert 3 <= sample.pages_total < 2000
    assert sample.facts["hole_bytes"] == 2**32 - sample.pages_total * PAGE_SIZE


def test_a_file_of_one_hole_has_no_page(tmp_path: Path) -> None:
    path = tmp_path / "hole"
    with path.open("wb") as stream:
        stream.truncate(2**30)
    with pytest.raises(EstimateError, match=r"no page to sample \(1 regular files, 1073741824"):
        sample_files([str(path)], 100, random.Random(1))


def test_an_empty_folder_is_an_error_that_says_what_there_was(tmp_path: Path) -> None:
    with pytest.raises(EstimateError, match=r"no page to sample \(0 regular files\)"):
        sample_folder(str(tmp_path), 100, random.Random(1))


@pytest.mark.parametrize(("sample", "key"), [(sample_files, "file"), (sample_folder, "dir")])
def test_what_is_not_there_is_refused(sample, key: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    place = str(tmp_path / "nothing")
    with pytest.raises(ConfigurationError, match=f"{key} = .*No such file"):
        sample([place] if key == "file" else place, 10, random.Random(1))


def test_a_folder_and_a_pipe_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for place, said in ((tmp_path, "a folder"), (tmp_path / "pipe", "a special file")):
        with pytest.raises(ConfigurationError, match=said):
            sample_files([str(place)], 10, random.Random(1))


def test_time_ends_the_walk_and_it_is_said(tmp_path: Path) -> None:
    numbered(tmp_path, "a", 2)
    with pytest.raises(EstimateError, match="0 regular files"):
        sample_folder(str(tmp_path), 10, random.Random(1), seconds_max=-1.0)


def test_reading_that_takes_too_long_leaves_pages_out_and_counts_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [str(numbered(tmp_path, f"f{number}", 1)) for number in range(10)]
    sample = sample_files(paths, 10, random.Random(1), seconds_max=-1.0)
    assert len(sample) == 1
    assert sample.facts["pages_not_read_in_time"] == 9


def test_a_file_that_vanished_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ramster.estimate import files

    numbered(tmp_path, "a", 2)
    gone = numbered(tmp_path, "b", 3)
    cut = numbered(tmp_path, "c", 4)
    finish = files._finish

    def finish_late(*arguments):  # type: ignore[no-untyped-def]
        gone.unlink()
        os.truncate(cut, PAGE_SIZE)
        return finish(*arguments)

    monkeypatch.setattr(files, "_finish", finish_late)
    sample = sample_folder(str(tmp_path), 100, random.Random(1))
    assert names(sample.pages) == ["a:0", "a:1", "c:0"]
    assert (sample.pages_total, sample.vanished) == (9, 6)
