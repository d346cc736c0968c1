"""The demo's data."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ramster.demo.sample import compression_of, read_sample
from ramster.errors import ConfigurationError


def test_the_machines_own_files_give_as_much_as_asked_for() -> None:
    data, files = read_sample(3 * 2**20 + 5)
    assert len(data) == 3 * 2**20
    assert files > 3


def test_it_is_the_same_data_every_time() -> None:
    assert read_sample(2**20) == read_sample(2**20)


def test_a_folder_gives_its_files_in_order_and_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "deep").write_bytes(b"2" * 4096)
    (tmp_path / "a").write_bytes(b"1" * 4096)
    (tmp_path / "c").symlink_to(tmp_path / "a")
    (tmp_path / "loop").symlink_to(tmp_path)
    data, files = read_sample(8192, tmp_path)
    assert (bytes(data), files) == (b"1" * 4096 + b"2" * 4096, 2)


def test_files_are_taken_again_where_there_are_too_few_and_no_page_comes_twice(
    tmp_path: Path,
) -> None:
    once = os.urandom(64 * 1024)
    (tmp_path / "only").write_bytes(once)
    data, files = read_sample(256 * 1024, tmp_path)
    assert (len(data), files) == (256 * 1024, 1)
    pages = {bytes(data[start : start + 4096]) for start in range(0, len(data), 4096)}
    assert len(pages) == 64


@pytest.mark.parametrize("content", [None, b"too short"])
def test_a_folder_without_a_page_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "file").write_bytes(content)
    with pytest.raises(ConfigurationError, match="--data"):
        read_sample(
            4096 if content is None else 3 * 4096,
            tmp_path / "absent" if content is None else tmp_path,
        )


@pytest.mark.parametrize(
    ("page", "least", "most"),
    [(bytes(4096), 0, 0.001), (b"", 0.98, 1.02), (os.urandom(1024) * 4, 0.24, 0.32)],
)
def test_the_need_of_frames_is_measured(page: bytes, least: float, most: float) -> None:
    data = bytearray(b"".join(page or os.urandom(4096) for _ in range(512)))
    assert least <= compression_of(data) <= most
