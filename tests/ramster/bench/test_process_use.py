"""What processes use."""

from __future__ import annotations

import mmap
import os
import time

import pytest

from ramster.bench.process_use import anonymous_bytes, processor_s


def test_memory_that_is_taken_is_counted() -> None:
    before = anonymous_bytes(os.getpid())
    taken = mmap.mmap(-1, 32 * 2**20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    taken.write(b"x" * len(taken))
    assert anonymous_bytes(os.getpid()) - before >= 24 * 2**20
    taken.close()


def test_work_is_counted() -> None:
    before = sum(processor_s(os.getpid()))
    deadline = time.process_time() + 0.1
    while time.process_time() < deadline:
        pass
    assert sum(processor_s(os.getpid())) > before


def test_a_process_that_is_not_there_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        anonymous_bytes(2**31 - 1)
    with pytest.raises(FileNotFoundError):
        processor_s(2**31 - 1)
