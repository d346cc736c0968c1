"""Block devices to compare with, each started for real."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from ramster.bench import block_rivals
from ramster.bench.block_load import fill
from ramster.bench.block_rivals import EXPORT, RIVALS, open_block_server
from ramster.bench.children import scratch_folder
from ramster.bench.model import Subject, WorkloadUnavailable
from ramster.nbd.client import NbdClient
from tests.support.rival_programs import need_for

SIZE = 8 * 2**20


@pytest.mark.nbd_clients
@pytest.mark.parametrize("subject", RIVALS)
def test_it_serves_an_empty_device_and_holds_what_is_written(subject: Subject) -> None:
    need_for(subject)
    data = os.urandom(SIZE)

    async def go(scratch: Path) -> None:
        async with open_block_server(subject, SIZE, scratch) as server:
            empty = server.held()
            async with await NbdClient.connect(server.url, EXPORT) as client:
                assert client.size == SIZE
                assert await client.read(4096, 4096) == bytes(4096)
            await fill(server.url, data)
            async with await NbdClient.connect(server.url, EXPORT) as client:
                assert await client.read(SIZE - 4096, 4096) == data[-4096:]
            # Noise: nobody holds it in less.
            assert SIZE * 0.95 < server.held() - empty < SIZE * 2

    with scratch_folder() as scratch:
        asyncio.run(go(scratch))


@pytest.mark.nbd_clients
def test_a_compressing_server_holds_less_than_its_pages() -> None:
    need_for(Subject.NBDKIT_ZSTD)
    line = b"".join(b"line %d of a text that goes on\n" % n for n in range(SIZE // 20))[:SIZE]

    async def held(subject: Subject) -> int:
        with scratch_folder() as scratch:
            async with open_block_server(subject, SIZE, scratch) as server:
                empty = server.held()
                await fill(server.url, line)
                return server.held() - empty

    for subject in (Subject.ZCACHE, Subject.ZCACHE_ZSTD, Subject.NBDKIT_ZSTD):
        assert asyncio.run(held(subject)) < SIZE * 0.75, subject


def test_what_is_no_block_device_is_refused(tmp_path: Path) -> None:
    async def go() -> None:
        async with open_block_server(Subject.REDIS, SIZE, tmp_path):
            pass

    with pytest.raises(WorkloadUnavailable, match="redis is no block device: accepted is zcache"):
        asyncio.run(go())


@pytest.mark.nbd_clients
def test_a_file_that_is_not_in_memory_is_not_measured_as_if_it_were() -> None:
    need_for(Subject.QEMU_NBD)

    async def go() -> None:
        async with open_block_server(Subject.QEMU_NBD, SIZE, Path("/proc/self")):
            pass

    with pytest.raises(WorkloadUnavailable, match="is on no tmpfs"):
        asyncio.run(go())


def test_without_zstandard_its_subject_is_left_out_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(block_rivals, "BACKEND", "python")
    monkeypatch.setattr("zcache.zstd.INSTALLED", False)

    async def main() -> None:
        async with open_block_server(Subject.ZCACHE_ZSTD, 2**20, tmp_path):
            pass

    with pytest.raises(WorkloadUnavailable, match=r"pip install 'ramster\[zstd\]'"):
        asyncio.run(main())
