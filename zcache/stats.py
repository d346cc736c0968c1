"""Figures of one cache, as plain values.

Covers: the names and meanings of everything counted. Does not cover: how it is kept (``cache.py``)
or shown. Every refusal is counted under its cause, and ``puts == puts_stored + the causes`` at any
moment.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

__all__ = ["CacheStats"]


@dataclass(slots=True)
class CacheStats:
    """A snapshot. Counters only rise; gauges say what is so now; peaks stay."""

    # puts, by outcome; their sum is puts
    puts: int = 0
    puts_stored: int = 0
    puts_refused_full: int = 0
    puts_refused_poor: int = 0
    puts_frozen: int = 0
    """Puts turned into flushes while the cache was frozen."""
    # stored puts, by form
    stored_same_filled: int = 0
    stored_incompressible: int = 0
    # gets, by outcome; their sum is gets
    gets: int = 0
    get_hits: int = 0
    get_misses: int = 0
    gets_away: int = 0
    gets_corrupt: int = 0
    # flushes
    flushes: int = 0
    flushes_found: int = 0
    object_flushes: int = 0
    object_flushes_found: int = 0
    # reclaim
    ephemeral_evicted: int = 0
    foreign_ephemeral_evicted: int = 0
    limit_hits: int = 0
    """Allocations that found no frame within the limit at first."""
    frames_compacted: int = 0
    """Frames that compaction gave back."""
    objects_moved: int = 0
    # spilling
    tickets_begun: int = 0
    tickets_finished: int = 0
    tickets_cancelled: int = 0
    pages_spilled: int = 0
    """Pages that became away because a lender took them."""
    pages_spill_refused: int = 0
    pages_spill_stale: int = 0
    """Pages put, flushed or freed while their ticket was open."""
    pages_restored: int = 0
    """Away pages that came home."""
    pages_moved: int = 0
    """Away pages whose ``where`` was changed."""
    restores_stale: int = 0
    restores_corrupt: int = 0
    # lending
    foreign_adopted: int = 0
    foreign_refused_quota: int = 0
    foreign_refused_full: int = 0
    foreign_refused_stale: int = 0
    foreign_refused_bad: int = 0
    foreign_flushed: int = 0

    # gauges
    frames_max: int = 0
    frames_used: int = 0
    frames_used_peak: int = 0
    frames_kept: int = 0
    """Frames in memory beside those in use: on their way back to the system, or asked for ahead."""
    zspages: int = 0
    pools: int = 0
    objects: int = 0
    pages_local: int = 0
    """Own pages with a blob here, tickets not counted; same-filled pages not counted."""
    pages_same_filled: int = 0
    pages_in_transit: int = 0
    """Own pages in an open ticket: still readable here."""
    pages_away: int = 0
    pages_foreign: int = 0
    zombie_blobs: int = 0
    """Blobs of an open ticket whose page was put or flushed since."""
    pages_persistent: int = 0
    """Own persistent pages in any state; with pages_ephemeral, the sum of the four states above."""
    pages_ephemeral: int = 0
    bytes_local: int = 0
    """Bytes of the blobs of pages_local and pages_in_transit (compressed)."""
    bytes_away: int = 0
    """Bytes of the blobs of pages_away, each counted once, whoever holds copies."""
    bytes_foreign: int = 0
    bytes_foreign_slots: int = 0
    """Bytes of the slots that foreign blobs occupy: what the quota limits."""
    pages_local_peak: int = 0
    pages_foreign_peak: int = 0
    displaced_pending: int = 0
    """Copies elsewhere that are no longer wanted and not yet handed to ``drain_displaced``."""
    metadata_bytes: int = 0
    """Bytes of index, columns and allocator state; frames not counted."""
    away_by_where: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Place (the low 32 bits of a ``where``) -> (persistent pages, ephemeral pages) away there."""

    def as_dict(self) -> dict[str, object]:
        """All fields by name, for JSON; the keys of ``away_by_where`` become strings."""
        values = asdict(self)
        values["away_by_where"] = {str(k): list(v) for k, v in self.away_by_where.items()}
        return values
