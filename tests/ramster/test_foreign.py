"""The lender's side: leases, and pages of other nodes."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import pytest
import xxhash

from ramster.blobs import Blob, pack, rows
from ramster.cluster_config import ClusterConfig
from ramster.counters import ClusterCounters
from ramster.errors import BadMessageError, PeerRefusedError, UnknownLeaseError
from ramster.foreign import ForeignPages
from ramster.limits import FETCH_KEYS_MAX, FLUSH_KEYS_MAX, SPILL_WINDOW
from ramster.removal import SLICE_PAGES
from ramster.transport import (
    SPILL_PAYLOAD_BYTES_MAX,
    FetchRequest,
    FlushRequest,
    Heartbeat,
    HeartbeatReply,
    Hello,
    SpillReply,
    SpillRequest,
)
from tests.support.hand_clock import HandClock
from zcache import PAGE_SIZE, AdoptStatus, Cache, CacheConfig, PackedBlobs, PoolKind

PERSISTENT, EPHEMERAL = PoolKind.PERSISTENT, PoolKind.EPHEMERAL
HELLO = Hello(cluster="ramster", node="a", incarnation=1)


class Lending:
    """A lender under test."""

    def __init__(
        self,
        *,
        pool_bytes: int = 4 << 20,
        lend_bytes: int = 2 << 20,
        wanted: int = 0,
        **cache: Any,
    ) -> None:
        self.wanted = wanted
        self.freed: list[int] = []
        self._batch = self._sequence = 0
        self.cache = Cache(
            CacheConfig(pool_bytes_max=pool_bytes, foreign_bytes_max=lend_bytes, **cache)
        )
        self.clock = HandClock()
        self.counters = ClusterCounters()
        self.handler = ForeignPages(
            self.cache,
            ClusterConfig(node="b", lease_s=60.0),
            self.clock,
            Random(5),
            self.counters,
            incarnation=77,
            wanted=lambda: self.wanted,
            freed=lambda: self.freed.append(self.pages),
        )

    def sweep(self) -> int:
        return self.handler.sweep(60.0)

    def heartbeat(
        self, lease: int, *, incarnation: int = 1, leaving: bool = False
    ) -> HeartbeatReply:
        return self.handler.on_heartbeat(
            Heartbeat(lease=lease, incarnation=incarnation, leaving=leaving)
        )

    def hello(self, node: str = "a", incarnation: int = 1) -> int:
        return self.handler.on_hello(replace(HELLO, node=node, incarnation=incarnation)).lease

    def spill(
        self,
        lease: int,
        blobs: list[Blob],
        *,
        epoch: int = 0,
        batch: int | None = None,
        kind: PoolKind = PERSISTENT,
    ) -> SpillReply:
        """A new batch, unless its number says otherwise."""
        self._batch += 1
        return self.handler.on_spill(
            SpillRequest(
                lease=lease,
                epoch=epoch,
                batch=self._batch if batch is None else batch,
                kind=kind,
                blobs=pack(blobs),
            )
        )

    def fetch(self, lease: int, *names: tuple[int, int], kind: PoolKind = PERSISTENT) -> Any:
        return self.handler.on_fetch(
            FetchRequest(
                lease=lease, kind=kind, keys=column(names, 0), generations=column(names, 1)
            )
        )

    def flush(
        self,
        lease: int,
        *names: tuple[int, int],
        epoch: int = 0,
        sequence: int | None = None,
        kind: PoolKind = PERSISTENT,
    ) -> None:
        """A new flush, unless its number says otherwise."""
        self._sequence += 1
        self.handler.on_flush(
            FlushRequest(
                lease=lease,
                epoch=epoch,
                sequence=self._sequence if sequence is None else sequence,
                kind=kind,
                keys=column(names, 0),
                generations=column(names, 1),
            )
        )

    @property
    def pages(self) -> int:
        return self.cache.stats().pages_foreign


def column(names: tuple[tuple[int, int], ...], part: int) -> array[int]:
    return array("Q", [name[part] for name in names])


BLOB_BYTES = 500
"""Of each page here, unless a test says otherwise."""


def blob(key: int, generation: int = 1, *, length: int = BLOB_BYTES) -> Blob:
    data = Random(f"{key} {generation}").randbytes(length)
    return Blob(key, generation, length, 1, xxhash.xxh3_64_intdigest(data), data)


# -- hello
# -------------------------------------------------------------------------------------------


def test_hello_gives_a_lease_and_says_what_room_there_is() -> None:
    lender = Lending()
    reply = lender.handler.on_hello(HELLO)
    assert (reply.node, reply.incarnation, reply.lease_s) == ("b", 77, 60.0)
    assert reply.lease != 0
    assert reply.room_bytes == lender.cache.foreign_room_bytes() > 0


@pytest.mark.parametrize(
    ("offer", "words"),
    [
        ({"cluster": "other"}, ["'other'", "'ramster'"]),
        ({"protocol_version": 9}, ["version 9", "accepted is 3"]),
        ({"protocol_version": 2}, ["version 2", "accepted is 3"]),
        ({"page_size": 16384}, ["16384", "4096"]),
        ({"codecs": ("lz4", "lzo")}, ["lz4, lzo", "lz4, zstd"]),
        ({"codecs": ()}, ["none", "lz4"]),
        ({"node": ""}, ["0 characters", "1 to 255"]),
        ({"node": "x" * 300}, ["300 characters"]),
        ({"node": "a\tb"}, ["printable"]),
        ({"node": "b"}, ["'b'", "own"]),
    ],
)
def test_a_mismatch_is_refused_with_what_was_offered_and_what_is_accepted(
    offer: dict[str, Any], words: list[str]
) -> None:
    """Checklist 59: a version mismatch is refused with a clear reason."""
    lender = Lending()
    with pytest.raises(PeerRefusedError) as error:
        lender.handler.on_hello(replace(HELLO, **offer))
    assert all(word in str(error.value) for word in words)
    assert lender.counters.hellos_refused == 1
    assert lender.handler.leases == []


def test_this_nodes_own_hello_is_answered_and_gets_no_lease() -> None:
    lender = Lending()
    reply = lender.handler.on_hello(replace(HELLO, node="b", incarnation=77))
    assert (reply.node, reply.incarnation, reply.lease) == ("b", 77, 0)
    assert lender.handler.leases == []


def test_the_same_life_keeps_its_lease_and_pages() -> None:
    lender = Lending()
    lease = lender.hello()
    lender.spill(lease, [blob(1)])
    assert lender.hello() == lease
    assert lender.pages == 1


def test_a_new_life_of_an_owner_ends_the_old_one_at_once() -> None:
    """Checklist 65: foreign pages go when their owner does."""
    lender = Lending()
    old = lender.hello(incarnation=1)
    lender.spill(old, [blob(1), blob(2)])
    new = lender.hello(incarnation=2)
    assert new != old
    assert lender.pages == 0
    assert lender.counters.leases_superseded == 1
    with pytest.raises(UnknownLeaseError):
        lender.fetch(old, (1, 1))


def test_a_former_life_cannot_take_the_name_back_while_the_new_one_holds_a_lease() -> None:
    lender = Lending()
    lender.hello(incarnation=1)
    new = lender.hello(incarnation=2)
    lender.spill(new, [blob(1)])
    with pytest.raises(PeerRefusedError, match="started later"):
        lender.hello(incarnation=1)
    assert lender.pages == 1
    lender.clock.seconds += 60.0
    lender.sweep()
    assert lender.hello(incarnation=1) != 0, "after the lease ended the name is free"


def test_no_pool_left_is_a_refusal_without_side_effects() -> None:
    lender = Lending(pools_max=3)
    lender.hello("a")
    with pytest.raises(PeerRefusedError, match="no pool"):
        lender.hello("c")
    assert lender.cache.stats().pools == 2
    assert [lease.owner for lease in lender.handler.leases] == ["a"]


# -- leases ----------------------------------------------------------------------------------------


def test_a_lease_ends_after_its_time_without_a_word_and_frees_its_pages() -> None:
    """Checklist 65: after a client leaves the count returns to 0."""
    lender = Lending()
    a, c = lender.hello("a"), lender.hello("c")
    lender.spill(a, [blob(i) for i in range(10)])
    lender.spill(c, [blob(i) for i in range(5)], kind=EPHEMERAL)
    lender.clock.seconds += 59.9
    assert lender.sweep() == 0
    lender.handler.on_heartbeat(Heartbeat(lease=c, incarnation=1))
    lender.clock.seconds += 0.1
    assert lender.sweep() == 1
    assert lender.pages == 5
    lender.clock.seconds += 60.0
    lender.sweep()
    assert lender.pages == 0
    assert lender.cache.stats().pools == 0
    assert lender.counters.leases_expired == 2
    with pytest.raises(UnknownLeaseError):
        lender.handler.on_heartbeat(Heartbeat(lease=a, incarnation=1))
    lender.cache.verify()


def test_a_large_lease_is_freed_in_slices_and_reachable_by_nobody_meanwhile() -> None:
    lender = Lending()
    former = lender.hello("a", incarnation=1)
    for start in range(0, 1500, 500):
        lender.spill(former, [blob(i, length=40) for i in range(start, start + 500)])
    lease = lender.hello("a", incarnation=2)
    assert lender.pages == 1500 - SLICE_PAGES
    assert lender.handler.ended.is_set()
    with pytest.raises(UnknownLeaseError):
        lender.fetch(former, (1400, 1))
    lender.spill(lease, [blob(i, 2, length=40) for i in range(100)])
    assert not lender.handler.free_ended()
    assert lender.pages == 1500 - 2 * SLICE_PAGES + 100
    assert lender.handler.free_ended()
    assert not lender.handler.ended.is_set()
    assert lender.pages == 100
    assert lender.cache.stats().pools == 2
    lender.cache.verify()


@pytest.mark.parametrize(
    "word",
    [
        lambda lender, lease: lender.hello(),
        lambda lender, lease: lender.handler.on_heartbeat(Heartbeat(lease=lease, incarnation=1)),
        lambda lender, lease: lender.spill(lease, [blob(2)]),
        lambda lender, lease: lender.fetch(lease, (1, 1)),
        lambda lender, lease: lender.flush(lease, (9, 9)),
    ],
)
def test_every_word_renews_the_lease(word: Callable[[Lending, int], object]) -> None:
    lender = Lending()
    lease = lender.hello()
    lender.clock.seconds += 59.0
    word(lender, lease)
    lender.clock.seconds += 59.0
    assert lender.sweep() == 0


def test_a_heartbeat_tells_room_and_pages_held() -> None:
    lender = Lending()
    lease = lender.hello()
    lender.spill(lease, [blob(1), blob(2)])
    reply = lender.handler.on_heartbeat(Heartbeat(lease=lease, incarnation=1))
    assert reply.foreign_pages == 2
    assert reply.incarnation == 77
    assert reply.room_bytes == lender.cache.foreign_room_bytes()


def test_a_heartbeat_of_another_life_does_not_renew() -> None:
    lender = Lending()
    lease = lender.hello()
    with pytest.raises(UnknownLeaseError):
        lender.handler.on_heartbeat(Heartbeat(lease=lease, incarnation=2))


# -- pages
# -------------------------------------------------------------------------------------------


def test_pages_come_back_as_they_came_until_flushed() -> None:
    lender = Lending()
    lease = lender.hello()
    sent = [blob(key, key + 10, length=key * 100 + 1) for key in range(8)]
    assert lender.spill(lease, sent).statuses == bytes(8)
    reply = lender.fetch(lease, *((b.key, b.generation) for b in sent), (99, 1), (3, 12))
    assert reply.found == b"\1" * 8 + b"\0\0"
    assert list(rows(reply.blobs)) == sent
    lender.flush(lease, (0, 10), (1, 10), (2, 99))
    reply = lender.fetch(lease, (0, 10), (1, 11), (2, 12))
    assert reply.found == b"\0\1\0", "a flush takes generations up to its own"
    assert lender.handler.pages_of(lender.handler.leases[0]) == 6


def test_owners_and_kinds_see_their_own_pages_only() -> None:
    lender = Lending()
    a, c = lender.hello("a"), lender.hello("c")
    lender.spill(a, [blob(1)])
    for lease, kind in ((c, PERSISTENT), (a, EPHEMERAL), (c, EPHEMERAL)):
        assert lender.fetch(lease, (1, 1), kind=kind).found == b"\0"
        lender.flush(lease, (1, 99), kind=kind)
    assert lender.fetch(a, (1, 1)).found == b"\1"


def test_without_a_quota_nothing_is_taken_and_no_room_is_told() -> None:
    lender = Lending(lend_bytes=0)
    reply = lender.handler.on_hello(HELLO)
    assert reply.room_bytes == 0
    answer = lender.spill(reply.lease, [blob(1), blob(2)])
    assert list(answer.statuses) == [AdoptStatus.QUOTA] * 2
    assert answer.room_bytes == 0


def test_a_corrupt_blob_is_refused_and_the_others_are_taken() -> None:
    """Checklist 57: the checksum is verified at receipt, and corruption is refused."""
    lender = Lending()
    lease = lender.hello()
    bad = blob(2)._replace(checksum=1)
    assert list(lender.spill(lease, [blob(1), bad, blob(3)]).statuses) == [
        AdoptStatus.STORED,
        AdoptStatus.BAD,
        AdoptStatus.STORED,
    ]
    assert lender.pages == 2


def test_a_spill_of_an_ended_epoch_is_refused_whatever_ended_it() -> None:
    """Checklist 51: what arrives late never touches newer data."""
    lender = Lending()
    lease = lender.hello()
    lender.spill(lease, [blob(1)], epoch=3)
    with pytest.raises(BadMessageError, match="epoch 2"):
        lender.spill(lease, [blob(2)], epoch=2)
    lender.flush(lease, (1, 1), epoch=4)
    with pytest.raises(BadMessageError, match="epoch 3"):
        lender.spill(lease, [blob(2)], epoch=3)
    lender.spill(lease, [blob(3)], epoch=4)
    assert lender.pages == 1
    assert lender.counters.messages_refused == 2


def test_a_batch_delivered_twice_is_held_once() -> None:
    lender = Lending()
    lease = lender.hello()
    lender.spill(lease, [blob(1), blob(2)], batch=7)
    lender.flush(lease, (1, 1), (2, 1))
    with pytest.raises(BadMessageError, match="batch 7 was delivered before"):
        lender.spill(lease, [blob(1), blob(2)], batch=7)
    assert lender.pages == 0
    assert lender.counters.messages_refused == 1
    assert lender.spill(lease, [blob(1), blob(2)], batch=8).statuses == bytes(2), (
        "the same pages in another batch are no duplicate"
    )
    lender.spill(lease, [blob(3)], batch=2)
    assert lender.pages == 3, "batches may overtake each other"


def test_batches_are_numbered_under_each_lease_apart() -> None:
    lender = Lending()
    for owner in ("a", "c"):
        lender.spill(lender.hello(owner), [blob(1)], batch=1)
    assert lender.pages == 2


def test_a_batch_older_than_all_that_are_remembered_is_refused() -> None:
    lender = Lending()
    lease = lender.hello()
    for batch in range(2, SPILL_WINDOW + 3):
        lender.spill(lease, [], batch=batch)
    with pytest.raises(BadMessageError, match="batch 1 was delivered before, or is too old"):
        lender.spill(lease, [blob(1)], batch=1)
    assert lender.pages == 0


def test_a_flush_that_removes_something_tells_that_there_is_room() -> None:
    lender = Lending()
    lease = lender.hello()
    lender.spill(lease, [blob(1), blob(2)])
    lender.flush(lease, (7, 1))
    assert lender.freed == []
    lender.flush(lease, (1, 1))
    lender.flush(lease, (1, 1))
    assert lender.freed == [1], "it has left by then"


def test_a_duplicated_flush_is_carried_out_once() -> None:
    lender = Lending()
    lease = lender.hello()
    lender.spill(lease, [blob(1), blob(2)])
    lender.flush(lease, (1, 1), sequence=1)
    lender.flush(lease, (2, 1), sequence=1)  # one number means one message, to the last key
    assert lender.fetch(lease, (1, 1), (2, 1)).found == b"\0\1"
    lender.flush(lease, (2, 1), sequence=5)
    assert lender.pages == 0, "numbers may be left out"


def test_a_late_duplicate_of_a_flush_spares_the_page_that_was_placed_again() -> None:
    """All copies of a page carry one generation, so the number alone tells the two apart."""
    lender = Lending()
    lease = lender.hello()
    lender.spill(lease, [blob(1)])
    lender.flush(lease, (1, 1), sequence=1)
    lender.flush(lease, (9, 9), sequence=2)
    lender.spill(lease, [blob(1)])
    for late in (1, 2):
        lender.flush(lease, (1, 1), sequence=late)
    assert lender.fetch(lease, (1, 1)).found == b"\1"
    lender.flush(lease, (1, 1), sequence=3)
    assert lender.pages == 0


def test_the_epoch_of_a_repeated_flush_counts() -> None:
    lender = Lending()
    lease = lender.hello()
    lender.flush(lease, sequence=1, epoch=1)
    lender.flush(lease, sequence=1, epoch=4)
    with pytest.raises(BadMessageError, match="epoch 3"):
        lender.spill(lease, [blob(1)], epoch=3)
    lender.flush(lease, sequence=1, epoch=2)
    lender.spill(lease, [blob(1)], epoch=4)
    assert lender.pages == 1


def test_flushes_are_numbered_under_each_lease_apart() -> None:
    lender = Lending()
    a, c = lender.hello("a"), lender.hello("c")
    lender.spill(a, [blob(1)])
    lender.flush(c, (1, 1), sequence=9)
    lender.flush(a, (1, 1), sequence=1)
    assert lender.pages == 0
    lender.spill(a, [blob(1)])
    again = lender.hello("a", incarnation=2)
    lender.spill(again, [blob(1)])
    lender.flush(again, (1, 1), sequence=1)
    assert lender.pages == 0


@pytest.mark.parametrize("number", [0, -1])
def test_a_number_that_is_none_is_refused_and_nothing_is_done(number: int) -> None:
    lender = Lending()
    lease = lender.hello()
    lender.spill(lease, [blob(1)])
    with pytest.raises(BadMessageError, match=f"batch {number}: accepted is 1 or more"):
        lender.spill(lease, [blob(2)], batch=number, epoch=9)
    with pytest.raises(BadMessageError, match=f"sequence {number}: accepted is 1 or more"):
        lender.flush(lease, (1, 1), sequence=number, epoch=9)
    assert lender.pages == 1
    lender.spill(lease, [blob(3)], epoch=0)
    assert lender.counters.messages_refused == 2


# -- leaving, draining, notice ---------------------------------------------------------------------


def test_an_owner_that_leaves_ends_its_lease_at_once() -> None:
    lender = Lending(wanted=1 << 20)
    a, c = lender.hello("a"), lender.hello("c")
    lender.spill(a, [blob(1), blob(2)])
    lender.spill(c, [blob(1)])
    reply = lender.heartbeat(a, leaving=True)
    assert (reply.incarnation, reply.foreign_pages, reply.wanted_bytes) == (77, 0, 0)
    assert reply.room_bytes == lender.cache.foreign_room_bytes() > 0
    assert lender.pages == 1
    assert lender.counters.leases_left == 1
    assert (lender.counters.leases_expired, lender.counters.leases_superseded) == (0, 0)
    for late in (False, True):
        with pytest.raises(UnknownLeaseError):
            lender.heartbeat(a, leaving=late)
    with pytest.raises(UnknownLeaseError):
        lender.spill(a, [blob(3)])
    assert lender.hello("a") not in (0, a)


def test_a_former_life_cannot_leave_for_the_present_one() -> None:
    lender = Lending()
    former = lender.hello(incarnation=1)
    lease = lender.hello(incarnation=2)
    lender.spill(lease, [blob(1)])
    with pytest.raises(UnknownLeaseError):
        lender.heartbeat(former, leaving=True)
    with pytest.raises(UnknownLeaseError):
        lender.heartbeat(lease, incarnation=1, leaving=True)
    assert lender.pages == 1
    assert lender.counters.leases_left == 0


def test_a_draining_lender_takes_nothing_and_says_so_everywhere() -> None:
    lender = Lending()
    lease = lender.hello()
    assert not lender.handler.on_hello(HELLO).draining
    assert not lender.heartbeat(lease).draining
    lender.spill(lease, [blob(1), blob(2)])
    assert not lender.handler.draining
    lender.handler.drain()
    assert lender.handler.draining
    assert lender.cache.foreign_room_bytes() > 0, "it would have room"
    answer = lender.spill(lease, [blob(3), blob(4), blob(5)])
    assert list(answer.statuses) == [AdoptStatus.FULL] * 3
    assert answer.room_bytes == 0
    beat = lender.heartbeat(lease)
    assert (beat.draining, beat.room_bytes, beat.foreign_pages) == (True, 0, 2)
    for owner in ("a", "new"):
        greeting = lender.handler.on_hello(replace(HELLO, node=owner))
        assert greeting.lease != 0
        assert (greeting.draining, greeting.room_bytes) == (True, 0)
    assert lender.pages == 2


def test_a_draining_lender_gives_pages_back_and_lets_them_go() -> None:
    lender = Lending()
    lease = lender.hello()
    lender.spill(lease, [blob(1), blob(2)])
    lender.handler.drain()
    assert list(rows(lender.fetch(lease, (1, 1)).blobs)) == [blob(1)]
    lender.flush(lease, (1, 1))
    assert lender.handler.owners_held() == [("a", 1, 0.0)]
    lender.flush(lease, (2, 1))
    assert lender.handler.owners_held() == []


def test_a_spill_that_breaks_the_protocol_is_refused_as_such_while_draining_too() -> None:
    lender = Lending()
    lease = lender.hello()
    lender.spill(lease, [blob(1)], batch=1, epoch=3)
    lender.handler.drain()
    with pytest.raises(BadMessageError, match="delivered before"):
        lender.spill(lease, [blob(1)], batch=1, epoch=3)
    with pytest.raises(BadMessageError, match="epoch 2"):
        lender.spill(lease, [blob(2)], batch=2, epoch=2)


def test_shares_of_the_notice_follow_what_each_owner_holds_and_add_up() -> None:
    lender = Lending()
    leases = {owner: lender.hello(owner) for owner in ("a", "c", "d", "e")}
    lender.spill(leases["a"], [blob(1)])
    lender.spill(leases["c"], [blob(1), blob(2)])
    lender.spill(leases["d"], [blob(key, length=2 * BLOB_BYTES) for key in range(7)])
    lender.spill(leases["e"], [blob(key) for key in range(50)], kind=EPHEMERAL)
    held = 17 * BLOB_BYTES
    for wanted in (0, 1, 1000, 4096, held - 1, held):
        lender.wanted = wanted
        shares = [lender.heartbeat(lease).wanted_bytes for lease in leases.values()]
        assert shares[3] == 0, "ephemeral pages are dropped, not handed over"
        assert shares[:3] == [-(-wanted * blobs // 17) for blobs in (1, 2, 14)]
        assert wanted <= sum(shares) < wanted + 3


@pytest.mark.parametrize("wanted", [-5, 0, 1 << 40])
def test_no_owner_is_asked_for_more_than_it_has(wanted: int) -> None:
    lender = Lending(wanted=wanted)
    lease, other = lender.hello("a"), lender.hello("c")
    lender.spill(lease, [blob(1), blob(2)])
    assert lender.heartbeat(other).wanted_bytes == 0
    assert lender.heartbeat(lease).wanted_bytes == (2 * BLOB_BYTES if wanted > 0 else 0)


def test_a_draining_lender_wants_everything_gone_whatever_it_wanted_before() -> None:
    lender = Lending(wanted=1)
    a, c = lender.hello("a"), lender.hello("c")
    lender.spill(a, [blob(1, length=700), blob(2, length=4096), blob(3, length=1)])
    lender.spill(c, [blob(1)], kind=EPHEMERAL)
    lender.handler.drain()
    assert lender.heartbeat(a).wanted_bytes == 700 + 4096 + 1
    assert lender.heartbeat(c).wanted_bytes == 0


def test_owners_held_names_who_still_has_persistent_pages_here() -> None:
    lender = Lending()
    a, c = lender.hello("a"), lender.hello("c")
    lender.hello("d")
    lender.spill(a, [blob(1), blob(2)])
    lender.spill(c, [blob(1)], kind=EPHEMERAL)
    lender.clock.seconds += 3.0
    lender.spill(c, [blob(9)])
    lender.clock.seconds += 2.0
    assert lender.handler.owners_held() == [("a", 2, 5.0), ("c", 1, 2.0)]


# -- more of pages
# -------------------------------------------------------------------------------------------


def test_an_empty_batch_is_harmless() -> None:
    lender = Lending()
    lease = lender.hello()
    for _ in range(2):
        assert lender.spill(lease, []).statuses == b""
    assert lender.fetch(lease).found == b""
    lender.flush(lease)


def test_what_does_not_fit_one_answer_is_left_out_and_can_be_asked_for_again() -> None:
    """Checklist 58: no message over the limit is sent."""
    lender = Lending(pool_bytes=8 << 20, lend_bytes=8 << 20)
    lease = lender.hello()
    names = [(key, 1) for key in range(300)]
    for first in range(0, 300, 100):
        lender.spill(lease, [blob(key, length=PAGE_SIZE) for key in range(first, first + 100)])
    got: list[Blob] = []
    while names:
        reply = lender.fetch(lease, *names)
        assert len(reply.blobs.payload) <= SPILL_PAYLOAD_BYTES_MAX
        assert len(reply.found) == len(names)
        assert set(reply.found) <= {1, 2}
        got += rows(reply.blobs)
        names = [name for name, found in zip(names, reply.found, strict=True) if found == 2]
    assert got == [blob(key, length=PAGE_SIZE) for key in range(300)]


# -- what a broken or lying owner sends ------------------------------------------------------------


def good_blobs() -> PackedBlobs:
    return pack([blob(1), blob(2)])


def longer_column(blobs: PackedBlobs) -> None:
    blobs.generations.append(1)


def short_payload(blobs: PackedBlobs) -> None:
    blobs.payload = bytes(blobs.payload)[:-1]


def no_length(blobs: PackedBlobs) -> None:
    blobs.lengths[0] = 0


def too_long(blobs: PackedBlobs) -> None:
    blobs.lengths[0] = PAGE_SIZE + 1


@pytest.mark.parametrize("spoil", [longer_column, short_payload, no_length, too_long])
def test_a_spill_whose_columns_do_not_fit_is_refused_whole(
    spoil: Callable[[PackedBlobs], None],
) -> None:
    lender = Lending()
    lease = lender.hello()
    blobs = good_blobs()
    spoil(blobs)
    with pytest.raises(BadMessageError):
        lender.handler.on_spill(
            SpillRequest(lease=lease, epoch=0, batch=1, kind=PERSISTENT, blobs=blobs)
        )
    assert lender.pages == 0
    assert lender.counters.messages_refused == 1


def test_more_than_the_stated_bounds_is_refused() -> None:
    """Checklist 58: a message over the limit is refused."""
    lender = Lending()
    lease = lender.hello()
    with pytest.raises(BadMessageError, match="4096"):
        lender.spill(lease, [blob(key, length=1) for key in range(4097)])
    with pytest.raises(BadMessageError, match=str(SPILL_PAYLOAD_BYTES_MAX)):
        lender.spill(lease, [blob(key, length=PAGE_SIZE) for key in range(129)])
    with pytest.raises(BadMessageError, match=str(FETCH_KEYS_MAX)):
        lender.fetch(lease, *((key, 1) for key in range(FETCH_KEYS_MAX + 1)))
    with pytest.raises(BadMessageError, match=str(FLUSH_KEYS_MAX)):
        lender.flush(lease, *((key, 1) for key in range(FLUSH_KEYS_MAX + 1)))
    assert lender.pages == 0


@pytest.mark.parametrize("kind", [2, -1, 255])
def test_an_unknown_kind_is_refused(kind: int) -> None:
    lender = Lending()
    lease = lender.hello()
    with pytest.raises(BadMessageError, match="accepted is 0 or 1"):
        lender.spill(lease, [blob(1)], kind=kind)  # type: ignore[arg-type]
    with pytest.raises(BadMessageError):
        lender.fetch(lease, (1, 1), kind=kind)  # type: ignore[arg-type]
    with pytest.raises(BadMessageError):
        lender.flush(lease, (1, 1), kind=kind)  # type: ignore[arg-type]


def test_columns_of_fetches_and_flushes_must_be_equally_long() -> None:
    lender = Lending()
    lease = lender.hello()
    keys, generations = array("Q", [1, 2]), array("Q", [1])
    with pytest.raises(BadMessageError, match="1 generations for 2 keys"):
        lender.handler.on_fetch(
            FetchRequest(lease=lease, kind=PERSISTENT, keys=keys, generations=generations)
        )
    with pytest.raises(BadMessageError, match="1 generations for 2 keys"):
        lender.handler.on_flush(
            FlushRequest(
                lease=lease,
                epoch=0,
                sequence=1,
                kind=PERSISTENT,
                keys=keys,
                generations=generations,
            )
        )


@pytest.mark.parametrize("lease", [0, 1, 2**64 - 1])
def test_an_unknown_lease_is_told_for_every_call(lease: int) -> None:
    lender = Lending()
    lender.hello()
    with pytest.raises(UnknownLeaseError):
        lender.handler.on_heartbeat(Heartbeat(lease=lease, incarnation=1))
    with pytest.raises(UnknownLeaseError):
        lender.spill(lease, [blob(1)])
    with pytest.raises(UnknownLeaseError):
        lender.fetch(lease, (1, 1))
    with pytest.raises(UnknownLeaseError):
        lender.flush(lease, (1, 1))
