"""The write-back file: nobody else's data is touched, every byte or an error, no waiting."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import shutil
import socket
import stat
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from ramster import disk
from ramster.blobs import Blob, pack
from ramster.clock import LoopClock
from ramster.disk import MAGIC, FileDisk
from ramster.errors import ConfigurationError, WritebackFileError
from ramster.slot_table import CHUNK_BYTES, HEADER_BYTES
from ramster.writeback import Writeback


def open_and_close(path: Path) -> None:
    async def work() -> None:
        await FileDisk(path).close()

    asyncio.run(work())


def refusal(path: Path | str) -> str:
    with pytest.raises(WritebackFileError) as caught:
        FileDisk(path, source="--writeback")
    assert isinstance(caught.value, ConfigurationError)
    assert (caught.value.key, caught.value.value) == ("writeback", str(path))
    assert caught.value.source == "--writeback"
    return str(caught.value)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    async def work() -> None:
        file = FileDisk(tmp_path / "pages")
        await asyncio.gather(
            *(file.write(4096 + 512 * n, bytes([n]) * 512) for n in range(100)),
        )
        assert await file.read(4096 + 512 * 7, 1024) == b"\7" * 512 + b"\10" * 512
        await file.write(1 << 20, memoryview(b"far"))
        assert await file.read(1 << 20, 3) == b"far"
        assert await file.read(1 << 19, 3) == b"\0\0\0"
        await file.close()

    asyncio.run(work())


def test_a_read_behind_the_end_is_an_error(tmp_path: Path) -> None:
    async def work() -> None:
        file = FileDisk(tmp_path / "pages")
        await file.write(4096, b"abc")
        with pytest.raises(OSError, match="the write-back file ends at 4099"):
            await file.read(4096, 4)
        await file.close()

    asyncio.run(work())


def test_short_transfers_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pread, pwrite = os.pread, os.pwrite

    async def work() -> None:
        file = FileDisk(tmp_path / "pages")
        monkeypatch.setattr(os, "pwrite", lambda fd, data, at: pwrite(fd, data[:3], at))
        monkeypatch.setattr(os, "pread", lambda fd, length, at: pread(fd, min(length, 2), at))
        await file.write(4096, b"0123456789")
        assert await file.read(4096, 9) == b"012345678"
        await file.close()

    asyncio.run(work())


def test_a_new_file_is_for_its_owner_only_and_not_inherited(tmp_path: Path) -> None:
    path = tmp_path / "pages"

    async def work() -> None:
        file = FileDisk(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert not os.get_inheritable(file._fd)
        await file.close()

    asyncio.run(work())


def test_a_file_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "pages"
    path.touch(0o644)
    open_and_close(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_file_is_cut_off_when_closed_and_when_opened(tmp_path: Path) -> None:
    path = tmp_path / "pages"

    async def work() -> None:
        file = FileDisk(path)
        await file.write(1 << 20, b"page")
        await file.close()
        await file.close()
        assert path.stat().st_size == HEADER_BYTES
        assert path.read_bytes().startswith(MAGIC)

        path.write_bytes(path.read_bytes() + b"what a killed node left behind")
        file = FileDisk(path)
        assert path.stat().st_size == HEADER_BYTES
        await file.close()

    asyncio.run(work())


def test_somebody_elses_file_is_left_as_it_is(tmp_path: Path) -> None:
    for content in (b"x", b"my thesis" * 1000, MAGIC[:-1]):
        path = tmp_path / "thesis"
        path.write_bytes(content)
        path.chmod(0o644)
        assert "this one has other data in it" in refusal(path)
        assert path.read_bytes() == content
        assert stat.S_IMODE(path.stat().st_mode) == 0o644


@pytest.fixture
def odd_files(tmp_path: Path) -> Iterator[list[Path]]:
    os.mkfifo(tmp_path / "fifo")
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(str(tmp_path / "socket"))
        yield [tmp_path, tmp_path / "fifo", tmp_path / "socket", Path("/dev/null")]


def test_only_regular_files_are_accepted(odd_files: list[Path]) -> None:
    for path in odd_files:
        assert "accepted is a path of a regular file" in refusal(path)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("no/such/directory", "No such file or directory"),
        ("nul\0byte", "null byte"),
        ("x" * 300, "File name too long"),
    ],
)
def test_a_path_that_cannot_be_opened_says_why(tmp_path: Path, name: str, reason: str) -> None:
    assert reason in refusal(f"{tmp_path}/{name}")


def test_a_file_that_another_node_uses_is_refused_until_that_ends(tmp_path: Path) -> None:
    path = tmp_path / "pages"

    async def work() -> None:
        file = FileDisk(path)
        await file.write(4096, b"page")
        assert "another node uses this one" in refusal(path)
        assert await file.read(4096, 4) == b"page"
        await file.close()
        await FileDisk(path).close()

    asyncio.run(work())


def test_a_refused_file_stays_neither_open_nor_locked(tmp_path: Path) -> None:
    path = tmp_path / "thesis"
    path.write_bytes(b"thesis")
    before = os.listdir("/proc/self/fd")
    refusal(path)
    assert len(os.listdir("/proc/self/fd")) == len(before)
    with path.open("rb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_closed_file_takes_no_more_calls(tmp_path: Path) -> None:
    async def work() -> None:
        file = FileDisk(tmp_path / "pages")
        await file.close()
        with pytest.raises(OSError, match="closed"):
            await file.read(4096, 1)
        with pytest.raises(OSError, match="closed"):
            await file.write(4096, b"x")

    asyncio.run(work())


def test_what_is_no_error_of_the_disk_reaches_the_caller_and_ends_no_thread(tmp_path: Path) -> None:
    async def work() -> None:
        file = FileDisk(tmp_path / "pages")
        for _ in range(5):
            with pytest.raises(TypeError):
                await file.write(4096, "text")  # type: ignore[arg-type]
        await file.write(4096, b"text")
        await file.close()

    asyncio.run(work())


def test_a_stuck_disk_holds_up_neither_the_loop_nor_closing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck, go_on = threading.Semaphore(0), threading.Event()
    pread = os.pread

    def slow(fd: int, length: int, offset: int) -> bytes:
        stuck.release()
        go_on.wait()
        return pread(fd, length, offset)

    async def work() -> None:
        path = tmp_path / "pages"
        before = threading.enumerate()
        file = FileDisk(path)
        threads = [thread for thread in threading.enumerate() if thread not in before]
        await file.write(4096, b"page")
        monkeypatch.setattr(disk, "CLOSE_WAIT_S", 0.05)
        monkeypatch.setattr(os, "pread", slow)
        reads = [asyncio.ensure_future(file.read(4096, 4)) for _ in range(5)]
        for _ in range(2):
            assert await asyncio.to_thread(stuck.acquire)
        reads[4].cancel()
        await file.close()
        for read in reads[:4]:
            with pytest.raises(OSError, match="closed"):
                await read
        # The stuck threads still have the file, so nobody else may.
        assert path.stat().st_size > HEADER_BYTES
        assert "another node uses this one" in refusal(path)
        go_on.set()
        for thread in threads:
            await asyncio.to_thread(thread.join)
        assert path.stat().st_size == HEADER_BYTES
        await FileDisk(path).close()

    asyncio.run(work())


def test_the_tier_keeps_its_pages_in_a_real_file(tmp_path: Path) -> None:
    random = Random(0)
    pages = [random.randbytes(random.randint(1, 4096)) for _ in range(300)]

    async def work() -> None:
        path = tmp_path / "pages"
        tier = Writeback(FileDisk(path), HEADER_BYTES + 40 * CHUNK_BYTES, LoopClock())
        for turn in range(3):
            batches = [
                pack(Blob(0, 1, len(page), 1, 0, page) for page in pages[first : first + 50])
                for first in range(0, 300, 50)
            ]
            stored = await asyncio.gather(*map(tier.store, batches))
            positions = [position for batch in stored for position in batch]
            assert all(positions)
            assert await tier.read(positions, [len(page) for page in pages]) == pages
            assert path.stat().st_size <= tier.limit_bytes
            tier.free(positions)
            pages[turn] = b"changed"
        await tier.close()
        assert path.stat().st_size == HEADER_BYTES

    asyncio.run(work())


def run_script(script: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_a_process_ends_though_its_disk_is_stuck(tmp_path: Path) -> None:
    script = """
        import asyncio, os, sys, threading
        from ramster.disk import FileDisk

        async def work():
            file = FileDisk(sys.argv[1])
            stuck = threading.Semaphore(0)
            os.pwrite = lambda *_: stuck.release() or threading.Event().wait()
            writes = [asyncio.ensure_future(file.write(4096, b"page")) for _ in range(5)]
            for _ in range(2):
                await asyncio.to_thread(stuck.acquire)
            await file.close()
            ends = await asyncio.gather(*writes, return_exceptions=True)
            print(all(isinstance(end, OSError) for end in ends))

        asyncio.run(work())
    """
    assert run_script(script, str(tmp_path / "pages")) == "True\n"


FILLING = """
    import asyncio, errno, resource, sys
    from ramster.disk import FileDisk

    async def work():
        if sys.argv[2:]:
            resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
        file = FileDisk(sys.argv[1])
        at = 4096
        try:
            while at < 4 << 20:
                await file.write(at, at.to_bytes(8, "little") * 4096)
                at += 32768
        except OSError as error:
            print(errno.errorcode[error.errno], at)
        for offset in range(4096, at, 32768):  # what was written stays readable
            assert await file.read(offset, 32768) == offset.to_bytes(8, "little") * 4096
        await file.write(4096, b"x" * 4096)  # and writable
        await file.close()

    asyncio.run(work())
"""


def test_a_file_that_may_not_grow_is_an_error_of_that_write_only(tmp_path: Path) -> None:
    # 20 KiB into a write of 32: the first part is written, and the write is an error all the same.
    limit = 4096 + 3 * 32768 + 20480
    name = errno.errorcode[errno.EFBIG]
    written = run_script(FILLING, str(tmp_path / "pages"), str(limit))
    assert written == f"{name} {4096 + 3 * 32768}\n"


def test_a_full_file_system_is_an_error_of_that_write_only(tmp_path: Path) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(tmp_path)]
    there = shutil.which("mount") and shutil.which("umount") and os.geteuid() == 0
    if not there or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        name, at = run_script(FILLING, str(tmp_path / "pages")).split()
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
    assert name == errno.errorcode[errno.ENOSPC]
    assert (1 << 20) - 32768 <= int(at) <= 1 << 20
