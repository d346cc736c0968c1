"""The whole cache against a model: a dictionary of pages, and what its lenders would hold."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    precondition,
    rule,
)

from tests.zcache.backends import BACKENDS
from tests.zcache.pages import (
    EPHEMERAL,
    PERSISTENT,
    mixed_page,
    packed,
    random_page,
    same_page,
    text_page,
)
from zcache import (
    PAGE_SIZE,
    AwayPage,
    AwayPages,
    CacheConfig,
    CacheFullError,
    GetFree,
    PackedBlobs,
    PoolKind,
    RestoreStatus,
    SpillTicket,
    place_of,
    where_of,
)

FRAMES = 48
PAGES = (
    [same_page(n * 0x0101010101010101) for n in range(3)]
    + [text_page(n) for n in range(6)]
    + [random_page(n) for n in range(4)]
    + [mixed_page(n, 60 + n * 400) for n in range(9)]
)
Handle = tuple[int, int, int]
indexes = st.one_of(st.integers(0, 20), st.sampled_from([63, 64, 65, 2**40, 2**64 - 1]))
objects = st.integers(1, 2)
page_numbers = st.integers(0, len(PAGES) - 1)
places = st.sampled_from([1, 2, 2**32 - 1])
positions = st.sampled_from([0, 1, 2, 2**31, 2**32 - 1])
Stub = tuple[int, int, int]


@dataclass
class ModelPool:
    kind: PoolKind
    exclusive: bool


def rows(blobs: PackedBlobs) -> list[tuple[tuple[int, int], tuple[int, int, bytes]]]:
    """((key, generation), (encoding, checksum, bytes)) of each blob."""
    payload, at, found = bytes(blobs.payload), 0, []
    for n, length in enumerate(blobs.lengths):
        blob = payload[at : at + length]
        at += length
        name = (blobs.keys[n], blobs.generations[n])
        found.append((name, (blobs.encodings[n], blobs.checksums[n], blob)))
    return found


class CacheModel(RuleBasedStateMachine):
    """Behaviours 3, 23, 24, 32, 46: nothing stale, nothing lost, within the limit, all sums right.

    ``pages``   handle -> page of every page that must be there (persistent) or may be (ephemeral)
    ``copies``  (where, key, generation) -> blob: what lenders hold, until told to drop it
    ``seen``    (key, generation, where) of stubs, those of pages that changed since among them
    """

    backend = "python"
    tickets = Bundle("tickets")

    def __init__(self) -> None:
        super().__init__()
        self.cache = BACKENDS[self.backend](
            CacheConfig(
                pool_bytes_max=FRAMES * PAGE_SIZE,
                foreign_bytes_max=12 * PAGE_SIZE,
                chain_frames_max=4,
            )
        )
        self.pools: dict[int, ModelPool] = {}
        self.pages: dict[Handle, bytes] = {}
        self.copies: dict[tuple[int, int, int], tuple[int, int, bytes]] = {}
        self.seen: list[Stub] = []
        self.moved = 0
        self.open_names: dict[int, int] = {}
        self.ever: set[tuple[int, int]] = set()
        self.foreign: dict[PoolKind, dict[int, tuple[int, bytes]]] = {PERSISTENT: {}, EPHEMERAL: {}}
        self.lent: dict[PoolKind, int] = {}
        self.frozen = False

    @initialize()
    def begin(self) -> None:
        self.create_pool(PERSISTENT, exclusive=False, codec=None)
        self.create_pool(EPHEMERAL, exclusive=False, codec=None)
        self.lent = {kind: self.cache.create_pool(kind, foreign=True) for kind in self.foreign}

    # -- pools -----------------------------------------------------------------------------------

    @precondition(lambda self: len(self.pools) < 4)
    @rule(
        kind=st.sampled_from(list(PoolKind)),
        exclusive=st.booleans(),
        codec=st.sampled_from([None, "lz4", "zstd", "none"]),
    )
    def create_pool(self, kind: PoolKind, exclusive: bool, codec: str | None) -> None:
        taken = set(self.pools) | set(self.lent.values())
        pool = self.cache.create_pool(kind, exclusive_gets=exclusive, codec=codec)
        assert pool == min(set(range(10)) - taken)
        self.pools[pool] = ModelPool(kind, exclusive)

    @precondition(lambda self: len(self.pools) > 2)
    @rule(data=st.data())
    def destroy_pool(self, data: st.DataObject) -> None:
        pool = data.draw(st.sampled_from(sorted(self.pools)))
        known = [handle for handle in self.pages if handle[0] == pool]
        removed = self.cache.destroy_pool(pool)
        self.expect_removed(self.pools.pop(pool).kind, removed, known)

    def some_pool(self, data: st.DataObject) -> int:
        return data.draw(st.sampled_from(sorted(self.pools)), label="pool")

    def some_page(self, data: st.DataObject) -> Handle:
        return data.draw(st.sampled_from(sorted(self.pages)), label="page")

    # -- pages -----------------------------------------------------------------------------------

    @rule(
        data=st.data(),
        object_id=objects,
        batch=st.lists(st.tuples(indexes, page_numbers), min_size=1, max_size=8),
        keep_old=st.booleans(),
    )
    def put(
        self, data: st.DataObject, object_id: int, batch: list[tuple[int, int]], keep_old: bool
    ) -> None:
        self.put_to(self.some_pool(data), object_id, batch, keep_old)

    def put_to(
        self, pool: int, object_id: int, batch: list[tuple[int, int]], keep_old: bool
    ) -> None:
        payload = b"".join(PAGES[number] for _, number in batch)
        stored = len(batch)
        try:
            self.cache.put_many(
                pool, object_id, [index for index, _ in batch], payload, keep_old=keep_old
            )
        except CacheFullError as refused:
            stored = refused.stored
        for index, number in batch[:stored]:
            if self.frozen:
                self.pages.pop((pool, object_id, index), None)
            else:
                self.pages[pool, object_id, index] = PAGES[number]
        if stored < len(batch) and not (keep_old and self.pools[pool].kind == PERSISTENT):
            self.pages.pop((pool, object_id, batch[stored][0]), None)

    @rule(data=st.data(), object_id=objects, start=st.integers(0, 40), count=st.integers(1, 40))
    def fill(self, data: st.DataObject, object_id: int, start: int, count: int) -> None:
        for n in range(start, start + count):
            self.put(data, object_id, [(n, n % len(PAGES))], False)

    @rule(data=st.data(), object_id=objects, index=indexes, free=st.sampled_from(list(GetFree)))
    def get(self, data: st.DataObject, object_id: int, index: int, free: GetFree) -> None:
        pool = self.some_pool(data)
        self.check(pool, object_id, index, self.cache.get(pool, object_id, index, free=free), free)

    @rule(
        data=st.data(),
        object_id=objects,
        batch=st.lists(indexes, max_size=12, unique=True),
        free=st.sampled_from(list(GetFree)),
    )
    def get_many(
        self, data: st.DataObject, object_id: int, batch: list[int], free: GetFree
    ) -> None:
        pool = self.some_pool(data)
        into = bytearray(len(batch) * PAGE_SIZE)
        states, away = self.cache.get_many(pool, object_id, batch, into, free=free)
        names = {p: away_page(away, n) for n, p in enumerate(away.positions)}
        for n, state in enumerate(states):
            page = bytes(into[n * PAGE_SIZE : (n + 1) * PAGE_SIZE])
            got = {0: None, 1: page, 2: names.get(n)}[state]
            self.check(pool, object_id, batch[n], got, free)

    def check(self, pool: int, object_id: int, index: int, got: object, free: GetFree) -> None:
        handle = (pool, object_id, index)
        wanted = self.pages.get(handle)
        model = self.pools[pool]
        if got is None:
            assert wanted is None or model.kind == EPHEMERAL
            self.pages.pop(handle, None)
            return
        assert wanted is not None
        if isinstance(got, AwayPage):
            encoding, checksum, blob = self.copies[got.where, got.key, got.generation]
            assert (encoding, checksum, len(blob)) == (got.encoding, got.checksum, got.length)
            return
        assert got == wanted
        by_kind = model.kind == EPHEMERAL or model.exclusive
        if free == GetFree.ALWAYS or (free == GetFree.BY_KIND and by_kind):
            del self.pages[handle]

    @rule(data=st.data(), object_id=objects, index=indexes)
    def flush(self, data: st.DataObject, object_id: int, index: int) -> None:
        pool = self.some_pool(data)
        found = self.cache.flush(pool, object_id, index)
        known = [h for h in [(pool, object_id, index)] if h in self.pages]
        self.expect_removed(self.pools[pool].kind, int(found), known)

    @rule(data=st.data(), object_id=objects, start=st.integers(0, 30), length=st.integers(0, 30))
    def flush_range(self, data: st.DataObject, object_id: int, start: int, length: int) -> None:
        pool = self.some_pool(data)
        removed = self.cache.flush_range(pool, object_id, start, start + length)
        known = [
            h for h in self.pages if h[:2] == (pool, object_id) and start <= h[2] < start + length
        ]
        self.expect_removed(self.pools[pool].kind, removed, known)

    @rule(data=st.data(), object_id=objects, pages_max=st.integers(1, 8))
    def flush_range_in_slices(self, data: st.DataObject, object_id: int, pages_max: int) -> None:
        pool = self.some_pool(data)
        removed = pages_max
        total = 0
        while removed == pages_max:
            removed = self.cache.flush_range(pool, object_id, 0, 2**64, pages_max=pages_max)
            total += removed
        known = [h for h in self.pages if h[:2] == (pool, object_id)]
        self.expect_removed(self.pools[pool].kind, total, known)

    @rule(data=st.data(), object_id=objects)
    def flush_object(self, data: st.DataObject, object_id: int) -> None:
        pool = self.some_pool(data)
        removed = self.cache.flush_object(pool, object_id)
        known = [h for h in self.pages if h[:2] == (pool, object_id)]
        self.expect_removed(self.pools[pool].kind, removed, known)

    def expect_removed(self, kind: PoolKind, removed: int, known: list[Handle]) -> None:
        assert removed <= len(known) if kind == EPHEMERAL else removed == len(known)
        for handle in known:
            del self.pages[handle]

    @rule(data=st.data(), object_id=objects, start=st.integers(0, 20), length=st.integers(1, 90))
    def extents(self, data: st.DataObject, object_id: int, start: int, length: int) -> None:
        pool = self.some_pool(data)
        runs = self.cache.extents(pool, object_id, start, start + length)
        at, stored = start, set()
        for first, count, there in runs:
            assert first == at
            at += count
            if there:
                stored |= set(range(first, first + count))
        assert at == start + length
        of_object = {h[2] for h in self.pages if h[:2] == (pool, object_id)}
        known = {index for index in of_object if start <= index < at}
        assert stored <= known if self.pools[pool].kind == EPHEMERAL else stored == known

    # -- spilling --------------------------------------------------------------------------------

    @rule(
        target=tickets,
        kind=st.sampled_from(list(PoolKind)),
        bytes_max=st.sampled_from([1, 5000, 100_000]),
        pages_max=st.integers(1, 20),
    )
    def begin_spill(self, kind: PoolKind, bytes_max: int, pages_max: int) -> SpillTicket | None:
        ticket = self.cache.begin_spill(bytes_max, kind=kind, pages_max=pages_max)
        if ticket is not None:
            names = {name for name, _ in rows(ticket.blobs)}
            assert not names & self.ever, "a name is given out once"
            assert len(ticket.pools) == len(names)
            assert {self.pools[pool].kind for pool in ticket.pools} == {kind}
            self.ever |= names
            self.open_names[ticket.ticket_id] = len(names)
        return ticket

    @rule(
        ticket=consumes(tickets),
        place=places,
        position=positions,
        column=st.booleans(),
        seed=st.integers(0, 99),
    )
    def finish_spill(
        self, ticket: SpillTicket | None, place: int, position: int, column: bool, seed: int
    ) -> None:
        """To one word, or (``column``) each page to its own place and position."""
        if ticket is None:
            return
        rng = random.Random(seed)
        accepted = bytes(rng.random() < 0.7 or not seed % 3 for _ in ticket.blobs.keys)
        wheres = [where_of(place, position)] * len(accepted)
        if column:
            wheres = [where_of(rng.choice([place, 1, 2]), rng.randrange(2**32)) for _ in accepted]
            wheres = [where if accepted[n] else 0 for n, where in enumerate(wheres)]
        away = self.cache.stats().pages_away
        gone = self.cache.finish_spill(
            ticket, wheres if column else wheres[0], accepted if seed % 3 else None
        )
        assert self.cache.stats().pages_away == away + gone
        for n, (name, blob) in enumerate(rows(ticket.blobs)):
            if accepted[n]:
                self.copies[(wheres[n], *name)] = blob
                self.seen.append((*name, wheres[n]))
        del self.open_names[ticket.ticket_id]

    @precondition(lambda self: self.cache.stats().pages_local)
    @rule(
        kind=st.sampled_from(list(PoolKind)),
        pages_max=st.integers(1, 30),
        place=places,
        position=positions,
        column=st.booleans(),
        seed=st.integers(0, 99),
    )
    def spill(
        self, kind: PoolKind, pages_max: int, place: int, position: int, column: bool, seed: int
    ) -> None:
        ticket = self.begin_spill(kind, 2**20, pages_max)
        self.finish_spill(ticket, place, position, column, seed)

    @precondition(lambda self: self.pages)
    @rule(data=st.data(), number=page_numbers, keep_old=st.booleans())
    def put_again(self, data: st.DataObject, number: int, keep_old: bool) -> None:
        pool, object_id, index = self.some_page(data)
        self.put_to(pool, object_id, [(index, number)], keep_old)

    @precondition(lambda self: self.pages)
    @rule(data=st.data())
    def flush_a_page(self, data: st.DataObject) -> None:
        pool, object_id, index = self.some_page(data)
        found = self.cache.flush(pool, object_id, index)
        self.expect_removed(self.pools[pool].kind, int(found), [(pool, object_id, index)])

    @rule(ticket=consumes(tickets), warm=st.booleans())
    def cancel_spill(self, ticket: SpillTicket | None, warm: bool) -> None:
        if ticket is not None:
            self.cache.cancel_spill(ticket, warm=warm)
            del self.open_names[ticket.ticket_id]

    @rule(pages_max=st.sampled_from([1, 5, 65536]))
    def drain_displaced(self, pages_max: int) -> None:
        displaced = self.cache.drain_displaced(pages_max)
        assert len(displaced) <= pages_max
        for n in range(len(displaced)):
            page = away_page(displaced, n)
            encoding, checksum, blob = self.copies.pop((page.where, page.key, page.generation))
            assert (encoding, checksum, len(blob)) == (page.encoding, page.checksum, page.length)

    # -- fetching --------------------------------------------------------------------------------

    @precondition(lambda self: self.cache.stats().pages_away)
    @rule(
        data=st.data(),
        install=st.booleans(),
        free=st.sampled_from(list(GetFree)),
        decode=st.booleans(),
        damage=st.booleans(),
    )
    def restore(
        self,
        data: st.DataObject,
        install: bool,
        free: GetFree,
        decode: bool,
        damage: bool,
    ) -> None:
        away_now = sorted(self.stubs())
        pool, object_id, _ = data.draw(st.sampled_from(away_now), label="away")
        batch = [h[2] for h in away_now if h[:2] == (pool, object_id)][:12]
        away = self.cache.peek_away(pool, object_id, batch)
        assert len(away) == len(batch)
        wanted = [batch[p] for p in away.positions]
        pages = [away_page(away, n) for n in range(len(away))]
        held = [self.copies[p.where, p.key, p.generation] for p in pages]
        payload = [blob for _, _, blob in held]
        if damage:
            payload[0] = bytes([payload[0][0] ^ 1]) + payload[0][1:]
        blobs = PackedBlobs(
            away.keys,
            away.generations,
            away.lengths,
            away.encodings,
            away.checksums,
            b"".join(payload),
        )
        into = bytearray(len(wanted) * PAGE_SIZE) if decode else None
        statuses = self.cache.restore_many(
            pool, object_id, wanted, blobs, into, install=install, free=free
        )
        model = self.pools[pool]
        by_kind = model.kind == EPHEMERAL or model.exclusive
        frees = free == GetFree.ALWAYS or (free == GetFree.BY_KIND and by_kind)
        for n, status in enumerate(statuses):
            handle = (pool, object_id, wanted[n])
            if damage and n == 0:
                assert status == RestoreStatus.CORRUPT
                continue
            assert status == RestoreStatus.RESTORED
            if into is not None:
                assert into[n * PAGE_SIZE : (n + 1) * PAGE_SIZE] == self.pages[handle]
            if frees:
                del self.pages[handle]

    @rule(place=places, kind=st.sampled_from(list(PoolKind)))
    def a_lender_dies(self, place: int, kind: PoolKind) -> None:
        lost = {
            handle: stub
            for handle, stub in self.stubs().items()
            if place_of(stub[2]) == place and self.pools[handle[0]].kind == kind
        }
        assert self.cache.forget_where(place, kind) == len(lost)
        for handle, (key, generation, where) in lost.items():
            del self.copies[where, key, generation]
            del self.pages[handle]

    @rule(place=places, pages_max=st.integers(1, 9))
    def scan(self, place: int, pages_max: int) -> None:
        found: dict[Handle, Stub] = {}
        cursor = 0
        while True:
            more, away, cursor = self.cache.scan_away(place, cursor=cursor, pages_max=pages_max)
            names = zip(away.keys, away.generations, away.wheres, strict=True)
            found.update(zip(more, names, strict=True))
            if not cursor:
                break
        assert found == {h: stub for h, stub in self.stubs().items() if place_of(stub[2]) == place}

    @precondition(lambda self: self.seen)
    @rule(data=st.data(), place=places, position=positions, stay=st.booleans())
    def move(self, data: st.DataObject, place: int, position: int, stay: bool) -> None:
        """Rows of stubs as they are and as they were once, and rows that name nothing."""
        before = self.stubs()
        batch = data.draw(st.lists(st.sampled_from(self.seen), max_size=12), label="seen")
        key, generation, where = self.seen[-1]
        batch += [(-key, generation, where), (2**64 - 1, generation, where), (0, 0, 0)]
        batch += [(key, generation + 1, where), (key, generation, where ^ 1 << 32)]
        if before:
            batch += data.draw(st.lists(st.sampled_from(sorted(before.values()))), label="now")
        to = [where_of(place, (position + n) % 2**32) for n in range(len(batch))]
        if stay:
            to = [where for _, _, where in batch]
        wanted = {(key, generation): where for key, generation, where in before.values()}
        changed = []
        for (key, generation, where), word in zip(batch, to, strict=True):
            changed.append(wanted.get((key, generation)) == where)
            if changed[-1]:
                wanted[key, generation] = word
                self.copies[word, key, generation] = self.copies.pop((where, key, generation))
                self.seen.append((key, generation, word))
        keys, generations, wheres = (list(column) for column in zip(*batch, strict=True))
        assert list(self.cache.move_away(keys, generations, wheres, to)) == changed
        self.moved += sum(changed)
        assert self.cache.stats().pages_moved == self.moved
        assert self.stubs() == {h: (k, g, wanted[k, g]) for h, (k, g, _) in before.items()}

    def stubs(self) -> dict[Handle, Stub]:
        """Every page that is away, and its (key, generation, where)."""
        found = {}
        for handle in self.pages:
            away = self.cache.peek_away(handle[0], handle[1], [handle[2]])
            if len(away):
                found[handle] = (away.keys[0], away.generations[0], away.wheres[0])
        return found

    # -- lending ---------------------------------------------------------------------------------

    @rule(
        kind=st.sampled_from(list(PoolKind)),
        batch=st.lists(
            st.tuples(st.integers(0, 9), st.integers(1, 9), st.integers(1, 4096)), max_size=6
        ),
    )
    def adopt(self, kind: PoolKind, batch: list[tuple[int, int, int]]) -> None:
        self.forget_evicted()
        made = [(k, g, random.Random(k * g * n).randbytes(n)) for k, g, n in batch]
        held = self.foreign[kind]
        for (key, generation, blob), status in zip(
            made, self.cache.adopt(self.lent[kind], 1, packed(made)), strict=True
        ):
            older = key not in held or held[key][0] < generation
            assert (status == 3) == (not older)
            if older:
                held.pop(key, None)
            if status == 0:
                held[key] = (generation, blob)
        assert self.cache.stats().bytes_foreign_slots <= 12 * PAGE_SIZE

    @rule(
        kind=st.sampled_from(list(PoolKind)),
        names=st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), unique_by=lambda n: n[0]),
    )
    def flush_adopted(self, kind: PoolKind, names: list[tuple[int, int]]) -> None:
        self.forget_evicted()
        held = self.foreign[kind]
        gone = [k for k, g in names if k in held and held[k][0] <= g]
        keys, generations = [k for k, _ in names], [g for _, g in names]
        assert self.cache.flush_adopted(self.lent[kind], 1, keys, generations) == len(gone)
        for key in gone:
            del held[key]

    @rule(bytes_max=st.sampled_from([-1, 0, 1, 5000, 2**40]))
    def drop_foreign_ephemeral(self, bytes_max: int) -> None:
        self.forget_evicted()
        held = self.foreign_bytes(EPHEMERAL)
        dropped = self.cache.drop_foreign_ephemeral(bytes_max)
        assert min(held, max(0, bytes_max)) <= dropped <= held
        assert dropped == 0 or dropped < bytes_max + PAGE_SIZE
        self.forget_evicted()
        assert self.foreign_bytes(EPHEMERAL) == held - dropped

    @rule()
    def forget_evicted(self) -> None:
        """Read all blobs: foreign ephemeral pages may be gone, and the model lets go of those."""
        for kind, held in self.foreign.items():
            found, blobs = self.cache.read_adopted(
                self.lent[kind], 1, list(held), [generation for generation, _ in held.values()]
            )
            assert kind == EPHEMERAL or all(found)
            gone = [key for key, there in zip(held, found, strict=True) if not there]
            for key in gone:
                del held[key]
            assert bytes(blobs.payload) == b"".join(blob for _, blob in held.values())

    def foreign_bytes(self, kind: PoolKind) -> int:
        return sum(len(blob) for _, blob in self.foreign[kind].values())

    # -- the cache as a whole --------------------------------------------------------------------

    @rule(data=st.data(), object_id=objects, batch=st.lists(indexes, min_size=1, max_size=4))
    def put_while_frozen(self, data: st.DataObject, object_id: int, batch: list[int]) -> None:
        self.cache.freeze()
        self.frozen = True
        self.put(data, object_id, [(index, 0) for index in batch], False)
        self.cache.freeze(False)
        self.frozen = False

    @rule(
        frames=st.sampled_from([12, 30, FRAMES]),
        accept=st.sampled_from([0.5, 1.0]),
        codec=st.sampled_from(["lz4", "zstd", "none"]),
    )
    def reconfigure(self, frames: int, accept: float, codec: str) -> None:
        self.cache.reconfigure(
            pool_bytes_max=frames * PAGE_SIZE, accept_watermark=accept, codec=codec
        )

    @rule(frames=st.one_of(st.none(), st.integers(1, 6)))
    def compact(self, frames: int | None) -> None:
        used = self.cache.stats().frames_used
        assert self.cache.compact(frames) == used - self.cache.stats().frames_used

    @invariant()
    def all_sums_are_right(self) -> None:
        self.cache.verify()
        stats = self.cache.stats()
        assert stats.zombie_blobs == sum(self.open_names.values()) - stats.pages_in_transit
        persistent = sum(self.pools[h[0]].kind == PERSISTENT for h in self.pages)
        assert stats.pages_persistent == persistent
        assert stats.pages_ephemeral <= len(self.pages) - persistent
        four = (
            stats.pages_local + stats.pages_same_filled + stats.pages_in_transit + stats.pages_away
        )
        assert four == stats.pages_persistent + stats.pages_ephemeral
        persistent, ephemeral = (self.cache.foreign_bytes(self.lent[k]) for k in self.foreign)
        assert persistent == self.foreign_bytes(PERSISTENT)
        assert ephemeral <= self.foreign_bytes(EPHEMERAL)
        assert stats.bytes_foreign == persistent + ephemeral
        # Every copy elsewhere is named by a stub or queued as displaced, until its lender is gone.
        assert stats.pages_away + stats.displaced_pending == len(self.copies)
        away = Counter(
            (place_of(where), self.pools[handle[0]].kind)
            for handle, (_, _, where) in self.stubs().items()
        )
        assert stats.away_by_where == {
            place: (away[place, PERSISTENT], away[place, EPHEMERAL]) for place, _ in away
        }
        assert stats.frames_used_peak <= FRAMES

    def teardown(self) -> None:
        for (pool, object_id, index), page in self.pages.items():
            got = self.cache.get(pool, object_id, index, free=GetFree.NEVER)
            if self.pools[pool].kind == PERSISTENT:
                assert isinstance(got, AwayPage) or got == page
            else:
                assert got is None or isinstance(got, AwayPage) or got == page


def away_page(pages: AwayPages, row: int) -> AwayPage:
    return AwayPage(
        pages.keys[row],
        pages.generations[row],
        pages.lengths[row],
        pages.encodings[row],  # type: ignore[arg-type]
        pages.checksums[row],
        pages.wheres[row],
    )


@pytest.mark.parametrize("backend", sorted(BACKENDS))
def test_cache_model(backend: str) -> None:
    model: type[CacheModel] = type("Model", (CacheModel,), {"backend": backend})
    machine: Callable[[], None] = model.TestCase().runTest
    model.TestCase.settings = settings(
        max_examples=100,
        stateful_step_count=50,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    machine()
