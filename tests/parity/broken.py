"""Caches that are wrong in one small way each: two such twins must not pass for equal.

Covers: the table. Most faults are those that a second implementation is likely to have: another
order, a number that is not raised, a counter that is forgotten, a text that differs.
"""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

from zcache import (
    AwayPages,
    BadHandleError,
    CacheConfig,
    GetFree,
    PackedBlobs,
    PoolKind,
    RestoreStatus,
    SpillTicket,
    TicketError,
)
from zcache.cache import Cache
from zcache.page_table import FOREIGN, REFERENCED, SAME_FILLED, STATE_MASK, queue_of
from zcache.zsmalloc import Zsmalloc

__all__ = ["BROKEN"]

BROKEN: dict[str, type[Cache]] = {}


def broken(cache: type[Cache]) -> type[Cache]:
    """Enter a broken cache into the table."""
    BROKEN[cache.__name__] = cache
    return cache


@broken
class SkipsAGeneration(Cache):
    """A flush that finds a page uses up a generation."""

    def flush(self, pool_id: int, object_id: int, index: int) -> bool:
        found = super().flush(pool_id, object_id, index)
        self._entries.table.generation += found
        return found


@broken
class GivesSameFilledPagesNoGeneration(Cache):
    """The next page gets the generation of a same-filled one."""

    def put_many(self, *arguments: Any, **named: Any) -> None:
        table = self._entries.table
        before = table.generation
        super().put_many(*arguments, **named)
        newest = [
            entry for entry in range(5, len(table.flags)) if table.generations[entry] > before
        ]
        if newest and all(table.flags[entry] & STATE_MASK == SAME_FILLED for entry in newest):
            table.generation -= 1


@broken
class BringsPagesHomeInAnotherOrder(Cache):
    """The coldest page of a cancelled ticket is the warmest."""

    def cancel_spill(self, ticket: SpillTicket, *, warm: bool = False) -> None:
        super().cancel_spill(ticket, warm=warm)
        table = self._entries.table
        for queue in (1, 3):
            coldest = table.queue(queue)[:2]
            if len(coldest) == 2:
                table.unlink(coldest[0])
                table.append(coldest[0], queue)


@broken
class GivesNoSecondChance(Cache):
    """A hit does not protect a page."""

    def get(self, *handle: int, free: GetFree = GetFree.BY_KIND) -> Any:
        page = super().get(*handle, free=free)
        flags = self._entries.table.flags
        for entry in range(5, len(flags)):
            flags[entry] &= ~REFERENCED
        return page


@broken
class GivesEntriesOutInAnotherOrder(Cache):
    """Keys differ, and nothing else."""

    def flush(self, pool_id: int, object_id: int, index: int) -> bool:
        found = super().flush(pool_id, object_id, index)
        table = self._entries.table
        first = table.free_head
        second = table.next[first]
        if first and second:
            table.free_head, table.next[first], table.next[second] = (
                second, table.next[second], first,
            )  # fmt: skip
        return found


@broken
class ForgetsACounter(Cache):
    """Blobs that are stale or corrupt are not counted."""

    def restore_many(self, *arguments: Any, **named: Any) -> bytes:
        statuses = super().restore_many(*arguments, **named)
        self._entries.counters.restores_stale -= statuses.count(RestoreStatus.STALE)
        self._entries.counters.restores_corrupt -= statuses.count(RestoreStatus.CORRUPT)
        return statuses


@broken
class TouchesBytesOfAbsentPages(Cache):
    """A buffer is cleared before pages are written to it."""

    def get_many(
        self,
        pool_id: int,
        object_id: int,
        indexes: Any,
        into: bytearray | memoryview,
        *,
        free: GetFree = GetFree.BY_KIND,
    ) -> tuple[bytes, AwayPages]:
        answer = super().get_many(pool_id, object_id, indexes, into, free=free)
        view = memoryview(into)
        for at, state in enumerate(answer[0]):
            if not state:
                view[at * 4096 : at * 4096 + 1] = b"\0"
        return answer


@broken
class SaysItInOtherWords(Cache):
    """The error is of the right kind, and its text is not."""

    def peek_away(self, pool_id: int, object_id: int, indexes: Any) -> AwayPages:
        try:
            return super().peek_away(pool_id, object_id, indexes)
        except BadHandleError:
            raise BadHandleError("index out of range") from None


@broken
class ForgetsWhatWasStored(Cache):
    """An exception without one of its attributes."""

    def put_many(self, *arguments: Any, **named: Any) -> None:
        try:
            super().put_many(*arguments, **named)
        except Exception as error:
            if getattr(error, "stored", 0):
                error.stored = 0  # type: ignore[attr-defined]
            raise


@broken
class TakesTicketsOfOthers(Cache):
    """A ticket is known by its number alone."""

    def cancel_spill(self, ticket: SpillTicket, *, warm: bool = False) -> None:
        own = self._spills._open.get(ticket.ticket_id)
        if own is None:
            raise TicketError(f"ticket {ticket.ticket_id} is not open in this cache")
        super().cancel_spill(own, warm=warm)


@broken
class IgnoresAPoolsCodec(Cache):
    """Every pool is as configured."""

    def create_pool(self, *arguments: Any, codec: str | None = None, **named: Any) -> int:
        pool = super().create_pool(*arguments, codec=codec, **named)
        self._entries.index.any_pool(pool).codec = None
        return pool


@broken
class StopsOneFrameTooEarly(Cache):
    """Compaction gives back a frame less than it was asked for."""

    def compact(self, frames_max: int | None = None) -> int:
        return super().compact(frames_max - 1 if frames_max else frames_max)


@broken
class AdoptsOverTheQuota(Cache):
    """The quota counts blobs, not the slots that they take."""

    def adopt(self, pool_id: int, object_id: int, blobs: PackedBlobs) -> bytes:
        before = self._entries.foreign_slot_bytes
        self._entries.foreign_slot_bytes -= before // 5
        try:
            return super().adopt(pool_id, object_id, blobs)
        finally:
            self._entries.foreign_slot_bytes += before // 5


@broken
class DrainsDisplacedCopiesBackwards(Cache):
    """The newest first."""

    def drain_displaced(self, pages_max: int = 65536) -> AwayPages:
        away = super().drain_displaced(pages_max)
        for column in (away.keys, away.generations, away.wheres, away.checksums, away.lengths):
            column.reverse()
        away.encodings.reverse()
        return away


@broken
class ScansAPageTooFar(Cache):
    """A scan that is cut short goes on one page too far."""

    def scan_away(self, place: int, *, cursor: int = 0, pages_max: int = 4096) -> Any:
        handles, pages, cursor = super().scan_away(place, cursor=cursor, pages_max=pages_max)
        return handles, pages, cursor + (cursor > 0)


@broken
class DropsOwnEphemeralPagesFirst(Cache):
    """Room is made by the node's own ephemeral pages, not by those of others."""

    def put_many(self, *arguments: Any, **named: Any) -> None:
        with patch("zcache.reclaim._EPHEMERAL_QUEUES", (queue_of(0), queue_of(FOREIGN))):
            super().put_many(*arguments, **named)


@broken
class BeginsZspagesTooEarly(Cache):
    """A blob goes to a new zspage although an older one has room."""

    def __init__(self, config: CacheConfig | None = None) -> None:
        super().__init__(config)
        self._entries.zsmalloc.__class__ = _Spacious


class _Spacious(Zsmalloc):
    def store(self, blob: bytes, handle: int, limit: int) -> int:
        klass = self.table.class_of_length[len(blob)]
        kept = self.zspages.open_bands[klass]
        if kept and self.frames_used + self.classes[klass].frames <= limit and handle % 7 == 0:
            self.zspages.open_bands[klass] = 0
            location = super().store(blob, handle, limit)
            self.zspages.open_bands[klass] |= kept
            return location
        return super().store(blob, handle, limit)


@broken
class MovesWhatChanged(Cache):
    """A stub is moved although its word is another."""

    def move_away(self, keys: Any, generations: Any, wheres: Any, to: Any) -> bytes:
        table = self._entries.table
        wheres = list(wheres)
        for row, key in enumerate(keys[: len(wheres)]):
            if 0 < key < len(table.flags) and table.flags[key] & 0x1C == 0x0C:
                wheres[row] = table.words[key]
        return super().move_away(keys, generations, wheres, to)


@broken
class ForgetsThatItRefuses(Cache):
    """After the limit was hit there is no waiting for the accept watermark."""

    def put_many(self, *arguments: Any, **named: Any) -> None:
        self._entries.refusing = False
        super().put_many(*arguments, **named)


@broken
class MixesUpKindsAtAPlace(Cache):
    """Pages away are summed by place and kind, the two kinds the wrong way round."""

    def finish_spill(self, ticket: SpillTicket, where: Any, accepted: Any = None) -> int:
        finished = super().finish_spill(ticket, where, accepted)
        if finished and ticket.kind is PoolKind.EPHEMERAL:
            for pair in self._entries.away.values():
                pair.reverse()
        return finished
