"""The write-back tier: a page that was stored is read as it was, or not at all.

On a real file: ``test_disk.py``.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from array import array
from collections.abc import Awaitable, Callable, Iterable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ramster import writeback
from ramster.blobs import Blob, pack
from ramster.clock import LoopClock
from ramster.errors import SlotNotInUseError
from ramster.slot_table import CHUNK_BYTES, HEADER_BYTES
from ramster.writeback import Writeback, WritebackCounters
from tests.support.fake_disk import FakeDisk
from tests.support.virtual_time import run, until
from zcache import PackedBlobs

LIMIT = HEADER_BYTES + 4 * CHUNK_BYTES


def blobs_of(pages: Iterable[bytes]) -> PackedBlobs:
    return pack(Blob(key, 1, len(page), 1, 0, page) for key, page in enumerate(pages))


def some_pages(count: int, seed: int = 0) -> list[bytes]:
    random = Random(seed)
    return [random.randbytes(random.randint(1, 4096)) for _ in range(count)]


def on(
    work: Callable[[Writeback, FakeDisk], Awaitable[None]], limit_bytes: int = LIMIT
) -> WritebackCounters:
    """Run in virtual time; afterwards no call has met another on the disk."""

    async def all_of_it() -> WritebackCounters:
        disk = FakeDisk(Random(0))
        tier = Writeback(disk, limit_bytes, LoopClock())
        await work(tier, disk)
        disk.go_on()
        await until(lambda: not disk.calls_under_way)
        tier._table.verify()
        assert disk.races == []
        await tier.close()
        return tier.counters

    return run(all_of_it())


def lengths(pages: Iterable[bytes]) -> list[int]:
    return [len(page) for page in pages]


def test_what_was_stored_is_read() -> None:
    pages = some_pages(60)

    async def work(tier: Writeback, disk: FakeDisk) -> None:
        positions = await tier.store(blobs_of(pages))
        assert positions.typecode == "Q"
        assert all(0 < position < 2**32 for position in positions)
        assert len(set(positions)) == tier.pages == 60
        assert tier.bytes_used >= sum(lengths(pages))
        assert disk.writes < 20, "slots that adjoin are written together"
        assert await tier.read(positions, lengths(pages)) == pages
        assert disk.reads < 20, "and read together"
        order = list(range(60))
        Random(1).shuffle(order)
        got = await tier.read([positions[n] for n in order], [len(pages[n]) for n in order])
        assert got == [pages[n] for n in order]
        tier.free(positions)
        assert (tier.pages, tier.bytes_used) == (0, 0)

    counters = on(work)
    size = sum(lengths(pages))
    assert counters == WritebackCounters(
        pages_written=60, bytes_written=size, pages_read=120, bytes_read=2 * size, freed=60
    )


def test_the_payload_is_not_looked_at_after_the_first_wait() -> None:
    async def work(tier: Writeback, disk: FakeDisk) -> None:
        blobs = blobs_of([b"page" * 100])
        blobs.payload = payload = bytearray(blobs.payload)
        store = asyncio.ensure_future(tier.store(blobs))
        await until(lambda: disk.writes)
        payload[:] = bytes(len(payload))
        assert await tier.read(await store, [400]) == [b"page" * 100]

    on(work)


def test_an_empty_batch_is_one() -> None:
    async def work(tier: Writeback, disk: FakeDisk) -> None:
        assert await tier.store(PackedBlobs()) == array("Q")
        assert await tier.read([], []) == []
        assert (disk.reads, disk.writes) == (0, 0)

    on(work)


def test_what_finds_no_slot_is_not_stored_and_the_rest_is() -> None:
    pages = [bytes([n]) * 4096 for n in range(70)]

    async def work(tier: Writeback, disk: FakeDisk) -> None:
        assert tier.has_room(CHUNK_BYTES * 4)
        assert not tier.has_room(CHUNK_BYTES * 4 + 1)
        positions = await tier.store(blobs_of(pages))
        stored = [n for n in range(70) if positions[n]]
        assert len(stored) == tier.pages == 64
        got = await tier.read(positions, lengths(pages))
        assert got == [pages[n] if n in stored else None for n in range(70)]
        assert not tier.has_room(1)
        assert not any(await tier.store(blobs_of(pages[:1])))

    assert on(work).refused_full == 7


def test_room_that_is_of_no_use_to_the_pages_that_come_is_no_room_for_a_while() -> None:
    async def work(tier: Writeback, disk: FakeDisk) -> None:
        small = await tier.store(blobs_of([b"x" * 500] * 512))
        tier.free(small[::2])
        assert tier.has_room(100_000)
        assert not any(await tier.store(blobs_of([b"y" * 4096] * 4)))
        assert not tier.has_room(100_000)
        assert all(await tier.store(blobs_of([b"z" * 500]))), "for other pages there is"
        tier.free(small[385::2])  # the rest of the last chunk
        assert tier.has_room(CHUNK_BYTES)
        assert not tier.has_room(100_000)
        await asyncio.sleep(1.1)
        assert tier.has_room(100_000)

    on(work)


def test_a_full_disk_costs_the_pages_of_that_write_only() -> None:
    async def work(tier: Writeback, disk: FakeDisk) -> None:
        first = await tier.store(blobs_of([b"a" * 4096] * 8))
        disk.capacity_bytes = HEADER_BYTES + 8 * 4096 + 100
        used = tier.bytes_used
        assert not any(await tier.store(blobs_of([b"b" * 4096] * 8)))
        assert tier.bytes_used == used
        assert await tier.read(first, [4096] * 8) == [b"a" * 4096] * 8
        disk.capacity_bytes = None
        await asyncio.sleep(1)
        assert all(await tier.store(blobs_of([b"b" * 4096] * 8)))

    counters = on(work)
    assert (counters.write_errors, counters.pages_written) == (1, 16)


def test_a_failed_piece_of_a_batch_leaves_the_others_stored() -> None:
    pages = [b"a" * 4096] * 4 + [b"b" * 512] * 4

    async def work(tier: Writeback, disk: FakeDisk) -> None:
        disk.capacity_bytes = HEADER_BYTES + CHUNK_BYTES
        positions = await tier.store(blobs_of(pages))
        assert list(map(bool, positions)) == [True] * 4 + [False] * 4
        assert tier.bytes_used == 4 * 4096
        assert tier.paused

    on(work)


def test_errors_pause_stores_for_longer_each_time_and_reads_go_on() -> None:
    async def work(tier: Writeback, disk: FakeDisk) -> None:
        page = blobs_of([b"page"])
        positions = await tier.store(page)
        disk.write_errors = 1.0
        now = asyncio.get_running_loop().time
        for pause_s in (1, 2, 4, 8, 16, 30, 30):
            assert tier.has_room(4096)
            assert list(await tier.store(page)) == [0]
            assert tier.retry_at - now() == pytest.approx(pause_s, abs=0.01)
            writes = disk.writes
            assert not tier.has_room(1)
            assert list(await tier.store(page)) == [0]
            assert disk.writes == writes, "nothing is tried during the pause"
            assert await tier.read(positions, [4]) == [b"page"]
            await asyncio.sleep(pause_s)
        disk.write_errors = 0.0
        assert all(await tier.store(page))
        disk.write_errors = 1.0
        assert list(await tier.store(page)) == [0]
        assert tier.retry_at - now() == pytest.approx(1, abs=0.01), "success ends the series"

    counters = on(work)
    assert counters.write_errors == 8
    assert counters.refused_busy == 7


def test_pieces_that_fail_together_are_one_reason_to_pause() -> None:
    async def work(tier: Writeback, disk: FakeDisk) -> None:
        disk.write_errors = 1.0
        await tier.store(blobs_of(some_pages(40)))
        assert tier.counters.write_errors > 3
        assert tier.retry_at - asyncio.get_running_loop().time() <= 1

    on(work)


def test_short_writes_and_failed_reads_are_errors_of_those_pages() -> None:
    async def work(tier: Writeback, disk: FakeDisk) -> None:
        pages = [b"a" * 4096, b"b" * 512]
        positions = await tier.store(blobs_of(pages))
        disk.short_writes = 1.0
        assert list(await tier.store(blobs_of(pages))) == [0, 0]
        disk.read_errors = 1.0
        assert await tier.read(positions, [4096, 512]) == [None, None]
        disk.read_errors = 0.0
        assert await tier.read(positions, [4096, 512]) == pages

    counters = on(work)
    assert (counters.write_errors, counters.read_errors, counters.pages_read) == (2, 2, 2)


def test_errors_of_the_disk_are_told_with_their_reason(caplog: pytest.LogCaptureFixture) -> None:
    async def work(tier: Writeback, disk: FakeDisk) -> None:
        positions = await tier.store(blobs_of([b"page"]))
        disk.read_errors = disk.write_errors = 1.0
        await tier.read(positions, [4])
        await tier.store(blobs_of([b"page"]))

    with caplog.at_level(logging.WARNING):
        on(work)
    assert caplog.messages == [
        "write-back file: 1 pages not read: Input/output error",
        "write-back file: 1 pages not written: Input/output error",
    ]


def test_a_slot_freed_during_a_read_is_used_again_after_it_only() -> None:
    async def work(tier: Writeback, disk: FakeDisk) -> None:
        old = await tier.store(blobs_of([b"old" * 1000] * 64))
        disk.hang()
        reads = [asyncio.ensure_future(tier.read(old, [3000] * 64)) for _ in range(2)]
        await until(lambda: disk.reads >= 2)
        used = tier.bytes_used
        tier.free(old)
        assert tier.pages == 0
        assert tier.bytes_used == used, "still in the way"
        assert await tier.read(old[:1], [3000]) == [None], "no longer a page"
        disk.go_on()
        new = await tier.store(blobs_of([b"new" * 1000] * 64))
        assert not set(old) & set(new)
        for read in reads:
            assert await read == [b"old" * 1000] * 64
        assert tier.pages == sum(map(bool, new))
        assert all(await tier.store(blobs_of([b"new" * 1000] * 64)))

    on(work, HEADER_BYTES + 10 * CHUNK_BYTES)


def test_a_cancelled_read_leaves_the_pages_as_they_are() -> None:
    async def work(tier: Writeback, disk: FakeDisk) -> None:
        positions = await tier.store(blobs_of(some_pages(9)))
        disk.hang()
        read = asyncio.ensure_future(tier.read(positions, lengths(some_pages(9))))
        await until(lambda: disk.reads)
        read.cancel()
        await asyncio.wait({read})
        disk.go_on()
        assert await tier.read(positions, lengths(some_pages(9))) == some_pages(9)
        tier.free(positions)
        assert tier.bytes_used == 0

    on(work)


def test_a_cancelled_store_gives_its_slots_back_when_the_disk_is_done() -> None:
    async def work(tier: Writeback, disk: FakeDisk) -> None:
        disk.hang()
        store = asyncio.ensure_future(tier.store(blobs_of([b"a" * 4096] * 64)))
        await until(lambda: disk.writes)
        store.cancel()
        await asyncio.wait({store})
        assert store.cancelled()
        assert tier.bytes_used == 4 * CHUNK_BYTES
        assert not tier.has_room(1)
        disk.go_on()
        await until(lambda: tier.bytes_used == 0)
        assert tier.pages == 0
        assert all(await tier.store(blobs_of([b"b" * 4096] * 64)))

    on(work)


def test_a_disk_that_is_far_behind_gets_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writeback, "BACKLOG_BYTES_MAX", 5 * 4096)

    async def work(tier: Writeback, disk: FakeDisk) -> None:
        disk.hang()
        page = blobs_of([b"a" * 4096])
        stores = [asyncio.ensure_future(tier.store(page)) for _ in range(9)]
        await until(lambda: disk.writes == 5)
        assert not tier.has_room(1)
        stores[0].cancel()  # what is on its way stays in memory, wanted or not
        await asyncio.wait({stores[0]})
        assert not tier.has_room(1)
        disk.go_on()
        answers = await asyncio.gather(*stores[1:])
        assert sum(answer[0] > 0 for answer in answers) == 4
        assert tier.has_room(1)

    assert on(work).refused_busy == 4


@pytest.mark.parametrize("hangs", [False, True])
def test_a_page_is_freed_once(hangs: bool) -> None:
    async def work(tier: Writeback, disk: FakeDisk) -> None:
        [position] = await tier.store(blobs_of([b"page"]))
        if hangs:
            disk.hang()
        read = asyncio.ensure_future(tier.read([position], [4]))
        await until(lambda: disk.reads)
        tier.free([position])
        for wrong in (position, 0, 12345):
            with pytest.raises(SlotNotInUseError):
                tier.free([wrong])
        disk.go_on()
        assert await read == [b"page"]
        assert tier.counters.freed == 1
        assert tier.bytes_used == 0

    on(work)


def test_what_is_no_stored_page_is_not_read() -> None:
    async def work(tier: Writeback, disk: FakeDisk) -> None:
        [position] = await tier.store(blobs_of([b"page"]))
        asked = [0, position + 1, position, position, 2**32 - 1]
        assert await tier.read(asked, [4, 4, 513, 0, 4]) == [None] * 5
        assert disk.reads == 0
        disk.hang()
        store = asyncio.ensure_future(tier.store(blobs_of([b"next"])))
        await until(lambda: disk.writes == 2)
        assert await tier.read([position + 1], [4]) == [None], "still under its first write"
        with pytest.raises(SlotNotInUseError):
            tier.free([position + 1])
        disk.go_on()
        assert list(await store) == [position + 1]
        assert await tier.read([position, position], [4, 2]) == [b"page", b"pa"]

    on(work)


def test_closing_ends_everything_in_time_though_the_disk_hangs() -> None:
    async def work() -> None:
        disk = FakeDisk(Random(0))
        tier = Writeback(disk, LIMIT, LoopClock())
        positions = await tier.store(blobs_of([b"page"]))
        disk.hang()
        read = asyncio.ensure_future(tier.read(positions, [4]))
        store = asyncio.ensure_future(tier.store(blobs_of([b"page"])))
        await until(lambda: disk.reads and disk.writes == 2)
        begin = asyncio.get_running_loop().time()
        await tier.close()
        await tier.close()
        assert asyncio.get_running_loop().time() - begin <= writeback.CLOSE_WAIT_S
        assert await read == [None]
        assert list(await store) == [0]
        assert await tier.read(positions, [4]) == [None]
        assert list(await tier.store(blobs_of([b"page"]))) == [0]
        assert not tier.has_room(1)
        assert (tier.counters.read_errors, tier.counters.write_errors) == (0, 0)

    run(work())


class NeverClosing(FakeDisk):
    async def close(self) -> None:
        await asyncio.Event().wait()


def test_closing_is_bounded_though_the_disk_never_closes() -> None:
    async def work() -> None:
        disk = NeverClosing(Random(0))
        tier = Writeback(disk, LIMIT, LoopClock())
        disk.hang()
        store = asyncio.ensure_future(tier.store(blobs_of([b"page"])))
        await until(lambda: disk.writes)
        async with asyncio.timeout(writeback.CLOSE_WAIT_S + 0.1):
            await tier.close()
            assert list(await store) == [0]

    run(work())


def test_the_fake_disk_does_what_its_faults_say() -> None:
    async def work() -> None:
        disk = FakeDisk(Random(3))
        await disk.write(1000, b"abcdef")
        assert await disk.read(1000, 6) == b"abcdef"
        with pytest.raises(OSError, match="Input/output"):
            await disk.read(1000, 7)
        disk.corrupt_reads = 1.0
        wrong = await disk.read(1000, 6)
        assert sum((a ^ b).bit_count() for a, b in zip(wrong, b"abcdef", strict=True)) == 1
        disk.corrupt_reads = 0.0
        disk.capacity_bytes = 1004
        with pytest.raises(OSError, match="No space") as caught:
            await disk.write(1000, b"ABCDEF")
        assert caught.value.errno == errno.ENOSPC
        assert await disk.read(1000, 6) == b"ABCDef"
        await asyncio.gather(disk.write(0, bytes(100)), disk.read(99, 1))
        assert disk.races == ["read at 99 during a write at 0"]
        await disk.close()
        with pytest.raises(OSError, match="Bad file descriptor"):
            await disk.read(0, 1)

    run(work())


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["store"] * 5
            + ["read"] * 5
            + ["free"] * 4
            + ["wait"] * 5
            + ["cancel", "cancel", "hang", "go on", "faults", "no faults", "long wait"]
        ),
        st.integers(0, 2**16),
    ),
    min_size=8,
    max_size=80,
)


class History:
    """Stores, reads and frees at the same time, against a map of what is stored."""

    def __init__(self, seed: int) -> None:
        self.disk = FakeDisk(Random(seed), delay_s=(0.001, 0.05))
        self.tier = Writeback(self.disk, LIMIT, LoopClock())
        self.stored: dict[int, bytes] = {}
        self.stores: list[asyncio.Task[None]] = []
        self.reads: list[asyncio.Task[None]] = []
        self.number = 0

    async def step(self, what: str, seed: int) -> None:
        random = Random(seed)
        spawn = asyncio.get_running_loop().create_task
        if what == "store":
            # The number makes every page one of a kind.
            pages = []
            for _ in range(random.randint(1, 40)):
                self.number += 1
                size = random.choice([8, 512, 600, 2000, 4096])
                pages.append((self.number.to_bytes(8, "big") * 512)[:size])
            self.stores.append(spawn(self.store(pages)))
        elif what == "read" and self.stored:
            chosen = random.sample(sorted(self.stored), random.randint(1, len(self.stored)))
            self.reads.append(spawn(self.read({at: self.stored[at] for at in chosen})))
        elif what == "free" and self.stored:
            chosen = random.sample(sorted(self.stored), random.randint(1, len(self.stored)))
            for at in chosen:
                del self.stored[at]
            self.tier.free(chosen)
        elif what == "cancel" and self.calls_under_way():
            random.choice(self.calls_under_way()).cancel()
        elif what == "wait":
            await asyncio.sleep(random.uniform(0, 0.05))
        elif what == "long wait":
            await asyncio.sleep(random.uniform(0, 40))
        else:
            self.change_disk(what, random)

    def calls_under_way(self) -> list[asyncio.Task[None]]:
        return [call for call in self.stores + self.reads if not call.done()]

    def change_disk(self, what: str, random: Random) -> None:
        if what == "hang":
            self.disk.hang()
        elif what == "go on":
            self.disk.go_on()
        elif what == "faults":
            self.disk.write_errors = random.choice([0, 0.3])
            self.disk.short_writes = random.choice([0, 0.3])
            self.disk.read_errors = random.choice([0, 0.3])
            self.disk.capacity_bytes = random.choice([None, LIMIT // 2])
        elif what == "no faults":
            self.disk.write_errors = self.disk.short_writes = self.disk.read_errors = 0
            self.disk.capacity_bytes = None

    async def store(self, pages: list[bytes]) -> None:
        positions = await self.tier.store(blobs_of(pages))
        for position, page in zip(positions, pages, strict=True):
            if position:
                assert position not in self.stored
                self.stored[position] = page

    async def read(self, expected: dict[int, bytes]) -> None:
        faults = self.disk.read_errors
        errors = self.tier.counters.read_errors
        got = await self.tier.read(list(expected), lengths(expected.values()))
        for page, found in zip(expected.values(), got, strict=True):
            assert found in (page, None)
        if faults == 0 and errors == self.tier.counters.read_errors:
            assert None not in got

    def check(self) -> None:
        self.tier._table.verify()
        assert self.disk.races == []
        assert self.tier.bytes_used >= sum(map(len, self.stored.values()))
        assert len(self.disk.content) <= self.tier.limit_bytes
        counters = self.tier.counters
        assert self.tier.pages <= counters.pages_written - counters.freed

    async def end(self) -> None:
        self.change_disk("no faults", Random(0))
        self.disk.go_on()
        done = await asyncio.gather(*self.stores, *self.reads, return_exceptions=True)
        for error in done:
            assert error is None or isinstance(error, asyncio.CancelledError), error
        await until(lambda: not self.disk.calls_under_way)
        assert self.tier.pages == len(self.stored)
        await self.read(dict(self.stored))
        self.check()
        self.tier.free(list(self.stored))
        assert self.tier.pages == 0
        await asyncio.sleep(31)
        assert self.tier.bytes_used == 0, "slots of cancelled stores too"
        assert self.tier.has_room(LIMIT - HEADER_BYTES)
        await self.tier.close()


@given(steps=STEPS, seed=st.integers(0, 2**16))
@settings(max_examples=300, deadline=None)
def test_no_history_gives_a_reader_another_pages_bytes(
    steps: list[tuple[str, int]], seed: int
) -> None:
    async def work() -> None:
        history = History(seed)
        for what, number in steps:
            await history.step(what, number)
            for _ in range(3):  # whatever began has reached the disk
                await asyncio.sleep(0)
            history.check()
        await history.end()

    run(work())
