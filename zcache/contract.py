"""The contract of a cache: what every implementation does, whatever it is made of.

Covers: operations, their answers and their failures. One test suite runs over every implementation.
Does not cover: peers. A cache never calls out; it knows only that a page can be *away* at some
``where``, a 64-bit word: its low 32 bits number a place (never 0), by which pages are summed,
scanned and forgotten here; its high 32 bits are a position, which means something to the layer
above and nothing here.

A page's states, at its owner:

    absent -- put --> LOCAL (or SAME-FILLED) -- begin_spill --> IN TRANSIT
    IN TRANSIT -- finish_spill --> AWAY(where)
    IN TRANSIT -- cancel_spill, refused --> LOCAL      AWAY -- restore(install) --> LOCAL
    AWAY(where) -- move_away --> AWAY(to)
    any -- flush, consuming get, ephemeral drop --> absent

Rules that hold for all operations:
- All are safe to call from several threads, and linearizable for one handle.
- A batch is a loop over its pages in order; of a repeated index the last put wins.
- A get returns the bytes of the last accepted put, or says absent, away or corrupt; nothing else.
- Frames in use never exceed ``config.frames_max``, not for a moment.
- A copy elsewhere that is no longer wanted (its page was put, flushed, restored or dropped, or its
  ticket had gone stale) is queued and handed out once by ``drain_displaced``; the layer above
  flushes it there. One queue for every cause, so that a copy is not forgotten on an error path.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from zcache.config import CacheConfig
from zcache.page import (
    AwayPage,
    AwayPages,
    Buffer,
    GetFree,
    PackedBlobs,
    PoolKind,
    SpillTicket,
)
from zcache.stats import CacheStats

__all__ = ["CacheContract"]


class CacheContract(Protocol):
    """Operations on pages named by (pool id, object id, index)."""

    @property
    def backend(self) -> str:
        """Name of the implementation: "python" or "native"."""

    @property
    def config(self) -> CacheConfig:
        """The configuration in force."""

    def reconfigure(self, **changes: object) -> CacheConfig:
        """Change knobs at run time (not ``chain_frames_max``); returns the new configuration.

        A limit set below present use loses no persistent page: ephemeral pages are dropped, the
        rest stays and new puts are refused until there is room. Raises ConfigError and changes
        nothing.
        """

    # -- pools -------------------------------------------------------------------------------------

    def create_pool(
        self,
        kind: PoolKind,
        *,
        exclusive_gets: bool = False,
        shared_uuid: UUID | None = None,
        foreign: bool = False,
        codec: str | None = None,
    ) -> int:
        """Make a pool and return its id, the lowest free one.

        ``exclusive_gets``: a get of a persistent page frees it. ``shared_uuid``: the same UUID
        gives the same pool (of the same kind), and a get leaves the page. ``foreign``: the pool
        holds blobs for other nodes; only ``adopt``, ``read_adopted`` and ``flush_adopted`` touch
        its pages. ``codec``: how new pages of the pool are compressed (None: as configured at the
        time of each put); a shared pool keeps what it was made with, and to a foreign one it means
        nothing. Raises ConfigError (a codec that is none, or that this backend lacks here) and
        PoolTableFullError, without side effects.
        """

    def pool_pages(self, pool_id: int) -> int:
        """Pages of a pool, in any state; own and foreign pools. Raises NoSuchPoolError."""

    def empty_pool(self, pool_id: int, pages_max: int) -> int:
        """Remove up to ``pages_max`` pages of a pool, own or foreign; returns how many.

        Fewer than ``pages_max`` means that none is left: how a large pool is emptied in slices,
        with others in between, before it is destroyed. Raises NoSuchPoolError.
        """

    def destroy_pool(self, pool_id: int) -> int:
        """Remove a pool and all its pages; returns how many. Later operations on the id are
        refused.

        Waits for operations under way, and takes a few microseconds a page (see ``empty_pool``).
        Raises NoSuchPoolError.
        """

    # -- pages -------------------------------------------------------------------------------------

    def put(
        self,
        pool_id: int,
        object_id: int,
        index: int,
        page: Buffer,
        *,
        keep_old: bool = False,
    ) -> None:
        """Store one page of PAGE_SIZE bytes, in place of any earlier one.

        Raises CacheFullError or PoorCompressionError when nothing was stored: then the handle is
        absent, or, with ``keep_old``, what it was before (for block devices, whose refused write
        leaves the old content readable; an ephemeral page may vanish all the same). Raises
        NoSuchPoolError, BadHandleError. In a frozen cache
        a put is a flush.
        """

    def put_many(
        self,
        pool_id: int,
        object_id: int,
        indexes: Sequence[int],
        payload: Buffer,
        *,
        keep_old: bool = False,
    ) -> None:
        """Store ``len(indexes)`` pages; ``payload`` holds them back to back, PAGE_SIZE bytes each.

        Pages are stored in order; at the first refusal the exception's ``stored`` says how many
        were stored, and no later page of the batch is touched.
        """

    def get(
        self, pool_id: int, object_id: int, index: int, *, free: GetFree = GetFree.BY_KIND
    ) -> bytes | AwayPage | None:
        """The page, or where to fetch it from, or None when absent.

        An away page is not freed by a get, whatever ``free`` says; ``restore`` does that.
        Raises CorruptPageError (the entry is kept), NoSuchPoolError, BadHandleError.
        """

    def get_many(
        self,
        pool_id: int,
        object_id: int,
        indexes: Sequence[int],
        into: bytearray | memoryview,
        *,
        free: GetFree = GetFree.BY_KIND,
    ) -> tuple[bytes, AwayPages]:
        """Write page i of the batch to ``into[i * PAGE_SIZE:]``; bytes of pages not PRESENT stay as
        they are.

        Returns one ``PageState`` a page, and the AWAY ones as columns (``positions`` = i). A
        corrupt page is a state here, not an exception.
        """

    def flush(self, pool_id: int, object_id: int, index: int) -> bool:
        """Remove one page; True if there was one (here or away)."""

    def flush_range(
        self,
        pool_id: int,
        object_id: int,
        start: int,
        stop: int,
        *,
        pages_max: int | None = None,
    ) -> int:
        """Remove pages with start <= index < stop; returns how many. Costs by page, not range.

        With ``pages_max`` the lowest so many, so that callers can let others in between: fewer
        removed than that means that none is left.
        """

    def flush_object(self, pool_id: int, object_id: int) -> int:
        """Remove every page of the object, and the object; returns how many.

        Takes a few microseconds a page; ``flush_range`` does the same in slices.
        """

    def extents(
        self, pool_id: int, object_id: int, start: int, stop: int
    ) -> list[tuple[int, int, bool]]:
        """(start, length, stored?) runs in pages that cover start..stop; away counts as stored."""

    def freeze(self, frozen: bool = True) -> None:
        """Stop (or resume) storing: each put becomes a flush of its handle and is counted.

        A frozen cache takes no foreign blob and lets no away page come home.
        """

    # -- spilling: pages leave ---------------------------------------------------------------------

    def begin_spill(
        self,
        bytes_max: int,
        *,
        kind: PoolKind = PoolKind.PERSISTENT,
        pages_max: int = 4096,
    ) -> SpillTicket | None:
        """Take the coldest own local pages of a kind, about ``bytes_max`` bytes of blobs; None if
        there are none.

        Second chance: a page hit since it was last passed over is passed over once more.
        Same-filled pages never leave. The pages stay readable; the payload is a copy. Each page
        leaves under a fresh generation: a key and a generation name one content, ever, so that a
        flush or a spill that arrives late cannot touch a later version of the same page. The
        ticket's ``pools`` say which pool each page is of.
        """

    def finish_spill(
        self, ticket: SpillTicket, where: int | Sequence[int], accepted: Buffer | None = None
    ) -> int:
        """End a ticket: its pages are away at ``where``; returns how many became so.

        ``where``: one word for all, or a column of one a page. ``accepted``: one byte a page,
        non-zero where the lender took it (None: all); the others become local again, and their
        words are ignored. A page put or flushed since is not touched; its copy at ``where``, if
        taken, is queued as displaced. Raises TicketError, also for a column of another length, and
        BadHandleError for a word that names no place; the ticket stays as it was then.
        """

    def cancel_spill(self, ticket: SpillTicket, *, warm: bool = False) -> None:
        """End a ticket with nothing gone: its pages are local again, and as cold as before; with
        ``warm`` the most recent ones, so that the next ticket takes others. Raises TicketError.
        """

    def drain_displaced(self, pages_max: int = 65536) -> AwayPages:
        """Hand out (once) copies elsewhere that are no longer wanted, oldest first."""

    # -- fetching: pages come back -----------------------------------------------------------------

    def peek_away(self, pool_id: int, object_id: int, indexes: Sequence[int]) -> AwayPages:
        """The pages that are away (``positions`` = place in ``indexes``); counts as no get."""

    def restore_many(
        self,
        pool_id: int,
        object_id: int,
        indexes: Sequence[int],
        blobs: PackedBlobs,
        into: bytearray | memoryview | None,
        *,
        install: bool,
        free: GetFree = GetFree.BY_KIND,
    ) -> bytes:
        """Verify fetched blobs against their stubs and decode page i to ``into[i * PAGE_SIZE:]``.

        A blob is STALE unless its key and generation are the stub's; CORRUPT unless length,
        encoding and checksum match too. Then: if ``free`` frees the page, it becomes absent; else,
        with ``install``, it becomes local if there is room under the high watermark (no page is
        dropped or moved for it); else it stays away. The copy elsewhere of a page that ceased to be
        away is queued as displaced.
        ``into=None`` verifies and installs only. Returns one ``RestoreStatus`` a page.
        """

    def forget_away(self, pool_id: int, object_id: int, index: int, generation: int) -> bool:
        """Drop a stub whose copy is gone; nothing is queued. False if the page changed since."""

    def forget_where(self, place: int, kind: PoolKind) -> int:
        """Drop own pages of ``kind`` away at a place, whatever their position; nothing is queued.

        Returns how many. Raises BadHandleError for a number that no place has.
        """

    def scan_away(
        self, place: int, *, cursor: int = 0, pages_max: int = 4096
    ) -> tuple[list[tuple[int, int, int]], AwayPages, int]:
        """Pages away at a place: (pool id, object id, index), their columns, the next cursor.

        The cursor is 0 when the scan is complete. A call looks at a bounded part of the cache, so
        it may return fewer pages than asked for, or none, with more to come. Pages that come and go
        during a scan may be missed or seen twice; pages that stay are seen. Raises BadHandleError
        for a number that no place has.
        """

    def move_away(
        self,
        keys: Sequence[int],
        generations: Sequence[int],
        wheres: Sequence[int],
        to: Sequence[int],
    ) -> bytes:
        """Enter that copies lie elsewhere now: compare each stub, and set its ``where``.

        Row by row, in order: if entry ``key`` is an own page that is away under exactly that
        generation at exactly that word, its word becomes ``to``; else (put, flushed, restored or
        moved since, or a row that names nothing) it is as it was, and never an exception. A ``to``
        that names no place changes nothing either; one that equals ``where`` counts as a change.
        Returns 1 a row that was changed, else 0. The generation stays, and with it what the page's
        copies are called; nothing is queued as displaced, so the copy that is not wanted any more
        (the old one, or after a 0 the new one) is the caller's to flush. Raises BadHandleError for
        columns that differ in length; then nothing was changed.
        """

    # -- lending: pages of other nodes -------------------------------------------------------------

    def adopt(self, pool_id: int, object_id: int, blobs: PackedBlobs) -> bytes:
        """Store foreign blobs as they are, under index = key; returns one ``AdoptStatus`` a blob.

        A blob replaces one of a lower generation under its key; one of an equal or higher
        generation makes it STALE. Nothing in a blob is interpreted; lengths (1..4096) and checksums
        are verified, and that encodings are numbers of ``Encoding``, whether this cache can decode
        them or not. SAME is accepted as an encoding with a blob of 8 bytes, and stored like any
        other. Own pages come first: no foreign page takes a frame above the high watermark, and
        nothing is dropped for one. Raises NoSuchPoolError, and BadHandleError for columns that do
        not agree in length; then nothing was stored.
        """

    def read_adopted(
        self, pool_id: int, object_id: int, keys: Sequence[int], generations: Sequence[int]
    ) -> tuple[bytes, PackedBlobs]:
        """Blobs by key and exact generation: BLOB_FOUND or BLOB_ABSENT a key, and those found."""

    def flush_adopted(
        self, pool_id: int, object_id: int, keys: Sequence[int], generations: Sequence[int]
    ) -> int:
        """Drop each blob whose stored generation is at most the one given; returns how many."""

    def foreign_room_bytes(self) -> int:
        """Bytes of foreign blobs that would be taken now, by quota and by high watermark."""

    def foreign_bytes(self, pool_id: int) -> int:
        """Bytes of the blobs in a foreign pool; a sum that is kept, not counted anew.

        Raises NoSuchPoolError, also for a pool of the node's own.
        """

    def drop_foreign_ephemeral(self, bytes_max: int) -> int:
        """Drop the coldest foreign ephemeral pages until ``bytes_max`` bytes of blobs are gone.

        Returns the bytes dropped: less where no more were there, and up to a page more, since pages
        go whole. Second chance as in ``begin_spill``. Frames become free as their zspages empty;
        ``compact`` helps with the rest.
        """

    # -- memory ------------------------------------------------------------------------------------

    def excess_bytes(self, watermark: float) -> int:
        """Bytes of frames in use above ``watermark * limit``; 0 if none."""

    def compact(self, frames_max: int | None = None) -> int:
        """Move objects together until ``frames_max`` frames are given back or nothing more can be.

        Returns the frames given back. Handles, contents and generations do not change.
        """

    # -- figures -----------------------------------------------------------------------------------

    def stats(self) -> CacheStats:
        """A snapshot of counters and gauges."""

    def class_stats(self) -> list[dict[str, int]]:
        """A row per size class, columns as in the kernel's debugfs; sums equal the totals."""

    def verify(self) -> None:
        """Recompute every sum and compare. Raises VerifyError with all findings. Slow."""
