"""The state machine that gives two caches the same operations.

Covers: every operation of the contract, with right and wrong arguments. Does not cover: whether
answers are right (``tests/zcache/test_model.py``); here they only have to be the same.
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Callable
from functools import lru_cache
from itertools import accumulate
from typing import Any
from uuid import UUID

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from tests.parity.twins import Buffers, Pair, Twins
from tests.zcache.pages import mixed_page, packed, random_page, same_page, text_page
from zcache import (
    PAGE_SIZE,
    AwayPages,
    CacheConfig,
    CacheContract,
    GetFree,
    PackedBlobs,
    PoolKind,
    where_of,
)

__all__ = ["Parity"]

Name = tuple[int, int]
"""(key, generation)"""

POOLS_MAX = 7
CODECS = ["lz4", "zstd", "none"]

kinds = st.sampled_from(list(PoolKind))
frees = st.sampled_from([*GetFree, GetFree.BY_KIND, GetFree.NEVER])
pools = st.integers(0, 11)
"""Which of the pools that there are; the machine counts them through."""
objects = st.sampled_from([1, 1, 1, 1, 1, 2, 2**64, 2**192 - 2])
indexes = st.one_of(
    st.integers(0, 12), st.integers(0, 12), st.sampled_from([63, 64, 70, 127, 2**40, 2**64 - 1])
)
batches = st.one_of(
    st.lists(indexes, min_size=1, max_size=6),
    st.builds(lambda start, count: range(start, start + count), pools, st.integers(0, 9)),
)
ends = st.sampled_from([0, 1, 5, 13, 63, 64, 65, 128, 2**40 + 1, 2**64 - 1, 2**64])
contents = st.tuples(
    st.sampled_from(["zero", "same", "text", "mixed", "mixed", "mixed", "mixed", "random"]),
    st.integers(0, 5),
    st.sampled_from([16, 60, 200, 400, 900, 1400, 1900, 2400, 3000, 3500, 3616, 3640]),
)
seeds = st.integers(0, 2**32 - 1)
counts = st.sampled_from([0, 1, 2, 5, 1000])
places = st.integers(1, 3)
words = st.builds(where_of, places, st.integers(0, 3))
bad_words = st.sampled_from([0, 1 << 32, -1, 2**64, 2**70])


@lru_cache(maxsize=1024)
def page_of(content: tuple[str, int, int]) -> bytes:
    kind, seed, noise = content
    match kind:
        case "zero":
            return bytes(PAGE_SIZE)
        case "same":
            return same_page(seed * 0x0101010101010101)
        case "text":
            return text_page(seed)
        case "mixed":
            return mixed_page(seed, noise)
        case _:
            return random_page(seed)


class Parity(RuleBasedStateMachine):
    """Set ``first`` and ``second`` in a subclass."""

    first: Callable[[CacheConfig], CacheContract]
    second: Callable[[CacheConfig], CacheContract]

    def __init__(self) -> None:
        super().__init__()
        self.tickets: list[Pair] = []
        self.ended: list[Pair] = []
        self.blobs: dict[Name, tuple[int, int, bytes]] = {}
        """What tickets handed out: encoding, checksum, blob."""
        self.stubs: list[tuple[int, int, int]] = [(5, 1, 1)]
        """(key, generation, where) of pages that were away at some time."""
        self.own: list[int] = []
        self.lent: list[int] = []

    @initialize(
        frames=st.sampled_from([14, 30, 60, 200]),
        chain=st.sampled_from([4, 8]),
        watermark=st.sampled_from([0.5, 0.9, 1.0]),
        accept=st.sampled_from([0.6, 1.0]),
        codec=st.sampled_from(CODECS),
        incompressible=st.sampled_from(["store", "store", "refuse"]),
        exclusive=st.booleans(),
        seed=seeds,
        steps=st.sampled_from([0, 10, 40, 120]),
    )
    def begin(
        self,
        frames: int,
        chain: int,
        watermark: float,
        accept: float,
        codec: str,
        incompressible: str,
        exclusive: bool,
        seed: int,
        steps: int,
    ) -> None:
        config = CacheConfig(
            pool_bytes_max=frames * PAGE_SIZE,
            foreign_bytes_max=frames * PAGE_SIZE // 3,
            high_watermark=watermark,
            low_watermark=watermark / 2,
            accept_watermark=accept,
            chain_frames_max=chain,
            codec=codec,
            incompressible=incompressible,
            pools_max=POOLS_MAX,
        )
        self.twins = Twins(type(self).first, type(self).second, config)
        self.create_pool(PoolKind.PERSISTENT, False, None, False, None)
        self.create_pool(PoolKind.EPHEMERAL, False, None, False, None)
        self.create_pool(PoolKind.PERSISTENT, False, None, True, None)
        self.create_pool(PoolKind.EPHEMERAL, False, None, True, None)
        self.create_pool(PoolKind.PERSISTENT, exclusive, None, False, "zstd")
        for n, pool in enumerate(self.own):
            payload = b"".join(page_of(("mixed", m, 200 + 400 * n)) for m in range(6))
            self.twins.call("put_many", pool, 1, range(6), payload)
        self.traffic(seed, steps)

    def teardown(self) -> None:
        if hasattr(self, "twins"):
            note("the last calls:\n" + "\n".join(self.twins.calls))

    def pool(self, number: int) -> int:
        """One of the own pools."""
        return self.own[number % len(self.own)]

    def foreign_pool(self, number: int) -> int:
        """One of the others."""
        return self.lent[number % len(self.lent)]

    @invariant()
    def all_figures_are_the_same_and_all_sums_are_right(self) -> None:
        if hasattr(self, "twins"):
            self.twins.compare_figures()
            self.twins.verify()

    @rule(seed=seeds, steps=st.integers(1, 30))
    def traffic(self, seed: int, steps: int) -> None:
        """What programs and peers do most, one thing after the other: from it, states arise in
        which the other rules find more than an empty cache.
        """
        rng = random.Random(seed)
        for _ in range(steps):
            (self.a_program_does if rng.random() < 0.6 else self.a_peer_does)(rng)
            self.twins.compare_figures()

    def a_program_does(self, rng: random.Random) -> None:
        pool, object_id = rng.randrange(len(self.own)), rng.choice([1, 1, 1, 2])
        batch = rng.sample(range(16), rng.randint(1, 6))
        free = rng.choice([GetFree.BY_KIND, GetFree.NEVER, GetFree.NEVER])
        noise = rng.choice([16, 60, 200, 400, 900, 1400, 1900, 2400, 3000, 3500, 3640])
        match rng.choice("pppppvgggGGffmc"):
            case "p":
                kinds = rng.choices(["zero", "text", "mixed", "random"], [1, 2, 6, 1], k=len(batch))
                content = [(kind, rng.randrange(6), noise) for kind in kinds]
                self.put_many(pool, object_id, batch, content, rng.random() < 0.5)
            case "v":  # many of one size class, and then holes
                self.put_very_many(pool, object_id, 0, 60, ("mixed", 0, noise), False)
                for index in range(0, 60, rng.choice([2, 3])):
                    self.flush(pool, object_id, index)
                self.twins.call("compact", rng.choice([1, 2, 3]))
            case "g":
                self.get(pool, object_id, batch[0], free)
            case "G":
                self.get_many(pool, object_id, batch, free, 0, False)
            case "f":
                self.flush(pool, object_id, batch[0])
            case "m":
                self.twins.call("compact", rng.choice([None, 1, 2]))
            case _:
                frames, lent = rng.choice([14, 20, 30, 60, 200]), rng.choice([1, 3, 6, 12])
                self.twins.call(
                    "reconfigure",
                    pool_bytes_max=frames * PAGE_SIZE,
                    foreign_bytes_max=lent * PAGE_SIZE,
                )

    def a_peer_does(self, rng: random.Random) -> None:
        pool, object_id = rng.randrange(len(self.own)), rng.choice([1, 1, 1, 2])
        batch = rng.sample(range(16), rng.randint(1, 6))
        free = rng.choice([GetFree.BY_KIND, GetFree.NEVER, GetFree.NEVER])
        some = rng.choice([1, 3, 4096])
        match rng.choice("sssffffcrrdaakxm"):
            case "s":
                kind = rng.choice([PoolKind.PERSISTENT, PoolKind.PERSISTENT, PoolKind.EPHEMERAL])
                self.begin_spill(rng.choice([3000, 10_000, 30_000]), kind, some)
            case "f" if self.tickets:
                word = where_of(rng.randint(1, 3))
                self.end_finished(rng.choice(self.tickets), word, "list", rng.choice([0, 0, 2]))
            case "c" if self.tickets:
                self.end_cancelled(rng.choice(self.tickets), rng.random() < 0.5)
            case "r":
                into = Buffers(len(batch) * PAGE_SIZE)
                damage = rng.choice([{}, {}, {}, {0: "generation"}, {0: "blob"}])
                self.restore_of(pool, object_id, batch, damage, rng.random() < 0.7, free, into)
            case "d":
                self.twins.call("drain_displaced", some)
            case "a":
                sizes = [rng.choice([8, 40, 500, 2000, 4096]) for _ in batch]
                rows = [(rng.randrange(10), rng.randrange(10), size) for size in sizes]
                self.adopt(rng.randrange(9), 0, rows, [1] * 8, "")
            case "k":
                self.read_all_adopted(rng.randrange(9))
            case "x":
                self.scan_away(rng.randint(1, 3), some, 40)
            case "m":
                away = self.away(pool, object_id, range(16))
                wheres = [where ^ rng.choice([0, 0, 1 << 32, 1]) for where in away.wheres]
                to = [where_of(rng.randint(1, 3), row) for row in range(len(away))]
                self.twins.call("move_away", away.keys, away.generations, wheres, to)

    # -- pools -----------------------------------------------------------------------------------

    @rule(
        kind=kinds,
        exclusive=st.booleans(),
        uuid=st.sampled_from([None, None, UUID(int=1), UUID(int=2)]),
        foreign=st.sampled_from([False, False, True]),
        codec=st.sampled_from([None, *CODECS, "lzo"]),
    )
    def create_pool(
        self, kind: PoolKind, exclusive: bool, uuid: UUID | None, foreign: bool, codec: str | None
    ) -> None:
        pool = self.twins.call(
            "create_pool",
            kind,
            exclusive_gets=exclusive,
            shared_uuid=uuid,
            foreign=foreign,
            codec=codec,
        )
        if pool is not None and pool not in self.own + self.lent:
            (self.lent if foreign else self.own).append(pool)

    @precondition(lambda self: len(self.own) > 2)
    @rule(pool=pools)
    def destroy_pool(self, pool: int) -> None:
        self.twins.call("destroy_pool", self.pool(pool))
        self.own.remove(self.pool(pool))

    @precondition(lambda self: len(self.lent) > 1)
    @rule(pool=pools)
    def destroy_foreign_pool(self, pool: int) -> None:
        self.twins.call("destroy_pool", self.lent.pop(pool % len(self.lent)))

    @rule(pool=pools, pages_max=counts)
    def empty_pool(self, pool: int, pages_max: int) -> None:
        every = self.own + self.lent
        self.twins.call("empty_pool", every[pool % len(every)], pages_max)

    @rule()
    def figures_of_pools(self) -> None:
        for pool in range(POOLS_MAX + 1):
            self.twins.call("pool_pages", pool)
            self.twins.call("foreign_bytes", pool)

    # -- pages -----------------------------------------------------------------------------------

    @rule(
        pool=pools,
        object_id=objects,
        index=indexes,
        content=contents,
        keep=st.booleans(),
    )
    def put(
        self, pool: int, object_id: int, index: int, content: tuple[str, int, int], keep: bool
    ) -> None:
        self.twins.call("put", self.pool(pool), object_id, index, page_of(content), keep_old=keep)

    @rule(pool=pools, shape=st.integers(0, 5), content=contents)
    def put_in_other_shapes(self, pool: int, shape: int, content: tuple[str, int, int]) -> None:
        page = page_of(content)
        twice = memoryview(bytes(byte for byte in page for _ in range(2)))
        shapes: list[Any] = [
            bytearray(page),
            memoryview(page),
            memoryview(bytearray(page)).cast("Q"),
            memoryview(bytearray(page)).cast("B", (64, 64)),
            page[:-1],
            twice[::2],
        ]
        self.twins.call("put", self.pool(pool), 1, 3, shapes[shape])

    @rule(
        pool=pools,
        object_id=objects,
        batch=batches,
        content=st.lists(contents, min_size=1, max_size=6),
        keep=st.booleans(),
    )
    def put_many(
        self,
        pool: int,
        object_id: int,
        batch: Any,
        content: list[tuple[str, int, int]],
        keep: bool,
    ) -> None:
        payload = b"".join(page_of(content[n % len(content)]) for n in range(len(batch)))
        self.twins.call("put_many", self.pool(pool), object_id, batch, payload, keep_old=keep)

    @rule(
        pool=pools,
        object_id=objects,
        start=st.integers(0, 150),
        count=st.integers(5, 150),
        content=contents,
        keep=st.booleans(),
    )
    def put_very_many(
        self,
        pool: int,
        object_id: int,
        start: int,
        count: int,
        content: tuple[str, int, int],
        keep: bool,
    ) -> None:
        """More than one run of a batch, and mostly more than there is room for."""
        kind, seed, noise = content
        payload = b"".join(page_of((kind, (seed + n) % 6, noise)) for n in range(count))
        batch = range(start, start + count)
        self.twins.call("put_many", self.pool(pool), object_id, batch, payload, keep_old=keep)

    @rule(pool=pools, object_id=objects, index=indexes, free=frees)
    def get(self, pool: int, object_id: int, index: int, free: GetFree) -> None:
        self.twins.call("get", self.pool(pool), object_id, index, free=free)

    @rule(
        pool=pools,
        object_id=objects,
        batch=batches,
        free=frees,
        surplus=st.sampled_from([0, 0, 10, PAGE_SIZE]),
        as_view=st.booleans(),
    )
    def get_many(
        self, pool: int, object_id: int, batch: Any, free: GetFree, surplus: int, as_view: bool
    ) -> None:
        into = Buffers(max(0, len(batch) * PAGE_SIZE + surplus), as_view=as_view)
        self.twins.call("get_many", self.pool(pool), object_id, batch, into, free=free)

    @rule(pool=pools, object_id=objects, start=st.integers(0, 150), count=st.integers(0, 150))
    def get_very_many(self, pool: int, object_id: int, start: int, count: int) -> None:
        into = Buffers(count * PAGE_SIZE)
        self.twins.call("get_many", self.pool(pool), object_id, range(start, start + count), into)

    @rule(pool=pools)
    def get_into_what_cannot_be_written(self, pool: int) -> None:
        self.twins.call("get_many", self.pool(pool), 1, [0], memoryview(bytes(PAGE_SIZE)))
        self.twins.call(
            "get_many", self.pool(pool), 1, [0], memoryview(bytearray(2 * PAGE_SIZE))[::2]
        )

    @rule(pool=pools, object_id=objects, index=indexes)
    def flush(self, pool: int, object_id: int, index: int) -> None:
        self.twins.call("flush", self.pool(pool), object_id, index)

    @rule(
        pool=pools,
        object_id=objects,
        start=ends,
        stop=ends,
        pages_max=st.one_of(st.none(), counts),
    )
    def flush_range(
        self, pool: int, object_id: int, start: int, stop: int, pages_max: int | None
    ) -> None:
        self.twins.call("flush_range", self.pool(pool), object_id, start, stop, pages_max=pages_max)

    @rule(pool=pools, object_id=objects)
    def flush_object(self, pool: int, object_id: int) -> None:
        self.twins.call("flush_object", self.pool(pool), object_id)

    @rule(pool=pools, object_id=objects, start=ends, stop=ends)
    def extents(self, pool: int, object_id: int, start: int, stop: int) -> None:
        self.twins.call("extents", self.pool(pool), object_id, start, stop)

    @rule(pool=pools, object_id=objects, batch=st.lists(indexes, max_size=3), content=contents)
    def put_while_frozen(
        self, pool: int, object_id: int, batch: list[int], content: tuple[str, int, int]
    ) -> None:
        call = self.twins.call
        call("freeze")
        call("put_many", self.pool(pool), object_id, batch, page_of(content) * len(batch))
        call("put", self.pool(pool), object_id, 1, page_of(content))
        call("adopt", self.foreign_pool(pool), 0, packed([(1, 9, b"blob")]))
        call("foreign_room_bytes")
        self.restore_of(pool, object_id, range(8), {}, True, GetFree.NEVER)
        call("freeze", False)

    # -- spilling --------------------------------------------------------------------------------

    @rule(
        bytes_max=st.sampled_from([-1, 0, 1, 3000, 10_000, 10_000, 2**40]),
        kind=st.sampled_from([PoolKind.PERSISTENT, PoolKind.PERSISTENT, PoolKind.EPHEMERAL]),
        pages_max=st.sampled_from([0, 1, 3, 4096, 4096, 4096]),
    )
    def begin_spill(self, bytes_max: int, kind: PoolKind, pages_max: int) -> None:
        ticket = self.twins.call("begin_spill", bytes_max, kind=kind, pages_max=pages_max)
        if ticket is None:
            return
        self.tickets.append(ticket)
        blobs = ticket.first.blobs
        starts = accumulate(blobs.lengths, initial=0)
        for row, start in zip(range(len(blobs)), starts, strict=False):
            blob = bytes(blobs.payload[start : start + blobs.lengths[row]])
            name = blobs.keys[row], blobs.generations[row]
            self.blobs[name] = blobs.encodings[row], blobs.checksums[row], blob

    def a_ticket(self, data: st.DataObject) -> Pair | None:
        """Mostly one that is open; it stays so unless the caller says that it ended."""
        if self.ended and data.draw(st.integers(0, 9), label="an old one, or the twin's") == 0:
            return self.ended[-1]
        return (
            self.tickets[data.draw(st.integers(0, len(self.tickets) - 1))] if self.tickets else None
        )

    def close(self, ticket: Pair) -> None:
        if ticket in self.tickets:
            self.tickets.remove(ticket)
            self.ended.append(ticket)

    @rule(
        data=st.data(),
        word=st.one_of(words, words, words, words, bad_words),
        form=st.sampled_from(["one", "one", "list", "list", "column", "column", "short", "bad"]),
        refused=st.sampled_from([0, 0, 0, 1, 2, 3, 4]),
    )
    def finish_spill(self, data: st.DataObject, word: int, form: str, refused: int) -> None:
        ticket = self.a_ticket(data)
        if ticket is not None:
            self.end_finished(ticket, word, form, refused)

    def end_finished(self, ticket: Pair, word: int, form: str, refused: int) -> None:
        """``refused``: every so-manieth page; 0: all were taken, 4: the answers are too few."""
        pages = len(ticket.first.blobs)
        column = [where_of(1 + n % 3, n) for n in range(pages)]
        where: Any = column
        match form:
            case "one":
                where = word
            case "column":
                where = array("Q", column)
            case "short":
                where = column[:-1]
            case "bad" if pages:
                where = [0, *column[1:]]
        accepted = None
        if refused == 4:
            accepted = bytes(pages + 1)
        elif refused:
            accepted = bytes(n % (refused + 1) for n in range(pages))
        if self.twins.call("finish_spill", ticket, where, accepted) is not None:
            self.close(ticket)
            wheres = [where] * pages if isinstance(where, int) else where
            blobs = ticket.first.blobs
            self.stubs += zip(blobs.keys, blobs.generations, wheres, strict=True)

    @rule(data=st.data(), warm=st.booleans())
    def cancel_spill(self, data: st.DataObject, warm: bool) -> None:
        ticket = self.a_ticket(data)
        if ticket is not None:
            self.end_cancelled(ticket, warm)

    def end_cancelled(self, ticket: Pair, warm: bool) -> None:
        self.twins.call("cancel_spill", ticket, warm=warm)
        self.close(ticket)

    @rule(data=st.data())
    def end_the_ticket_of_another_cache(self, data: st.DataObject) -> None:
        ticket = self.a_ticket(data)
        if ticket is not None:
            self.twins.call("cancel_spill", ticket.swapped())
            self.twins.call("finish_spill", ticket.swapped(), 1)

    @rule(pages_max=st.sampled_from([0, 1, 3, 65536]))
    def drain_displaced(self, pages_max: int) -> None:
        self.twins.call("drain_displaced", pages_max)

    # -- pages that are away ---------------------------------------------------------------------

    def away(self, pool: int, object_id: int, batch: Any) -> AwayPages:
        away = self.twins.call("peek_away", self.pool(pool), object_id, batch)
        if away is None:
            return AwayPages()
        assert isinstance(away, AwayPages)
        self.stubs += zip(away.keys, away.generations, away.wheres, strict=True)
        return away

    @rule(pool=pools, object_id=objects, batch=batches)
    def peek_away(self, pool: int, object_id: int, batch: Any) -> None:
        self.away(pool, object_id, batch)

    def restore_of(
        self,
        pool: int,
        object_id: int,
        batch: Any,
        damage: dict[int, str],
        install: bool,
        free: GetFree,
        into: Buffers | None = None,
    ) -> None:
        """Restore what is away of a batch, with the blobs that were handed out, some damaged."""
        away = self.away(pool, object_id, batch)
        blobs = PackedBlobs()
        payload = bytearray()
        wanted = [batch[position] for position in away.positions]
        for row, name in enumerate(zip(away.keys, away.generations, strict=True)):
            encoding, checksum, blob = self.blobs[name]
            key, generation = name
            match damage.get(row):
                case "key":
                    key += 1
                case "generation":
                    generation -= 1
                case "length":
                    blob = blob[:-1] or b"xx"
                case "encoding":
                    encoding = (encoding + 1) % 4
                case "checksum":
                    checksum ^= 1 << 40
                case "blob":
                    blob = bytes([blob[0] ^ 1]) + blob[1:]
            blobs.keys.append(key)
            blobs.generations.append(generation)
            blobs.lengths.append(len(blob))
            blobs.encodings.append(encoding)
            blobs.checksums.append(checksum)
            payload += blob
        blobs.payload = bytes(payload)
        match damage.get(99):
            case "payload":
                blobs.payload += b"x"
            case "column":
                blobs.checksums = blobs.checksums[:-1]
            case "handles":
                wanted = [*wanted, 5]
        self.twins.call(
            "restore_many",
            self.pool(pool),
            object_id,
            wanted,
            blobs,
            into,
            install=install,
            free=free,
        )

    @rule(
        pool=pools,
        object_id=objects,
        batch=st.one_of(batches, st.just(range(150))),
        damage=st.one_of(
            st.just({}),
            st.dictionaries(
                st.integers(0, 4),
                st.sampled_from(["key", "generation", "length", "encoding", "checksum", "blob"]),
                max_size=4,
            ),
            st.just({99: "payload"}),
            st.just({99: "column"}),
            st.just({99: "handles"}),
        ),
        install=st.booleans(),
        free=frees,
        room=st.sampled_from(["pages", "pages", "none", "short"]),
    )
    def restore_many(
        self,
        pool: int,
        object_id: int,
        batch: Any,
        damage: dict[int, str],
        install: bool,
        free: GetFree,
        room: str,
    ) -> None:
        into = {"none": None, "short": Buffers(1)}.get(room, Buffers((len(batch) + 1) * PAGE_SIZE))
        self.restore_of(pool, object_id, batch, damage, install, free, into)

    @rule(pool=pools, object_id=objects, index=indexes, generation=st.integers(0, 200))
    def forget_away(self, pool: int, object_id: int, index: int, generation: int) -> None:
        self.twins.call("forget_away", self.pool(pool), object_id, index, generation)

    @rule(pool=pools, object_id=objects, batch=batches)
    def forget_what_is_away(self, pool: int, object_id: int, batch: Any) -> None:
        away = self.away(pool, object_id, batch)
        for position, generation in zip(away.positions, away.generations, strict=True):
            self.twins.call("forget_away", self.pool(pool), object_id, batch[position], generation)

    @rule(place=places, kind=kinds)
    def forget_where(self, place: int, kind: PoolKind) -> None:
        self.twins.call("forget_where", place, kind)

    @rule(place=places, pages_max=st.sampled_from([0, 1, 3, 4096]), steps=st.integers(1, 40))
    def scan_away(self, place: int, pages_max: int, steps: int) -> None:
        """With cursors, until the end or for so many steps."""
        cursor = 0
        for _ in range(steps):
            answer = self.twins.call("scan_away", place, cursor=cursor, pages_max=pages_max)
            if answer is None or not answer[2]:
                return
            cursor = answer[2]

    @rule(place=places, cursor=st.sampled_from([1, 5, 7, 1000, 5000, 2**33]))
    def scan_from_anywhere(self, place: int, cursor: int) -> None:
        self.twins.call("scan_away", place, cursor=cursor)

    @rule(
        data=st.data(),
        to=st.one_of(words, words, bad_words),
        uneven=st.booleans(),
        wrong=st.sampled_from([0, 0, 1, -1, 2**64]),
    )
    def move_away(self, data: st.DataObject, to: int, uneven: bool, wrong: int) -> None:
        """Rows of stubs as they are or were; ``wrong`` is added to a part of the last row."""
        rows = data.draw(st.lists(st.sampled_from(self.stubs), max_size=6), label="rows")
        rows = [list(row) for row in [*self.stubs[-3:], *rows]]
        rows[-1][data.draw(st.integers(0, 2), label="part")] += wrong
        columns = [[row[part] for row in rows] for part in range(3)]
        targets = [to + n if to > 0 else to for n in range(len(rows) - uneven)]
        changed = self.twins.call("move_away", *columns, targets)
        if changed is not None:
            self.stubs += [
                (key, generation, target)
                for (key, generation, _), target, done in zip(rows, targets, changed, strict=True)
                if done
            ]

    # -- lending ---------------------------------------------------------------------------------

    @rule(
        pool=pools,
        object_id=st.sampled_from([0, 0, 0, 1]),
        rows=st.lists(
            st.tuples(
                st.one_of(st.integers(0, 9), st.just(2**64 - 1)),
                st.one_of(st.integers(0, 9), st.just(2**64 - 1)),
                st.one_of(st.integers(0, 4097), st.sampled_from([1, 8, 40, 100, 3632, 4096])),
            ),
            max_size=8,
        ),
        encodings=st.lists(st.sampled_from([0, 1, 2, 3, 3, 4, 255]), min_size=8, max_size=8),
        fault=st.sampled_from(["", "", "", "checksum", "payload", "column"]),
    )
    def adopt(
        self,
        pool: int,
        object_id: int,
        rows: list[tuple[int, int, int]],
        encodings: list[int],
        fault: str,
    ) -> None:
        blobs = packed([(key, gen, random.Random(size).randbytes(size)) for key, gen, size in rows])
        blobs.encodings = bytearray(encodings[: len(rows)])
        if fault == "checksum" and rows:
            blobs.checksums[0] ^= 1
        elif fault == "payload":
            blobs.payload = bytes(blobs.payload) + b"x"
        elif fault == "column":
            blobs.generations = array("Q", [*blobs.generations, 1])
        self.twins.call("adopt", self.foreign_pool(pool), object_id, blobs)

    @rule(
        pool=pools,
        object_id=st.sampled_from([0, 0, 0, 1]),
        names=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=8),
        uneven=st.sampled_from([0, 0, 0, 1]),
        drop=st.booleans(),
    )
    def read_or_flush_adopted(
        self, pool: int, object_id: int, names: list[Name], uneven: int, drop: bool
    ) -> None:
        keys = [key for key, _ in names]
        generations = [generation for _, generation in names] + [1] * uneven
        operation = "flush_adopted" if drop else "read_adopted"
        self.twins.call(operation, self.foreign_pool(pool), object_id, keys, generations)

    @rule(pool=pools)
    def read_all_adopted(self, pool: int) -> None:
        names = [(key, generation) for key in range(10) for generation in range(10)]
        keys, generations = zip(*names, strict=True)
        self.twins.call("read_adopted", self.foreign_pool(pool), 0, keys, array("Q", generations))

    @rule(bytes_max=st.sampled_from([-1, 0, 1, 5000, 2**40]))
    def drop_foreign_ephemeral(self, bytes_max: int) -> None:
        self.twins.call("foreign_room_bytes")
        self.twins.call("drop_foreign_ephemeral", bytes_max)

    # -- wrong handles ---------------------------------------------------------------------------

    @rule(
        pool=st.sampled_from([0, 1, 2, 3, -1, 77, 2**31, 2**40]),
        object_id=st.sampled_from([1, 1, -1, 2**192 - 1, 2**200]),
        index=st.sampled_from([0, 0, -1, 2**64, 2**70]),
        place=st.sampled_from([1, 0, -1, 2**32]),
    )
    def wrong_handles(self, pool: int, object_id: int, index: int, place: int) -> None:
        """Of each operation, one that is out of range, is of the other kind, or was there once."""
        call, page = self.twins.call, page_of(("text", 1, 0))
        call("put", pool, object_id, index, page)
        call("put", pool, object_id, index, page[1:])
        call("put_many", pool, object_id, [3, index], page * 2)
        call("put_many", pool, object_id, [index], page * 2)
        call("get", pool, object_id, index)
        call("get_many", pool, object_id, [3, index], Buffers(2 * PAGE_SIZE))
        call("get_many", pool, object_id, [index], Buffers(1))
        call("get_many", pool, object_id, [], Buffers(0))
        call("flush", pool, object_id, index)
        call("flush_range", pool, object_id, 100, 120)
        call("extents", pool, object_id, 0, 9)
        call("peek_away", pool, object_id, [3, index])
        call("restore_many", pool, object_id, [], PackedBlobs(), None, install=True)
        call("restore_many", pool, object_id, [index], packed([(1, 1, b"x")]), None, install=True)
        call("forget_away", pool, object_id, index, 1)
        call("adopt", pool, object_id, packed([(1, 1, b"blob")]))
        call("read_adopted", pool, object_id, [1, 2], [1, 1])
        call("flush_adopted", pool, object_id, [90], [1])
        call("foreign_bytes", pool)
        call("pool_pages", pool)
        call("empty_pool", pool, 0)
        call("forget_where", place, PoolKind.EPHEMERAL)
        call("scan_away", place)
        if pool not in self.own:
            call("flush_object", pool, object_id)
        if pool not in self.own + self.lent:
            call("destroy_pool", pool)

    # -- memory and knobs ------------------------------------------------------------------------

    @rule(watermark=st.sampled_from([0.0, 0.3, 0.75, 1.0]))
    def excess_bytes(self, watermark: float) -> None:
        self.twins.call("excess_bytes", watermark)

    @rule(frames_max=st.one_of(st.none(), st.integers(0, 6)))
    def compact(self, frames_max: int | None) -> None:
        self.twins.call("compact", frames_max)

    @rule(
        changes=st.one_of(
            st.fixed_dictionaries(
                {
                    "pool_bytes_max": st.sampled_from([13, 20, 30, 60, 200]).map(
                        lambda frames: frames * PAGE_SIZE
                    ),
                    "foreign_bytes_max": st.sampled_from([0, 2, 5, 12]).map(
                        lambda frames: frames * PAGE_SIZE
                    ),
                    "accept_watermark": st.sampled_from([0.5, 1.0]),
                    "codec": st.sampled_from(CODECS),
                    "incompressible": st.sampled_from(["store", "refuse"]),
                }
            ),
            st.sampled_from(CODECS).map(lambda codec: {"codec": codec}),
            st.sampled_from(
                [
                    {"codec": "lzo"},
                    {"low_watermark": 0.99, "high_watermark": 0.9},
                    {"chain_frames_max": 5},
                    {"colour": "red", "size": 4},
                    {"pool_bytes_max": 5},
                    {"foreign_bytes_max": 2**44},
                    {"pools_max": POOLS_MAX - 2},
                    {"pools_max": POOLS_MAX},
                    {},
                ]
            ),
        )
    )
    def reconfigure(self, changes: dict[str, Any]) -> None:
        self.twins.call("reconfigure", **changes)
