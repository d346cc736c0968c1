"""The demo's passes, over a real server: what they write, read, and notice."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable

from ramster.addresses import ExportSpec
from ramster.config import NodeConfig
from ramster.demo.workload import CHUNK_BYTES, Phase, Workload
from ramster.nbd.client import NbdClient
from ramster.node import Node

DATA = bytearray(os.urandom(3 * CHUNK_BYTES + 5 * 4096))


def over_nbd(
    use: Callable[[NbdClient, Node], Awaitable[None]], pool_limit: int = 8 * 2**20
) -> None:
    async def run() -> None:
        config = NodeConfig(
            name="n",
            pool_limit=pool_limit,
            http=None,
            nbd=("tcp://127.0.0.1:0",),
            export=(ExportSpec("disk", 2**20),),
        )
        async with (
            Node(config) as node,
            await NbdClient.connect(node.endpoints["nbd"][0]) as client,
        ):
            await use(client, node)

    asyncio.run(run())


def test_all_is_written_read_and_found_equal() -> None:
    seen: list[tuple[str, int, int]] = []

    async def use(client: NbdClient, _: Node) -> None:
        workload = Workload(client, DATA, lambda *progress: seen.append(progress))
        for phase in (
            await workload.write(),
            await workload.read_in_order(),
            await workload.read_at_random(10**6, 1),
        ):
            assert phase.bytes_done == len(DATA)
            assert not phase.wrong_pages
            assert not phase.failures
            assert phase.seconds > 0
        assert await client.read(0, len(DATA)) == DATA

    over_nbd(use)
    assert seen[-1] == ("read at random", len(DATA), len(DATA))
    assert {name for name, _, _ in seen} == {"write", "read in order", "read at random"}


def test_a_single_differing_byte_is_noticed_by_both_reads() -> None:
    async def use(client: NbdClient, _: Node) -> None:
        workload = Workload(client, DATA, lambda *_: None)
        await workload.write()
        place = CHUNK_BYTES + 2 * 4096 + 17
        await client.write(place, bytes([DATA[place] ^ 1]))
        assert (await workload.read_in_order()).wrong_pages == {34}
        assert (await workload.read_at_random(10**6, 2)).wrong_pages == {34}

    over_nbd(use)


def test_refused_requests_are_counted_and_the_pass_goes_on() -> None:
    async def use(client: NbdClient, _: Node) -> None:
        workload = Workload(client, DATA, lambda *_: None)
        phase = await workload.write()
        assert phase.bytes_done == len(DATA)
        assert phase.failures
        assert "no room for 32 of 32 pages" in phase.failures[0]
        assert workload.unwritten_pages > 0
        assert workload.unwritten_pages % 32 in (0, 5)
        assert not (await workload.read_in_order()).wrong_pages

    over_nbd(use, pool_limit=2 * CHUNK_BYTES)


def test_latencies_are_shares_of_the_requests() -> None:
    phase = Phase("p", latencies_s=[0.004, 0.001, 0.002, 0.003])
    assert phase.latency_ms(0.0) == 1.0
    assert phase.latency_ms(0.5) == 3.0
    assert phase.latency_ms(1.0) == 4.0
    assert Phase("empty").latency_ms(0.5) == 0.0
    assert Phase("empty").bytes_per_s == 0.0
