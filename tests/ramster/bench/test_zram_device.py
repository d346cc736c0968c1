"""A zram device of this machine's kernel; skipped where there can be none."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ramster.bench.model import WorkloadUnavailable
from ramster.bench.zram_device import open_zram

SIZE = 64 * 4096


def devices() -> set[str]:
    return {path.name for path in Path("/sys/block").glob("zram*")}


def test_pages_come_back_and_the_device_is_gone_afterwards() -> None:
    before = devices()
    pages = [os.urandom(4096) for _ in range(64)]
    try:
        with open_zram(SIZE) as device:
            assert len(devices() - before) == 1
            for number, page in enumerate(pages):
                device.write(number, page)
            assert [device.read(number) for number in range(64)] == pages
            assert device.frame_bytes() >= SIZE
    except WorkloadUnavailable as reason:
        pytest.skip(str(reason))
    assert devices() == before


def test_a_device_is_gone_after_an_exception_too() -> None:
    before = devices()
    try:
        with open_zram(SIZE):
            raise ZeroDivisionError
    except WorkloadUnavailable as reason:
        pytest.skip(str(reason))
    except ZeroDivisionError:
        assert devices() == before


KILLED = """
import os, signal
from ramster.bench.model import WorkloadUnavailable
from ramster.bench.zram_device import open_zram
try:
    with open_zram(2**20) as device:
        device.write(0, bytes(4096))
        print("there", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
except WorkloadUnavailable as reason:
    print(reason)
"""


def test_a_process_that_is_killed_leaves_no_device() -> None:
    before = devices()
    # Its output ends when whatever removes the device has ended, too.
    done = subprocess.run([sys.executable, "-c", KILLED], capture_output=True, text=True)
    if done.returncode == 0:
        pytest.skip(done.stdout.strip())
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert done.stdout == "there\n"
    assert devices() == before


def test_without_what_would_remove_it_there_is_no_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = devices()
    monkeypatch.setenv("PATH", str(tmp_path))
    try:
        with pytest.raises(FileNotFoundError, match="'sh'"), open_zram(SIZE):
            pass
    except WorkloadUnavailable as reason:
        pytest.skip(str(reason))
    assert devices() == before


def test_a_codec_that_the_kernel_has_not_is_refused_and_leaves_no_device() -> None:
    before = devices()
    with pytest.raises(WorkloadUnavailable), open_zram(SIZE, "nonesuch"):
        pass
    assert devices() == before


def test_without_root_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(WorkloadUnavailable, match="needs root"), open_zram(SIZE):
        pass
