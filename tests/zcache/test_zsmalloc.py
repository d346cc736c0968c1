import random
from array import array
from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.zcache.test_segments import resident_bytes
from zcache.page import PAGE_SIZE
from zcache.size_classes import BANDS
from zcache.verify import verify_allocator
from zcache.zsmalloc import Zsmalloc


class Owner:
    """A caller of the allocator: handles 1.. and what they should hold."""

    def __init__(self, frames_max: int, chain: int = 8) -> None:
        self.locations = array("Q", bytes(8 * 20_001))
        self.zsmalloc = Zsmalloc(frames_max, chain, self.locations)
        self.blobs: dict[int, bytes] = {}
        self.free = list(range(20_000, 0, -1))

    def store(self, blob: bytes) -> int:
        handle = self.free.pop()
        location = self.zsmalloc.store(blob, handle, self.zsmalloc.frames_max)
        if not location:
            self.free.append(handle)
            return 0
        self.locations[handle] = location
        self.blobs[handle] = blob
        return handle

    def drop(self, handle: int) -> None:
        self.zsmalloc.free(self.locations[handle])
        self.locations[handle] = 0
        del self.blobs[handle]
        self.free.append(handle)

    def check(self) -> None:
        for handle, blob in self.blobs.items():
            assert self.zsmalloc.read(self.locations[handle], len(blob)) == blob
        assert verify_allocator(self.zsmalloc) == []


def blob(length: int, seed: int) -> bytes:
    return random.Random(seed).randbytes(length)


@pytest.mark.parametrize("chain", [4, 8, 16])
def test_every_length_is_stored_and_read_back(chain: int) -> None:
    """Behaviour 73: objects are whole wherever they lie, over frame borders as well."""
    owner = Owner(20_000, chain)
    crossing = 0
    for length in range(1, PAGE_SIZE + 1):
        for seed in range(2):
            handle = owner.store(blob(length, seed))
            location = owner.locations[handle]
            crossing += location // PAGE_SIZE != (location + length - 1) // PAGE_SIZE
    assert crossing > 1000
    owner.check()


def test_store_answers_0_and_changes_nothing_when_frames_are_missing() -> None:
    owner = Owner(frames_max=2)
    assert owner.store(blob(4096, 1))
    assert owner.store(blob(4096, 2))
    assert owner.store(blob(4096, 3)) == 0
    assert owner.store(blob(100, 3)) == 0
    assert owner.zsmalloc.frames_used == owner.zsmalloc.frames_peak == 2
    owner.check()


def test_a_zspage_is_not_begun_when_only_some_of_its_frames_are_there() -> None:
    table = Owner(1).zsmalloc
    long = next(c for c in table.classes if c.frames == 7)
    owner = Owner(frames_max=6)
    assert owner.store(blob(long.size - 8, 1)) == 0
    assert owner.zsmalloc.frames_used == 0
    owner = Owner(frames_max=7)
    assert owner.store(blob(long.size - 8, 1))


def test_allocation_takes_the_fullest_zspage() -> None:
    """Behaviour 76: of several zspages with free slots, the fullest gets the next object."""
    owner = Owner(1000)
    objects = owner.zsmalloc.classes[owner.zsmalloc.table.class_of_length[1000]].objects
    handles = [owner.store(blob(1000, n)) for n in range(3 * objects)]
    owner.drop(handles[0])
    owner.drop(handles[objects])
    owner.drop(handles[objects + 1])
    shift = owner.zsmalloc.window_shift
    # With fewer than ten slots a zspage, one object is a band of its own.
    assert objects < 11
    assert (
        owner.locations[owner.store(blob(1000, 99))] >> shift
        == owner.locations[handles[1]] >> shift
    )


def test_an_emptied_zspage_gives_its_frames_back() -> None:
    """Behaviour 77: no frame stays with an empty zspage, in the count and in real memory."""
    owner = Owner(20_000)
    rng = random.Random(1)
    before = resident_bytes()
    handles = [owner.store(rng.randbytes(rng.randrange(1, 4097))) for _ in range(8000)]
    used = owner.zsmalloc.frames_used * PAGE_SIZE
    full = resident_bytes()
    assert full - before > 0.9 * used
    owner.blobs.clear()
    for handle in handles:
        owner.zsmalloc.free(owner.locations[handle])
    assert owner.zsmalloc.frames_used == 0
    assert owner.zsmalloc.zspages.count == 0
    assert resident_bytes() < full - 0.9 * used
    assert verify_allocator(owner.zsmalloc) == []


def test_class_stats_sum_to_the_totals() -> None:
    """Behaviour 77: the columns of the class table."""
    owner = Owner(5000)
    rng = random.Random(3)
    handles = [owner.store(rng.randbytes(rng.randrange(1, 4097))) for _ in range(3000)]
    for handle in handles[::3]:
        owner.drop(handle)
    rows = owner.zsmalloc.class_stats()
    bands = [f"{n}%" for n in (10, 20, 30, 40, 50, 60, 70, 80, 90, 99, 100)]
    assert list(rows[0]) == [
        "class", "size", *bands, "obj_allocated", "obj_used", "pages_used", "pages_per_zspage",
        "freeable",
    ]  # fmt: skip
    assert sum(row["pages_used"] for row in rows) == owner.zsmalloc.frames_used
    assert sum(row["obj_used"] for row in rows) == len(owner.blobs)
    for row in rows:
        zspages = sum(row[band] for band in bands)
        assert zspages * row["pages_per_zspage"] == row["pages_used"]
    assert sum(row[band] for row in rows for band in bands) == owner.zsmalloc.zspages.count


def fragmented(seed: int, keep: float = 0.4) -> Owner:
    owner = Owner(20_000)
    rng = random.Random(seed)
    handles = [owner.store(rng.randbytes(rng.randrange(1, 3600))) for _ in range(4000)]
    for handle in handles:
        if rng.random() > keep:
            owner.drop(handle)
    return owner


@pytest.mark.parametrize("seed", range(5))
def test_compaction_reaches_what_the_class_table_promises(seed: int) -> None:
    """Behaviours 74 and 75: every freeable zspage is freed, no other; handles and contents stay."""
    owner = fragmented(seed)
    zsmalloc = owner.zsmalloc
    before, peak = zsmalloc.frames_used, zsmalloc.frames_peak
    promised = {}
    for c in zsmalloc.classes:
        free_slots = zsmalloc.class_zspages[c.number] * c.objects - zsmalloc.class_used[c.number]
        promised[c.number] = free_slots // c.objects
        assert zsmalloc.freeable_zspages(c.number) == promised[c.number]
    zspages = list(zsmalloc.class_zspages)
    given_back = zsmalloc.compact()
    assert given_back > 0
    assert given_back == before - zsmalloc.frames_used == zsmalloc.frames_compacted
    assert [a - b for a, b in zip(zspages, zsmalloc.class_zspages, strict=True)] == [
        promised[n] for n in range(len(zspages))
    ]
    assert zsmalloc.frames_peak == peak
    assert zsmalloc.compact() == 0
    owner.check()


def test_compaction_stops_at_the_number_of_frames_asked_for() -> None:
    owner = fragmented(7)
    before = owner.zsmalloc.frames_used
    given_back = owner.zsmalloc.compact(5)
    assert 5 <= given_back <= 5 + 7
    assert owner.zsmalloc.frames_used == before - given_back
    owner.check()


def test_an_overwrite_stays_within_its_slot() -> None:
    owner = Owner(1000)
    handles = [owner.store(blob(500, n)) for n in range(50)]
    assert owner.zsmalloc.same_class(500, 504)
    assert not owner.zsmalloc.same_class(500, 505)
    new = blob(504, 77)
    owner.zsmalloc.overwrite(owner.locations[handles[20]], new)
    owner.blobs[handles[20]] = new
    owner.check()


class AllocatorModel(RuleBasedStateMachine):
    """Behaviours 74 and 78: contents survive anything, and no freed slot aliases a live object."""

    def __init__(self) -> None:
        super().__init__()
        self.owner = Owner(frames_max=60, chain=4)
        self.seed = 0

    @rule(
        length=st.one_of(st.integers(1, 4096), st.sampled_from([24, 600, 1500, 3256, 3257, 4096]))
    )
    def store(self, length: int) -> None:
        self.seed += 1
        zsmalloc = self.owner.zsmalloc
        used = zsmalloc.frames_used
        mask = zsmalloc.zspages.open_bands[zsmalloc.table.class_of_length[length]]
        stored = self.owner.store(blob(length, self.seed))
        if mask:
            assert stored
            assert zsmalloc.frames_used == used
        frames = zsmalloc.classes[zsmalloc.table.class_of_length[length]].frames
        assert bool(stored) == (bool(mask) or used + frames <= 60)

    @rule(times=st.integers(2, 60), length=st.integers(1, 1200))
    def store_many(self, times: int, length: int) -> None:
        for _ in range(times):
            self.store(length)

    @precondition(lambda self: self.owner.blobs)
    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        self.owner.drop(data.draw(st.sampled_from(sorted(self.owner.blobs))))

    @precondition(lambda self: self.owner.blobs)
    @rule(seed=st.integers(0, 1000), share=st.floats(0.1, 0.9))
    def drop_share(self, seed: int, share: float) -> None:
        rng = random.Random(seed)
        for handle in sorted(self.owner.blobs):
            if rng.random() < share:
                self.owner.drop(handle)

    @rule(frames=st.one_of(st.none(), st.integers(1, 10)))
    def compact(self, frames: int | None) -> None:
        used = self.owner.zsmalloc.frames_used
        assert self.owner.zsmalloc.compact(frames) == used - self.owner.zsmalloc.frames_used

    @invariant()
    def all_is_as_it_should_be(self) -> None:
        self.owner.check()
        assert self.owner.zsmalloc.frames_used <= 60
        assert not any(self.owner.zsmalloc.zspages.band_counts[::BANDS])


AllocatorModel.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestAllocatorModel: Callable[..., None] = AllocatorModel.TestCase
