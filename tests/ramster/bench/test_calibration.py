"""Calibration: fixed data and positive times."""

from __future__ import annotations

import zlib

import lz4.block

from ramster.bench.calibration import LOOPS, Calibration, fixed_data
from zcache import PAGE_SIZE

CRC = 1926681591


def test_its_data_are_the_same_everywhere_and_for_ever() -> None:
    assert zlib.crc32(fixed_data(64)) == CRC


def test_its_data_compress_as_real_pages_do() -> None:
    data = fixed_data(64)
    assert len(data) == 64 * PAGE_SIZE
    pages = [data[at : at + PAGE_SIZE] for at in range(0, len(data), PAGE_SIZE)]
    ratio = len(data) / sum(len(lz4.block.compress(page, store_size=False)) for page in pages)
    assert 1.5 < ratio < 4
    assert all(page[8:] != page[:-8] for page in pages)


def test_each_loop_takes_time() -> None:
    took = Calibration().measure()
    assert took.keys() == LOOPS.keys()
    assert all(0 < seconds < 1 for seconds in took.values())
