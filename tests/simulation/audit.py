"""Books that must agree, looked up behind the nodes' backs.

Covers: where the copies of a page are and whether they are there, by the caches and files of all
nodes; whether lenders hold anything else. The only module here that looks into the cluster's own
parts. Does not cover: each cache's own sums (``CacheContract.verify``), what explains that a copy
cannot be had (``world.py``).

The rule behind all of it: where a stub names a lease that is in force at a lender that lives, the
lender holds that very copy; where it names a slot of the file, the page's bytes are there. A fault
may put a copy out of reach or end the lease; nothing but a lie makes a copy vanish under a lease.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ramster.leases import Lease
from ramster.lenders import Lender, Place
from ramster.slot_table import POSITION_BYTES
from ramster.spiller import ROOM_BYTES_MIN
from tests.simulation.node import SimulatedNode
from zcache import BLOB_FOUND, AwayPages, PoolKind, place_of, position_of
from zcache.codec import checksum_of

FOREIGN_OBJECT = 0
"""All pages of a lease are in one object."""

FILE_ROOM_BYTES = 64 * 4096
"""A file with less room than this may not be given copies that are missing elsewhere."""

Nodes = dict[str, SimulatedNode]

Handle = tuple[int, int, int]
"""(pool, object, index)"""


class Away(NamedTuple):
    """A page that is away, as its stub has it."""

    handle: Handle
    key: int
    generation: int
    length: int
    checksum: int
    where: int
    place: Place

    @property
    def persistent(self) -> bool:
        return self.place.kind is PoolKind.PERSISTENT

    @property
    def copies(self) -> list[Copy]:
        """Those at lenders."""
        kind = self.place.kind
        return [
            Copy(self.handle, kind, lender, self.key, self.generation, self.checksum)
            for lender in self.place.lenders
        ]


class Copy(NamedTuple):
    """A copy that a stub names."""

    handle: Handle
    kind: PoolKind
    lender: Lender
    key: int
    generation: int
    checksum: int

    @property
    def name(self) -> tuple[int, int, int]:
        """How the lender knows it."""
        return self.lender.lease, self.key, self.generation


def leases(lender: SimulatedNode) -> list[Lease]:
    """The leases in force at a node."""
    return lender.cluster._foreign.leases


def pages_away(
    owner: SimulatedNode, pool: int, object_id: int, indexes: Sequence[int]
) -> list[Away]:
    """Those of some pages that are away."""
    away = owner.cache.peek_away(pool, object_id, indexes)
    handles = [(pool, object_id, indexes[position]) for position in away.positions]
    return list(_rows(owner, handles, away))


def all_away(owner: SimulatedNode) -> Iterator[Away]:
    """Every page of a node that is away."""
    for number in list(owner.cache.stats().away_by_where):
        yield from _away_at(owner, number)


def _away_at(owner: SimulatedNode, number: int) -> Iterator[Away]:
    cursor = 0
    while True:
        handles, pages, cursor = owner.cache.scan_away(number, cursor=cursor)
        yield from _rows(owner, handles, pages)
        if cursor == 0:
            break


def _rows(owner: SimulatedNode, handles: Sequence[Handle], pages: AwayPages) -> Iterator[Away]:
    table = owner.cluster._table
    for row, handle in enumerate(handles):
        yield Away(
            handle,
            pages.keys[row],
            pages.generations[row],
            pages.lengths[row],
            pages.checksums[row],
            pages.wheres[row],
            table.place(place_of(pages.wheres[row])),
        )


def lease_of(lender: Lender, node: SimulatedNode) -> Lease | None:
    """The lease that a lender is, if its node lives and knows it."""
    if not node.up or node.cluster.incarnation != lender.incarnation:
        return None
    return next((lease for lease in leases(node) if lease.number == lender.lease), None)


def holds(copy: Copy, lender: SimulatedNode, lease: Lease) -> bool:
    """Whether a lender holds a copy, intact."""
    found, blobs = lender.cache.read_adopted(
        lease.pools[copy.kind], FOREIGN_OBJECT, [copy.key], [copy.generation]
    )
    return found[0] == BLOB_FOUND and blobs.checksums[0] == copy.checksum


def file_holds(page: Away, owner: SimulatedNode) -> bool:
    """Whether a page's bytes are in its slot of the file."""
    assert owner.disk is not None, f"{owner.name} has no file"
    start = position_of(page.where) * POSITION_BYTES
    return checksum_of(bytes(owner.disk.content[start : start + page.length])) == page.checksum


def was_lied_about(copy: Copy, lender: SimulatedNode) -> str | None:
    """The lie that a lender's present life told of a copy, if any."""
    return None if lender.liar is None else lender.liar.told.get(copy.name)


# -- in every moment ------------------------------------------------------------------------------


def missing_copies(nodes: Nodes) -> list[str]:
    """Persistent pages whose copies are not where their stubs say, without a lie; or whose stubs
    say something that makes no sense.
    """
    found = []
    for owner in nodes.values():
        for page in all_away(owner) if owner.up else ():
            if not page.persistent:
                continue
            found += [f"{owner.name}: {copy} is not there" for copy in _missing(page, nodes)]
            if page.place.disk and not file_holds(page, owner):
                found.append(f"{owner.name}: {page} is not in its slot")
            if page.place.disk != (position_of(page.where) != 0):
                found.append(f"{owner.name}: {page} has half a slot")
            holders = {owner.name, *(lender.node for lender in page.place.lenders)}
            if len(holders) <= len(page.place.lenders):
                found.append(f"{owner.name}: {page} has two copies at one node")
            due = owner.copies_of_pool(page.handle[0], page.place.kind)
            if page.place.copies != due:
                found.append(f"{owner.name}: {page} should have {due} copies")
    return found


def _missing(page: Away, nodes: Nodes) -> Iterator[Copy]:
    for copy in page.copies:
        lender = nodes[copy.lender.node]
        lease = lease_of(copy.lender, lender)
        if (
            lease is not None
            and not holds(copy, lender, lease)
            and was_lied_about(copy, lender) != "forget"
        ):
            yield copy


# -- at rest --------------------------------------------------------------------------------------


def could_be_whole(owner: SimulatedNode, nodes: Nodes) -> int:
    """Pages of a node that lack a copy for which there is room, and have one to make it of."""
    found = 0
    for number in owner.cache.stats().away_by_where:
        place = owner.cluster._table.place(number)
        good = _good(place, nodes)
        if (good or place.disk) and _lacks(owner, place, good) and _room(owner, place, good, nodes):
            found += sum(_readable(page, nodes) for page in _away_at(owner, number))
    return found


def _room(owner: SimulatedNode, place: Place, good: list[Lender], nodes: Nodes) -> bool:
    """Whether another lender or the file has room for a further copy."""
    taken = {owner.name, *(lender.node for lender in good)}
    file = owner.writeback
    return (file is not None and file.has_room(FILE_ROOM_BYTES)) or (
        len(good) < place.copies
        and any(
            node.cache.foreign_room_bytes() >= 2 * ROOM_BYTES_MIN
            for node in nodes.values()
            if node.name not in taken
        )
    )


def _readable(page: Away, nodes: Nodes) -> bool:
    """Whether a holder can have it: it may have forgotten it, and nobody knows."""
    return page.place.disk or any(
        lease_of(copy.lender, nodes[copy.lender.node]) is not None
        and was_lied_about(copy, nodes[copy.lender.node]) != "forget"
        for copy in page.copies
    )


def _good(place: Place, nodes: Nodes) -> list[Lender]:
    """Lenders of a place that live and know the lease."""
    return [one for one in place.lenders if lease_of(one, nodes[one.node]) is not None]


def _lacks(owner: SimulatedNode, place: Place, good: list[Lender]) -> bool:
    if place.disk:
        return False
    safe = owner.config.writeback_safety and place.kind is PoolKind.PERSISTENT
    return safe or len(good) < place.copies


def unbalanced(nodes: Nodes) -> list[str]:
    """What keeps lenders and files from holding exactly what owners have away, and owners from
    knowing it; for a cluster at rest.

    A lender may have dropped ephemeral pages for its own needs.
    """
    found: list[str] = []
    expected: Counter[tuple[str, int, PoolKind]] = Counter()
    for owner in nodes.values():
        found += _unfinished(owner)
        short = lost = slots = 0
        for page in all_away(owner):
            good = _good(page.place, nodes)
            slots += page.place.disk
            if not good and not page.place.disk:
                lost += 1
            else:
                short += _lacks(owner, page.place, good)
            for copy in page.copies:
                if (
                    copy.lender in good
                    and was_lied_about(copy, nodes[copy.lender.node]) != "forget"
                ):
                    expected[copy.lender.node, copy.lender.lease, copy.kind] += 1
        view = owner.snapshot
        known = (view.pages_under_replicated, view.pages_lost + view.pages_unreachable)
        if known != (short, lost):
            found.append(
                f"{owner.name}: counts {known} pages with too few copies and none, "
                f"and there are {(short, lost)}"
            )
        if owner.writeback is not None and owner.writeback.pages != slots:
            found.append(f"{owner.name}: {owner.writeback.pages} pages in the file, {slots} known")
    return found or [*_surplus(nodes, expected), *missing_copies(nodes)]


def _unfinished(owner: SimulatedNode) -> Iterator[str]:
    view = owner.snapshot
    if view.flushes_pending or view.spill_bytes_in_flight or view.writers_waiting:
        yield (
            f"{owner.name}: {view.flushes_pending} flushes pending, "
            f"{view.spill_bytes_in_flight} bytes in flight, {view.writers_waiting} waiting"
        )
    if view.flushes_pending != sum(peer.flushes_pending for peer in view.peers):
        yield f"{owner.name}: flushes pending for nobody"
    if owner.disk is not None and owner.disk.calls_under_way:
        yield f"{owner.name}: {owner.disk.calls_under_way} calls to its disk under way"


def _surplus(nodes: Nodes, expected: Counter[tuple[str, int, PoolKind]]) -> Iterator[str]:
    """What lenders hold beside what is expected of them, and what they do not."""
    for lender in nodes.values():
        held_in_all = 0
        for lease in leases(lender):
            for kind in PoolKind:
                held = lender.cache.pool_pages(lease.pools[kind])
                held_in_all += held
                due = expected[lender.name, lease.number, kind]
                if held > due or (held < due and kind is PoolKind.PERSISTENT):
                    yield (
                        f"{lender.name} holds {held} {kind.name.lower()} pages of {lease.owner}, "
                        f"which has {due} there"
                    )
        if held_in_all != lender.cache.stats().pages_foreign:
            yield f"{lender.name} holds pages under no lease"


def left_of(owners: Sequence[tuple[str, int]], nodes: Nodes) -> list[str]:
    """Pages that lenders still hold for these lives (name, incarnation) of owners."""
    return [
        f"{lender.name} holds {pages} pages of {lease.owner}"
        for lender in nodes.values()
        if lender.up
        for lease in leases(lender)
        if (lease.owner, lease.incarnation) in owners
        and (pages := lender.cluster._foreign.pages_of(lease))
    ]
