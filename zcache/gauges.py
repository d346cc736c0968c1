"""A cache's figures at one moment.

Covers: gauges from the page table's counts, bytes of metadata. Does not cover: counting (each
operation does).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import replace

from zcache.entries import Entries
from zcache.page_table import AWAY, LOCAL, PERSISTENT, SAME_FILLED, TRANSIT
from zcache.spill import SpillDesk
from zcache.stats import CacheStats

__all__ = ["metadata_bytes", "snapshot"]

_STATES = (LOCAL, TRANSIT, AWAY, SAME_FILLED)


def snapshot(entries: Entries, spills: SpillDesk) -> CacheStats:
    """Counters as they are, and every gauge. The cache's lock is held."""
    entries.note_peaks()
    table, zsmalloc = entries.table, entries.zsmalloc
    in_transit = table.count(TRANSIT)
    return replace(
        entries.counters,
        frames_compacted=zsmalloc.frames_compacted,
        objects_moved=zsmalloc.objects_moved,
        frames_max=zsmalloc.frames_max,
        frames_used=zsmalloc.frames_used,
        frames_used_peak=zsmalloc.frames_peak,
        zspages=zsmalloc.zspages.count,
        pools=entries.index.pool_count,
        objects=entries.index.object_count,
        pages_local=table.count(LOCAL),
        pages_same_filled=table.count(SAME_FILLED),
        pages_in_transit=in_transit,
        pages_away=table.count(AWAY),
        pages_foreign=table.count(LOCAL, foreign=True),
        zombie_blobs=spills.pages_open - in_transit,
        pages_persistent=sum(table.counts[state | PERSISTENT] for state in _STATES),
        pages_ephemeral=sum(table.counts[state] for state in _STATES),
        bytes_local=table.byte_count(LOCAL) + table.byte_count(TRANSIT),
        bytes_away=table.byte_count(AWAY),
        bytes_foreign=table.byte_count(LOCAL, foreign=True),
        bytes_foreign_slots=entries.foreign_slot_bytes,
        displaced_pending=len(entries.displaced),
        metadata_bytes=metadata_bytes(entries, spills),
        away_by_where={
            place: (persistent, ephemeral)
            for place, (ephemeral, persistent) in entries.away.items()
        },
    )


def metadata_bytes(entries: Entries, spills: SpillDesk) -> int:
    """Bytes beside the frames, by ``sys.getsizeof``; open tickets' payloads included."""
    zspages = entries.zsmalloc.zspages
    total = entries.index.metadata_bytes() + entries.displaced.metadata_bytes()
    total += _sizes(entries.table.columns()) + _sizes(zspages.columns())
    total += _sizes((entries.table.counts, entries.table.bytes))
    total += _sizes((zspages.band_counts, zspages.open_bands, zspages.bands)) + _sizes(
        zspages.bands
    )
    total += sys.getsizeof(entries.away) + _sizes(entries.away.values())
    return total + spills.metadata_bytes()


def _sizes(parts: Iterable[object]) -> int:
    return sum(sys.getsizeof(part) for part in parts)
