"""The model: what overlapping and failed requests allow, and nothing else."""

from __future__ import annotations

import pytest

from tests.chaos.contents import ZEROS, content
from tests.chaos.model import ReadMark, RegionModel

SEED = 3


def blank() -> RegionModel:
    return RegionModel(SEED, 64)


def write(model: RegionModel, first: int, count: int = 1, *, succeeded: bool = True) -> bytes:
    payload = model.begin_write(first, count)
    model.end_change(first, count, began_at=1.0, succeeded=succeeded)
    return payload


def is_right(model: RegionModel, mark: ReadMark, data: bytes) -> bool:
    return model.check_read(mark, data) == []


def reads(model: RegionModel, page: int, data: bytes) -> bool:
    return is_right(model, model.begin_read(page, 1), data)


def test_a_page_is_zeros_until_it_is_written() -> None:
    model = blank()
    assert reads(model, 0, ZEROS)
    (wrong,) = model.check_read(model.begin_read(0, 1), content(SEED, 0, 1))
    assert "page 0: version 1 of page 0" in str(wrong)


def test_only_the_last_version_is_right() -> None:
    model = blank()
    first = write(model, 4, 2)
    second = write(model, 4, 2)
    assert is_right(model, model.begin_read(4, 2), second)
    assert len(model.check_read(model.begin_read(4, 2), first)) == 2
    assert not reads(model, 4, ZEROS)


def test_another_pages_bytes_are_wrong() -> None:
    model = blank()
    four, five = write(model, 4), write(model, 5)
    assert reads(model, 4, four)
    assert not reads(model, 4, five)


def test_a_read_that_overlaps_a_write_may_see_either() -> None:
    model = blank()
    old = write(model, 4)
    during = model.begin_read(4, 1)
    new = model.begin_write(4, 1)
    within = model.begin_read(4, 1)
    model.end_change(4, 1, began_at=2.0, succeeded=True)
    for mark in (during, within):
        assert is_right(model, mark, old)
        assert is_right(model, mark, new)
    assert not reads(model, 4, old)


def test_a_read_may_see_what_was_written_while_it_ran_however_often() -> None:
    model = blank()
    mark = model.begin_read(4, 1)
    payloads = [write(model, 4) for _ in range(3)]
    assert all(is_right(model, mark, payload) for payload in payloads)


def test_after_a_failed_write_either_is_right_until_one_is_seen() -> None:
    model = blank()
    old = write(model, 4)
    new = write(model, 4, succeeded=False)
    assert reads(model, 4, new)
    assert not reads(model, 4, old)

    model = blank()
    old = write(model, 4)
    new = write(model, 4, succeeded=False)
    assert reads(model, 4, old)
    assert not reads(model, 4, new)


def test_a_read_that_overlapped_a_failed_write_settles_nothing() -> None:
    model = blank()
    old = write(model, 4)
    new = model.begin_write(4, 1)
    within = model.begin_read(4, 1)
    model.end_change(4, 1, began_at=2.0, succeeded=False)
    assert is_right(model, within, old)
    assert reads(model, 4, new)


def test_a_trim_makes_zeros() -> None:
    model = blank()
    old = write(model, 4)
    model.begin_trim(4, 1)
    model.end_change(4, 1, began_at=2.0, succeeded=True)
    assert reads(model, 4, ZEROS)
    assert not reads(model, 4, old)
    assert reads(model, 4, write(model, 4))


def test_a_page_is_changed_by_one_request_at_a_time() -> None:
    model = blank()
    model.begin_write(4, 2)
    assert model.is_changing(5, 8)
    assert not model.is_changing(6, 8)
    with pytest.raises(ValueError, match="page 5"):
        model.begin_write(5, 1)


def test_a_page_keeps_the_time_of_its_last_write_that_succeeded() -> None:
    model = blank()
    for began_at, succeeded in ((1.0, True), (2.0, True), (3.0, False)):
        model.begin_write(4, 1)
        model.end_change(4, 1, began_at=began_at, succeeded=succeeded)
    assert model.settled_at(4) == 2.0
