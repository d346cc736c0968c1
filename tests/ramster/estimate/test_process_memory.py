"""Sampling real processes: a child whose memory is known, ones that are gone or forbidden."""

from __future__ import annotations

import ctypes
import mmap
import os
import random
import subprocess
import sys
from collections.abc import Iterator

import pytest

from ramster.estimate import process_memory
from ramster.estimate.process_memory import sample_process
from ramster.estimate.sampling import EstimateError
from zcache import PAGE_SIZE

pytestmark = pytest.mark.skipif(
    not os.path.exists("/proc/self/pagemap"), reason="this kernel shows no pagemap"
)

KNOWN_PAGES = 512
CHILD = f"""
import mmap, random, sys
data = random.Random(7).randbytes({KNOWN_PAGES} * 4096)
own = mmap.mmap(-1, 4 * len(data), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
own.madvise(mmap.MADV_NOHUGEPAGE)
own[len(data):2 * len(data)] = data   # pages before and behind are never touched
shared = mmap.mmap(-1, len(data))
shared[:] = data[::-1]
del data
print("ready", flush=True)
sys.stdin.read()
"""


def known_pages() -> list[bytes]:
    data = random.Random(7).randbytes(KNOWN_PAGES * PAGE_SIZE)
    return [data[at : at + PAGE_SIZE] for at in range(0, len(data), PAGE_SIZE)]


@pytest.fixture
def child() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def pages_of(data: bytearray) -> set[bytes]:
    return {bytes(data[at : at + PAGE_SIZE]) for at in range(0, len(data), PAGE_SIZE)}


def test_a_sample_as_large_as_the_memory_holds_all_of_it(child: subprocess.Popen[str]) -> None:
    sample = sample_process(child.pid, 2**20, random.Random(1))
    assert set(known_pages()) <= pages_of(sample.pages)
    assert len(sample) + sample.vanished == sample.pages_total
    assert sample.complete
    assert sample.source.startswith(f"process {child.pid} (")


def test_untouched_and_shared_memory_is_not_in_it(child: subprocess.Popen[str]) -> None:
    sample = sample_process(child.pid, 2**20, random.Random(1))
    shared = random.Random(7).randbytes(KNOWN_PAGES * PAGE_SIZE)[::-1]
    found = pages_of(sample.pages)
    assert not [at for at in range(0, len(shared), PAGE_SIZE) if shared[at : at + 4096] in found]
    # What the kernel counts has no pages of zeros that were only read.
    by_kernel = sample.facts["anonymous_bytes_by_kernel"] // PAGE_SIZE
    assert KNOWN_PAGES <= by_kernel <= sample.pages_total


def test_a_small_sample_is_of_its_size_and_the_seed_chooses_it(
    child: subprocess.Popen[str],
) -> None:
    first = sample_process(child.pid, 64, random.Random(5))
    assert len(first) == 64
    assert first.pages == sample_process(child.pid, 64, random.Random(5)).pages
    assert first.pages != sample_process(child.pid, 64, random.Random(6)).pages


def test_the_process_goes_on(child: subprocess.Popen[str]) -> None:
    sample_process(child.pid, 64, random.Random(1))
    child.communicate("")
    assert child.returncode == 0


def test_pages_that_went_meanwhile_are_counted(
    child: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = process_memory._read

    def read_late(memory: int, pagemap: int, addresses: list[int]) -> tuple[bytearray, int]:
        child.kill()
        child.wait()
        return read(memory, pagemap, addresses)

    monkeypatch.setattr(process_memory, "_read", read_late)
    with pytest.raises(EstimateError, match="it ended, or gave up its memory"):
        sample_process(child.pid, 64, random.Random(1))


def test_one_page_that_went_is_left_out() -> None:
    own = mmap.mmap(-1, 8 * PAGE_SIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    own[:] = b"x" * len(own)
    address = ctypes.addressof(ctypes.c_char.from_buffer(own))
    own.madvise(mmap.MADV_DONTNEED, 2 * PAGE_SIZE, PAGE_SIZE)
    memory = os.open("/proc/self/mem", os.O_RDONLY)
    pagemap = os.open("/proc/self/pagemap", os.O_RDONLY)
    try:
        places = [address + page * PAGE_SIZE for page in range(8)]
        pages, vanished = process_memory._read(memory, pagemap, [*places, 4096])
    finally:
        os.close(memory)
        os.close(pagemap)
    assert bytes(pages) == b"x" * 7 * PAGE_SIZE
    assert vanished == 2  # given back, and never mapped


@pytest.mark.parametrize(
    ("top", "category"),
    [(0x80, 1), (0x81, 1), (0xA0, 0), (0xA1, 0), (0x40, 2), (0x60, 2), (0x00, 0), (0x01, 0)],
)
def test_entries_of_pagemap_are_resident_swapped_or_neither(top: int, category: int) -> None:
    # Bits 63 present, 62 swapped, 61 of a file, 56 mapped by one process.
    assert process_memory._CATEGORIES[top] == category


def test_a_process_that_is_gone_is_said() -> None:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    with pytest.raises(EstimateError, match=f"process {done.pid}: there is none"):
        sample_process(done.pid, 64, random.Random(1))


def test_a_process_that_ended_and_was_not_waited_for_has_no_memory() -> None:
    with subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE) as done:
        assert done.stdout is not None
        done.stdout.read()
        os.waitid(os.P_PID, done.pid, os.WEXITED | os.WNOWAIT)
        with pytest.raises(EstimateError, match="no private anonymous memory"):
            sample_process(done.pid, 64, random.Random(1))


def as_another_user(pid: int) -> str:
    """What sampling says to a user who may not; in a child that gives up its rights."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        said = "nothing"
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            sample_process(pid, 64, random.Random(1))
        except EstimateError as error:
            said = str(error)
        finally:
            os.write(writing, said.encode())
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as stream:
        said = stream.read().decode()
    os.waitpid(child, 0)
    return said


def test_a_process_of_somebody_else_is_refused_with_what_would_be_allowed(
    child: subprocess.Popen[str],
) -> None:
    if os.geteuid() == 0:
        said, pid, owner = as_another_user(child.pid), child.pid, 0
    else:
        pid, owner = 1, os.stat("/proc/1").st_uid
        if owner == os.geteuid():
            pytest.skip("process 1 is this user's own, and there is no other")
        with pytest.raises(EstimateError) as caught:
            sample_process(pid, 64, random.Random(1))
        said = str(caught.value)
    assert said.startswith(f"process {pid}: this user may not read its memory; run this as root")
    assert f"the user with the id {owner}" in said


def test_pages_of_another_size_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmap.PAGESIZE", 65536)
    with pytest.raises(EstimateError, match="this kernel's pages have 65536 bytes"):
        sample_process(os.getpid(), 64, random.Random(1))
