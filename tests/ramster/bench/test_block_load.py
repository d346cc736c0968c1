"""Shapes of load, run on a real node by both clients."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from ramster.bench.block_load import SHAPES, Shape, check, fill, run_fio, run_own_client
from ramster.bench.block_rivals import EXPORT, open_block_server
from ramster.bench.model import Subject
from ramster.nbd.client import NbdClient
from tests.support.rival_programs import need

SIZE = 2 * 2**20
DATA = os.urandom(SIZE // 2) + bytes(SIZE // 2)


def on_a_node(do: Callable[[str], Awaitable[None]], folder: Path) -> None:
    async def go() -> None:
        async with open_block_server(Subject.ZCACHE, SIZE, folder) as server:
            await fill(server.url, DATA)
            await do(server.url)

    asyncio.run(go())


def names(shape: Shape) -> set[str]:
    return {figure.name for figure in shape.figures}


def test_the_own_client_measures_every_shape_and_leaves_the_data_as_they_were(
    tmp_path: Path,
) -> None:
    async def do(url: str) -> None:
        for shape in SHAPES:
            found = await run_own_client(url, shape, DATA, 0.05, 1)
            assert found.keys() == names(shape)
            assert min(found.values()) > 0
        await check(url, DATA)

    on_a_node(do, tmp_path)


@pytest.mark.nbd_clients
def test_fio_measures_every_shape(tmp_path: Path) -> None:
    need("fio")

    async def do(url: str) -> None:
        found = await asyncio.to_thread(run_fio, url, SHAPES, SIZE, 0.05, 1)
        assert found.keys() == {name for shape in SHAPES for name in names(shape)}
        assert min(found.values()) > 0

    on_a_node(do, tmp_path)


def test_a_wrong_page_is_noticed(tmp_path: Path) -> None:
    async def do(url: str) -> None:
        async with await NbdClient.connect(url, EXPORT) as client:
            await client.write(SIZE - 4096, b"\x01" * 4096)
        with pytest.raises(AssertionError, match="came back wrong"):
            await check(url, DATA)
        in_order = Shape(write=False, random=False, request_bytes=128 * 1024, depth=1)
        with pytest.raises(AssertionError, match="came back wrong"):
            await run_own_client(url, in_order, DATA, 30, 1)

    on_a_node(do, tmp_path)


def test_shapes_have_names_of_their_own_and_rates_that_fit() -> None:
    assert len({shape.name for shape in SHAPES}) == len(SHAPES)
    assert SHAPES[0].rate == "rand_read_4k_qd1_iops"
    assert Shape(write=True, random=False, request_bytes=2**17, depth=4).samples([0.1, 0.2], 10.0)[
        "seq_write_128k_qd4_mb_s"
    ] == pytest.approx(1.31072)
