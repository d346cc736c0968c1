"""The Tmem client at a real store."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from random import Random

import pytest

from ramster.errors import (
    ConfigurationError,
    PeerRefusedError,
    PeerUnreachableError,
    StoreFullError,
)
from ramster.rpc import TmemClient
from ramster.store import LocalStore
from tests.support.grpc_peers import PATIENCE_S, run
from tests.support.tmem_programs import PAGES, served, with_client
from zcache import (
    OBJECT_ID_INVALID,
    PAGE_SIZE,
    BadHandleError,
    Cache,
    CacheConfig,
    PoolKind,
)


def test_pages_are_put_got_and_flushed() -> None:
    def work(client: TmemClient) -> None:
        pool = client.pool("notes", PoolKind.PERSISTENT)
        big, small = 2**192 - 2, 0
        pool.put(big, 2**64 - 1, PAGES[0])
        pool.put(small, 0, PAGES[1])
        assert pool.get(big, 2**64 - 1) == PAGES[0]
        assert pool.get(small, 0) == PAGES[1]
        assert pool.get(small, 1) is None
        pool.put(small, 0, PAGES[2])
        assert pool.get(small, 0) == PAGES[2]
        assert pool.flush(small, 0)
        assert not pool.flush(small, 0)
        assert pool.get(small, 0) is None
        assert pool.flush_object(big) == 1
        assert pool.destroy() == 0

    with_client(work)


def test_a_pool_may_have_a_codec_of_its_own_and_is_found_with_it() -> None:
    def work(client: TmemClient) -> None:
        pools = [
            client.pool(str(codec), PoolKind.PERSISTENT, codec=codec)
            for codec in (None, "lz4", "zstd", "none")
        ]
        assert [pool.codec for pool in pools] == [None, "lz4", "zstd", "none"]
        assert client.pools() == pools
        assert client.pool("zstd", PoolKind.PERSISTENT, codec="zstd") == pools[2]
        for pool in pools:
            pool.put(1, 1, PAGES[1])
            assert pool.get(1, 1) == PAGES[1]
        with pytest.raises(BadHandleError, match=r"pool\.codec: 'lzo', accepted is one of"):
            client.pool("other", PoolKind.PERSISTENT, codec="lzo")

    with_client(work)


def test_batches_of_any_size_are_cut_into_calls() -> None:
    def work(client: TmemClient) -> None:
        pool = client.pool("big", PoolKind.PERSISTENT)
        indexes = list(range(0, 6000, 10))
        payload = b"".join(PAGES[number % 8] for number in range(len(indexes)))
        pool.put_many(7, indexes, memoryview(payload))
        found = pool.get_many(7, [*indexes, 5, 15])
        assert found[-2:] == [None, None]
        assert b"".join(page or b"" for page in found) == payload
        assert pool.flush_range(7, 0, 1000) == 100
        assert pool.flush_many(7, range(6000)) == 500
        assert pool.get_many(7, []) == []

    with_client(work)


def test_a_full_store_is_told_and_keep_old_is_kept() -> None:
    noise = [Random(number).randbytes(PAGE_SIZE) for number in range(64)]

    def work(client: TmemClient) -> None:
        pool = client.pool("p", PoolKind.PERSISTENT)
        pool.put(1, 0, bytes(PAGE_SIZE))
        with pytest.raises(StoreFullError, match="RESOURCE_EXHAUSTED"):
            pool.put_many(2, range(64), b"".join(noise))
        with pytest.raises(StoreFullError):
            pool.put(1, 0, noise[0], keep_old=True)
        assert pool.get(1, 0) == bytes(PAGE_SIZE)
        with pytest.raises(StoreFullError):
            pool.put(1, 0, noise[0])
        assert pool.get(1, 0) is None
        for index, page in enumerate(pool.get_many(2, range(64))):
            assert page in (None, noise[index])

    with_client(work, pool_bytes_max=16 * PAGE_SIZE)


def test_pages_that_do_not_compress_are_refused_where_so_configured() -> None:
    def work(client: TmemClient) -> None:
        pool = client.pool("p", PoolKind.PERSISTENT)
        with pytest.raises(PeerRefusedError, match="FAILED_PRECONDITION"):
            pool.put(1, 0, Random(1).randbytes(PAGE_SIZE))

    with_client(work, incompressible="refuse")


def test_handles_and_pages_of_wrong_sizes_are_refused_before_they_are_sent() -> None:
    def work(client: TmemClient) -> None:
        pool = client.pool("p", PoolKind.PERSISTENT)
        for object_id, index in ((OBJECT_ID_INVALID, 0), (-1, 0), (0, 2**64), (0, -1)):
            with pytest.raises(BadHandleError):
                pool.put(object_id, index, PAGES[0])
            with pytest.raises(BadHandleError):
                pool.get(object_id, index)
        with pytest.raises(BadHandleError, match="4096"):
            pool.put(0, 0, b"short")
        with pytest.raises(BadHandleError, match="printable"):
            client.pool("", PoolKind.PERSISTENT)

    with_client(work)


def test_nobody_there_and_no_address_are_told() -> None:
    client = TmemClient("127.0.0.1:1", deadline_s=PATIENCE_S)
    with client, pytest.raises(PeerUnreachableError, match=r"127\.0\.0\.1:1"):
        client.pools()
    with pytest.raises(ConfigurationError, match="HOST:PORT"):
        TmemClient("no address")


def test_the_example_does_what_it_says() -> None:
    example = Path(__file__).resolve().parents[3] / "examples" / "tmem_client.py"

    async def both() -> None:
        async with served(LocalStore(Cache(CacheConfig(pool_bytes_max=4 * 2**20)))) as address:
            program = await asyncio.create_subprocess_exec(
                sys.executable,
                str(example),
                address,
                stdout=asyncio.subprocess.PIPE,
                env=os.environ | {"PYTHONPATH": str(example.parents[1])},
            )
            output, _ = await program.communicate()
            assert program.returncode == 0
            assert b"500 pages flushed, 500 destroyed" in output

    run(both())
