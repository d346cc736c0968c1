"""A program's memory in user space."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from ramster.bench.device_pages import StorePages
from ramster.bench.pager import Pager
from ramster.bench.plain_store import PlainStore
from ramster.bench.stamped_pages import stamped
from zcache import PAGE_SIZE, Buffer, PoolKind

CONTENTS = stamped(2.5, seed=0, distinct=4)


class CountingPages(StorePages):
    """Remembers what was asked of the device."""

    def __init__(self, pages: int) -> None:
        store = PlainStore(pages * PAGE_SIZE)
        super().__init__(store, store.create_pool(PoolKind.PERSISTENT), 1)
        self.calls: list[tuple[str, int, int]] = []

    async def write(self, first: int, payload: Buffer) -> None:
        self.calls.append(("write", first, len(payload) // PAGE_SIZE))
        await super().write(first, payload)

    async def read(self, first: int, count: int) -> Buffer:
        self.calls.append(("read", first, count))
        return await super().read(first, count)


def test_neighbours_are_evicted_and_read_together_and_clean_pages_are_not_written_again() -> None:
    async def run() -> None:
        device = CountingPages(64)
        pager = Pager(device, resident_max=16, cluster=4)
        for number in range(24):
            await pager.set(number, CONTENTS.page(number))
        assert device.calls == [("write", 0, 4), ("write", 4, 4)]
        device.calls.clear()
        for number in range(8):
            assert await pager.read(number) == CONTENTS.page(number)
        reads = [call for call in device.calls if call[0] == "read"]
        assert reads == [("read", 0, 4), ("read", 4, 4)]
        # The pages read back were not changed: to evict them costs no write.
        for number in range(8, 16):
            await pager.set(number, CONTENTS.page(number, 1))
        device.calls.clear()
        for number in range(32, 40):
            await pager.set(number, CONTENTS.page(number))
        written = [call[1] for call in device.calls if call[0] == "write"]
        assert not {0, 4} & set(written)
        assert pager.resident <= 16

    asyncio.run(run())


def test_what_the_device_refuses_is_counted_and_gone_and_may_be_set_anew() -> None:
    async def run() -> None:
        pager = Pager(CountingPages(4), resident_max=4, cluster=2)
        for number in range(10):
            await pager.set(number, CONTENTS.page(number))
        assert (pager.pages_out, pager.pages_refused) == (4, 2)
        assert await pager.read(4) is None
        assert await pager.read(0) == CONTENTS.page(0)
        await pager.set(4, CONTENTS.page(4, 1))
        assert await pager.read(4) == CONTENTS.page(4, 1)

    asyncio.run(run())


STEPS = st.lists(
    st.tuples(st.sampled_from(["set", "set", "read", "read", "discard"]), st.integers(0, 19)),
    max_size=120,
)


@given(steps=STEPS, room=st.integers(2, 24), resident=st.integers(1, 12), cluster=st.integers(1, 5))
def test_a_page_is_as_it_was_set_last_or_gone_by_refusal(
    steps: list[tuple[str, int]], room: int, resident: int, cluster: int
) -> None:
    async def run() -> None:
        pager = Pager(CountingPages(room), resident, cluster)
        model: dict[int, bytes] = {}
        for version, (what, number) in enumerate(steps):
            if what == "set":
                model[number] = CONTENTS.page(number, version)
                await pager.set(number, model[number])
            elif what == "discard":
                await pager.discard(number, 3)
                for gone in range(number, number + 3):
                    model.pop(gone, None)
            else:
                page = await pager.read(number)
                if page is None:
                    assert number not in model or pager.pages_refused
                    model.pop(number, None)
                else:
                    assert page == model[number]
            assert pager.resident <= max(resident, 1)
        lost = [number for number in model if await pager.read(number) is None]
        assert len(lost) <= pager.pages_refused

    asyncio.run(run())
