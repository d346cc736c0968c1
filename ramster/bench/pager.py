"""A program's memory in user space: a few pages resident, the others in a device of pages.

Covers: faults with readahead, eviction of the least recently used in clusters, and what happens
when the device refuses. Does not cover: what the program does; page tables, userfaultfd: nothing
here is mapped, a program asks for a page and gets its bytes.

As a kernel with a swap device does it: a page that was evicted and came back stays on the device
until it is changed, so an unchanged page is evicted without being written.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator

from ramster.bench.device_pages import DevicePages, PagesRefusedError
from zcache import PAGE_SIZE

__all__ = ["Pager"]


class Pager:
    """Pages of a device by number; one task at a time uses it.

    ``resident_max``: pages in memory. ``cluster``: pages read by one fault at most (neighbours that
    lie in the same aligned group) and pages evicted together.
    """

    def __init__(self, device: DevicePages, resident_max: int, cluster: int = 8) -> None:
        self._device = device
        self._resident_max = resident_max
        self._cluster = min(cluster, max(1, resident_max // 4))
        self._resident: OrderedDict[int, bytes] = OrderedDict()
        """The least recently used first."""
        self._dirty: set[int] = set()
        """Resident and not on the device as they are."""
        self._stored: set[int] = set()
        """On the device, as they were when they were last written."""
        self.pages_in = 0
        """Pages read from the device."""
        self.pages_out = 0
        """Pages that the device took."""
        self.pages_refused = 0
        """Pages that it did not take: they are gone, and the program was as good as killed."""

    @property
    def resident(self) -> int:
        """Pages in memory."""
        return len(self._resident)

    async def read(self, number: int) -> bytes | None:
        """The page, faulted in where it is not resident; None: never set, discarded, or refused."""
        page = self._resident.get(number)
        if page is not None:
            self._resident.move_to_end(number)
            return page
        if number not in self._stored:
            return None
        first, stop = self._to_read(number)
        await self._make_room(stop - first)
        data = memoryview(await self._device.read(first, stop - first))
        self.pages_in += stop - first
        for n in range(first, stop):
            at = (n - first) * PAGE_SIZE
            self._resident[n] = bytes(data[at : at + PAGE_SIZE])
        self._resident.move_to_end(number)
        return self._resident[number]

    def _to_read(self, number: int) -> tuple[int, int]:
        """The run around a page that one fault reads: on the device, not resident."""
        group = number // self._cluster * self._cluster
        first, stop = number, number + 1
        while first > group and self._wanted(first - 1):
            first -= 1
        while stop < group + self._cluster and self._wanted(stop):
            stop += 1
        return first, stop

    def _wanted(self, number: int) -> bool:
        return number in self._stored and number not in self._resident

    async def set(self, number: int, page: bytes) -> None:
        """Change a page as a whole; evicts others where there is no room for it."""
        if number not in self._resident:
            await self._make_room(1)
        self._resident[number] = page
        self._resident.move_to_end(number)
        self._dirty.add(number)

    async def discard(self, first: int, count: int) -> None:
        """Forget pages, here and on the device."""
        numbers = range(first, first + count)
        for number in numbers:
            self._resident.pop(number, None)
            self._dirty.discard(number)
        if not self._stored.isdisjoint(numbers):
            await self._device.discard(first, count)
            self._stored.difference_update(numbers)

    async def _make_room(self, pages: int) -> None:
        if len(self._resident) + pages <= self._resident_max:
            return
        coldest = iter(self._resident)
        leaving = [number for _, number in zip(range(max(pages, self._cluster)), coldest)]  # noqa: B905  the shorter one ends it
        for first, stop in _runs(sorted(self._dirty.intersection(leaving))):
            await self._evict(first, stop)
        for number in leaving:
            del self._resident[number]
        self._dirty.difference_update(leaving)

    async def _evict(self, first: int, stop: int) -> None:
        numbers = range(first, stop)
        try:
            await self._device.write(first, b"".join([self._resident[n] for n in numbers]))
        except PagesRefusedError:
            if stop - first > 1:
                for number in numbers:  # which of them are stored is not said
                    await self._evict(number, number + 1)
                return
            self.pages_refused += 1
            if first in self._stored:
                await self._device.discard(first, 1)  # what it has is an older page
                self._stored.discard(first)
        else:
            self.pages_out += stop - first
            self._stored.update(numbers)


def _runs(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """(first, stop) of neighbours in ascending numbers."""
    first = stop = -1
    for number in numbers:
        if number != stop:
            if stop > first:
                yield first, stop
            first = number
        stop = number + 1
    if stop > first:
        yield first, stop
