import random
from array import array
from collections.abc import Callable

import pytest

from tests.zcache.pages import (
    EPHEMERAL,
    PERSISTENT,
    ZERO,
    mixed_page,
    random_page,
    spill_all,
    text_page,
)
from zcache import (
    AwayPage,
    BadHandleError,
    CacheConfig,
    CacheContract,
    CacheFullError,
    CorruptPageError,
    SpillTicket,
    TicketError,
    where_of,
)
from zcache.cache import Cache

MakeCache = Callable[..., CacheContract]


def filled(make_cache: MakeCache, pages: int) -> tuple[CacheContract, int]:
    cache = make_cache()
    pool = cache.create_pool(PERSISTENT)
    cache.put_many(pool, 1, range(pages), b"".join(map(text_page, range(pages))))
    return cache, pool


def begin(cache: CacheContract, pages_max: int, **options: object) -> SpillTicket:
    ticket = cache.begin_spill(2**40, pages_max=pages_max, **options)
    assert ticket is not None
    return ticket


def away(cache: CacheContract, pool: int, stop: int) -> list[int]:
    return list(cache.peek_away(pool, 1, range(stop)).positions)


def test_pages_leave_oldest_first(make_cache: MakeCache) -> None:
    """Behaviour 38: the order is that of the last put; overwriting makes a page young again."""
    cache, pool = filled(make_cache, 6)
    cache.put(pool, 1, 0, text_page(50))
    cache.put(pool, 1, 2, random_page(50))
    cache.finish_spill(begin(cache, 3), 1)
    assert away(cache, pool, 6) == [1, 3, 4]
    cache.finish_spill(begin(cache, 2), 1)
    assert away(cache, pool, 6) == [0, 1, 3, 4, 5]


def test_a_page_that_was_hit_is_passed_over_once(make_cache: MakeCache) -> None:
    """Behaviour 83: second chance; the next pass takes the page unless it was hit again."""
    cache, pool = filled(make_cache, 5)
    cache.get(pool, 1, 0)
    cache.get(pool, 1, 1)
    cache.finish_spill(begin(cache, 2), 1)
    assert away(cache, pool, 5) == [2, 3]
    # 0 and 1 have used up their chance and stand behind 4; 0 gets another.
    cache.get(pool, 1, 0)
    cache.finish_spill(begin(cache, 2), 1)
    assert away(cache, pool, 5) == [1, 2, 3, 4]
    cache.finish_spill(begin(cache, 2), 1)
    assert away(cache, pool, 5) == [0, 1, 2, 3, 4]


def test_when_all_pages_were_hit_some_leave_all_the_same(make_cache: MakeCache) -> None:
    cache, pool = filled(make_cache, 5)
    for index in range(5):
        cache.get(pool, 1, index)
    assert len(begin(cache, 3).blobs) == 3


def test_a_ticket_is_bounded_in_bytes_and_pages(make_cache: MakeCache) -> None:
    cache, _ = filled(make_cache, 40)
    ticket = cache.begin_spill(10_000)
    assert ticket is not None
    assert len(ticket.blobs) == 4
    assert len(ticket.blobs.payload) == sum(ticket.blobs.lengths) <= 10_000
    assert len(begin(cache, 7).blobs) == 7
    tiny = cache.begin_spill(1)
    assert tiny is not None
    assert len(tiny.blobs) == 1


def test_tickets_take_only_own_pages_of_the_kind_asked_for(make_cache: MakeCache) -> None:
    cache, pool = filled(make_cache, 3)
    ephemeral = cache.create_pool(EPHEMERAL)
    cache.put(ephemeral, 1, 0, text_page(9))
    cache.put(pool, 1, 9, ZERO)
    ticket = begin(cache, 10, kind=EPHEMERAL)
    assert (ticket.kind, len(ticket.blobs)) == (EPHEMERAL, 1)
    assert len(begin(cache, 10).blobs) == 3
    assert cache.begin_spill(2**20) is None
    assert cache.begin_spill(2**20, kind=EPHEMERAL) is None
    cache.finish_spill(ticket, 6)
    assert isinstance(cache.get(ephemeral, 1, 0), AwayPage)
    assert cache.stats().away_by_where == {6: (0, 1)}


def test_pages_in_transit_stay_readable(make_cache: MakeCache) -> None:
    """Behaviours 40 and 41: whole pages are read while their ticket is open, batch or single."""
    cache, pool = filled(make_cache, 10)
    ticket = begin(cache, 10)
    assert cache.stats().pages_in_transit == 10
    for index in range(10):
        assert cache.get(pool, 1, index) == text_page(index)
    into = bytearray(10 * 4096)
    assert cache.get_many(pool, 1, range(10), into)[0] == b"\1" * 10
    assert into == b"".join(map(text_page, range(10)))
    assert cache.finish_spill(ticket, 1) == 10
    assert cache.stats().frames_used == 0


def test_zombies_are_counted_until_their_ticket_ends(make_cache: MakeCache) -> None:
    """Behaviour 41: pages that an open ticket still names though they were put or flushed."""
    cache, pool = filled(make_cache, 10)
    first, second = begin(cache, 4), begin(cache, 4)
    cache.flush(pool, 1, 0)
    cache.put(pool, 1, 1, text_page(70))
    cache.put(pool, 1, 5, random_page(70))
    stats = cache.stats()
    assert (stats.zombie_blobs, stats.pages_in_transit, stats.pages_local) == (3, 5, 4)
    cache.finish_spill(first, 1)
    assert cache.stats().zombie_blobs == 1
    cache.cancel_spill(second)
    assert cache.stats().zombie_blobs == 0
    assert cache.stats().pages_spill_stale == 3


def test_a_page_put_or_flushed_meanwhile_is_not_touched_by_the_ticket(
    make_cache: MakeCache,
) -> None:
    """Behaviour 84: the end of a ticket looks at each page again; taken copies are displaced."""
    cache, pool = filled(make_cache, 6)
    ticket = begin(cache, 6)
    cache.flush(pool, 1, 0)
    cache.put(pool, 1, 1, text_page(71))
    cache.flush(pool, 1, 2)
    cache.put(pool, 1, 2, text_page(72))
    cache.put(pool, 1, 3, ZERO)
    assert cache.finish_spill(ticket, 8, b"\1\1\0\1\1\1") == 2
    assert cache.get(pool, 1, 0) is None
    assert cache.get(pool, 1, 1) == text_page(71)
    assert cache.get(pool, 1, 2) == text_page(72)
    assert cache.get(pool, 1, 3) == ZERO
    displaced = cache.drain_displaced()
    assert list(displaced.keys) == [ticket.blobs.keys[row] for row in (0, 1, 3)]
    assert list(displaced.generations) == [ticket.blobs.generations[row] for row in (0, 1, 3)]
    assert list(displaced.wheres) == [8] * 3
    stats = cache.stats()
    assert (stats.pages_spilled, stats.pages_spill_stale, stats.pages_spill_refused) == (2, 4, 0)


def test_a_page_put_again_and_taken_by_a_second_ticket(make_cache: MakeCache) -> None:
    cache, pool = filled(make_cache, 1)
    first = begin(cache, 1)
    cache.put(pool, 1, 0, text_page(80))
    second = begin(cache, 1)
    assert cache.finish_spill(second, 2) == 1
    assert cache.finish_spill(first, 1) == 0
    got = cache.get(pool, 1, 0)
    assert isinstance(got, AwayPage)
    assert (got.where, got.generation) == (2, second.blobs.generations[0])
    assert list(cache.drain_displaced().wheres) == [1]


def test_the_first_of_two_tickets_does_not_end_the_second(make_cache: MakeCache) -> None:
    """Behaviour 84: the page is in transit again, but under another generation."""
    cache, pool = filled(make_cache, 1)
    first = begin(cache, 1)
    cache.put(pool, 1, 0, text_page(80))
    second = begin(cache, 1)
    assert cache.finish_spill(first, 1) == 0
    assert cache.get(pool, 1, 0) == text_page(80)
    assert list(cache.drain_displaced().generations) == list(first.blobs.generations)
    assert cache.finish_spill(second, 2) == 1


def test_refused_and_cancelled_pages_are_local_again_and_coldest(make_cache: MakeCache) -> None:
    cache, pool = filled(make_cache, 6)
    ticket = begin(cache, 4)
    assert cache.finish_spill(ticket, 1, b"\0\1\0\0") == 1
    assert away(cache, pool, 6) == [1]
    again = begin(cache, 2)
    cache.cancel_spill(again)
    cache.finish_spill(begin(cache, 3), 1)
    assert away(cache, pool, 6) == [0, 1, 2, 3]
    for index in (4, 5):
        assert cache.get(pool, 1, index) == text_page(index)
    stats = cache.stats()
    assert (stats.tickets_begun, stats.tickets_finished, stats.tickets_cancelled) == (3, 2, 1)
    assert stats.pages_spill_refused == 3


def test_pages_of_a_ticket_cancelled_warm_let_others_go_first(make_cache: MakeCache) -> None:
    cache, pool = filled(make_cache, 6)
    cache.cancel_spill(begin(cache, 2), warm=True)
    cache.verify()
    cache.finish_spill(begin(cache, 4), 1)
    assert away(cache, pool, 6) == [2, 3, 4, 5]
    cache.finish_spill(begin(cache, 2), 1)
    assert away(cache, pool, 6) == [0, 1, 2, 3, 4, 5]


def test_every_ticket_names_its_pages_anew(make_cache: MakeCache) -> None:
    """A key and a generation name one copy, ever, so that a late flush cannot hit a later copy."""
    cache, pool = filled(make_cache, 3)
    seen = set()
    for _ in range(4):
        ticket = begin(cache, 3)
        names = set(zip(ticket.blobs.keys, ticket.blobs.generations, strict=True))
        assert not names & seen
        assert min(ticket.blobs.generations) > max((g for _, g in seen), default=0)
        seen |= names
        cache.cancel_spill(ticket)
    cache.put(pool, 1, 0, text_page(9))
    last = begin(cache, 3)
    assert min(last.blobs.generations) > max(g for _, g in seen)


def test_a_ticket_ends_once_and_in_its_own_cache(make_cache: MakeCache) -> None:
    cache, _ = filled(make_cache, 4)
    other, _ = filled(make_cache, 4)
    ticket, foreign = begin(cache, 2), begin(other, 2)
    with pytest.raises(TicketError):
        cache.finish_spill(foreign, 1)
    with pytest.raises(TicketError, match="3 answers for a ticket of 2"):
        cache.finish_spill(ticket, 1, b"\1\1\1")
    for where in (0, 3 << 32, -1, 2**64, 2**64 + 1):
        with pytest.raises(BadHandleError, match="where"):
            cache.finish_spill(ticket, where)
    assert cache.stats().pages_in_transit == 2
    cache.finish_spill(ticket, 1)
    with pytest.raises(TicketError):
        cache.finish_spill(ticket, 1)
    with pytest.raises(TicketError):
        cache.cancel_spill(ticket)
    other.cancel_spill(foreign)


def test_a_ticket_says_which_pool_each_page_is_of(make_cache: MakeCache) -> None:
    cache, first = filled(make_cache, 2)
    second = cache.create_pool(PERSISTENT)
    for n, (pool, object_id) in enumerate([(second, 1), (first, 2), (second, 2), (first, 1)]):
        cache.put(pool, object_id, 9, text_page(n))
    ticket = begin(cache, 10)
    assert list(ticket.pools) == [first, first, second, first, second, first]
    assert ticket.pools.typecode == "I"
    cache.flush_object(second, 1)
    assert list(ticket.pools) == [first, first, second, first, second, first]


def test_each_page_may_go_to_a_place_of_its_own(make_cache: MakeCache) -> None:
    cache, pool = filled(make_cache, 6)
    ticket = begin(cache, 6)
    cache.put(pool, 1, 1, text_page(70))
    cache.put(pool, 1, 2, text_page(71))
    wheres = [where_of(3, 10), where_of(3, 11), 0, where_of(2**32 - 1, 2**32 - 1), 4, -1]
    assert cache.finish_spill(ticket, wheres, b"\1\1\0\1\1\0") == 3
    seen = cache.peek_away(pool, 1, range(6))
    assert list(seen.positions) == [0, 3, 4]
    assert list(seen.wheres) == [wheres[0], wheres[3], wheres[4]]
    assert cache.stats().away_by_where == {3: (1, 0), 2**32 - 1: (1, 0), 4: (1, 0)}
    assert list(cache.drain_displaced().wheres) == [wheres[1]]
    assert cache.get(pool, 1, 5) == text_page(5)
    got = cache.get(pool, 1, 3)
    assert isinstance(got, AwayPage)
    assert got.where == 2**64 - 1


@pytest.mark.parametrize(
    ("wheres", "accepted", "error"),
    [
        ([1, 1], None, TicketError),
        ([1, 1, 1, 1], None, TicketError),
        ([], None, TicketError),
        ([1, 0, 1], None, BadHandleError),
        ([1, 1, 5 << 32], None, BadHandleError),
        ([1, 2**64 + 1, 1], b"\0\1\0", BadHandleError),
        ([-1, 1, 1], b"\1\0\0", BadHandleError),
        ([1, 1, 1], b"\1", TicketError),
    ],
)
def test_a_bad_column_of_places_changes_nothing(
    make_cache: MakeCache, wheres: list[int], accepted: bytes | None, error: type[Exception]
) -> None:
    cache, _ = filled(make_cache, 3)
    ticket = begin(cache, 3)
    with pytest.raises(error):
        cache.finish_spill(ticket, wheres, accepted)
    assert cache.stats().pages_in_transit == 3
    assert cache.stats().away_by_where == {}
    assert cache.finish_spill(ticket, array("Q", [1, 2, 3])) == 3
    with pytest.raises(TicketError, match="not open"):
        cache.finish_spill(ticket, [1, 2, 3])


def test_displaced_copies_are_handed_out_once_oldest_first(make_cache: MakeCache) -> None:
    cache, pool = filled(make_cache, 10)
    blobs = spill_all(cache, where=5)
    for index in (3, 1, 4, 2):
        cache.flush(pool, 1, index)
    assert cache.stats().displaced_pending == 4
    first = cache.drain_displaced(3)
    assert list(first.generations) == [blobs.generations[index] for index in (3, 1, 4)]
    assert list(first.checksums) == [blobs.checksums[index] for index in (3, 1, 4)]
    assert list(first.lengths) == [blobs.lengths[index] for index in (3, 1, 4)]
    assert list(cache.drain_displaced().keys) == [blobs.keys[2]]
    assert len(cache.drain_displaced()) == 0


def test_spilling_gives_frames_back_and_persistent_pages_survive(make_cache: MakeCache) -> None:
    """Behaviour 23: under pressure nothing persistent is lost, whatever ends its ticket."""
    cache = make_cache(frames=64)
    pool, other = cache.create_pool(PERSISTENT), cache.create_pool(EPHEMERAL)
    rng = random.Random(3)
    kept: list[int] = []
    for n in range(300):
        page = mixed_page(n, rng.choice([200, 1500, 4096]))
        cache.put(other, 1, n, page)
        while cache.excess_bytes(0.8):
            ticket = cache.begin_spill(2**20, pages_max=5)
            if ticket is None:
                break
            accepted = bytes(rng.randrange(2) for _ in ticket.blobs.keys)
            cache.finish_spill(ticket, 1, accepted)
        try:
            cache.put(pool, 1, n, page)
        except CacheFullError:
            continue
        kept.append(n)
    into = bytearray(len(kept) * 4096)
    states, _ = cache.get_many(pool, 1, kept, into)
    assert set(states) == {1, 2}
    assert cache.stats().pages_persistent == len(kept) > 250


def test_a_page_with_a_broken_blob_does_not_leave() -> None:
    """No lender would take it, and it must not be in the way of the others for ever."""
    cache = Cache(CacheConfig(pool_bytes_max=2**20))
    pool = cache.create_pool(PERSISTENT)
    cache.put_many(pool, 1, range(3), b"".join(map(text_page, range(3))))
    entries = cache._entries
    broken = entries.find(entries.index.pool(pool), 1, 0)
    entries.zsmalloc.overwrite(entries.table.words[broken], b"\xff\xff\xff")
    assert len(begin(cache, 3).blobs) == 2
    assert cache.begin_spill(2**20) is None
    with pytest.raises(CorruptPageError):
        cache.get(pool, 1, 0)
