"""Metrics of a node's own memory and cache.

Covers: names, words and places of the figures. Does not cover: peers (``cluster_rows.py``), the
write-back file and block devices (``device_rows.py``), durations (``duration_rows.py``).
"""

from __future__ import annotations

from ramster.metrics.row import MetricRow, by, one

__all__ = ["CACHE_ROWS", "NODE_ROWS"]

NODE_ROWS: tuple[MetricRow, ...] = (
    one("ramster_uptime_seconds", "Time since the node started.", "uptime_s"),
    one("ramster_pool_limit_bytes", "Hard limit of the pool.", "pool", "limit_bytes"),
    by(
        "ramster_pool_watermark_ratio",
        "Shares of the limit at which moving pages out begins (high) and ends (low).",
        "watermark",
        "pool",
        {"high": "high_watermark", "low": "low_watermark"},
    ),
    one("ramster_pool_used_bytes", "Page frames in use, own and foreign.", "pool", "used_bytes"),
    one("ramster_pool_used_peak_bytes", "Most that was ever in use.", "pool", "used_peak_bytes"),
    one(
        "ramster_pool_metadata_bytes",
        "Index and allocator state, beside the frames.",
        "pool",
        "metadata_bytes",
    ),
    one(
        "ramster_pool_lend_limit_bytes",
        "Most that pages of other nodes may take.",
        "pool",
        "lend_limit_bytes",
    ),
    by(
        "ramster_pages",
        "Pages by where they are: own ones in four states, and those held for other nodes.",
        "state",
        "pages",
        {key: key for key in ("local", "same_filled", "in_transit", "away", "foreign")},
    ),
    by(
        "ramster_missing_pages",
        "Own pages away whose lender is silent or refuses us (unreachable) or is gone (lost).",
        "state",
        "pages",
        {key: key for key in ("unreachable", "lost")},
    ),
    one(
        "ramster_under_replicated_pages",
        "Own pages away with fewer copies than they should have.",
        "pages",
        "under_replicated",
    ),
    by(
        "ramster_own_pages",
        "Own pages by the kind of their pool.",
        "kind",
        "pages",
        {key: key for key in ("persistent", "ephemeral")},
    ),
    one("ramster_compressed_bytes", "Own compressed pages held here.", "bytes", "compressed_here"),
    one("ramster_foreign_bytes", "Compressed pages held for other nodes.", "bytes", "foreign"),
    one(
        "ramster_foreign_slot_bytes",
        "What pages of other nodes take of the frames: what the lend limit bounds.",
        "cache",
        "bytes_foreign_slots",
    ),
    one("ramster_zspages", "Groups of frames that blobs share.", "cache", "zspages"),
    one("ramster_pools", "Pools, those for other nodes included.", "cache", "pools"),
    one("ramster_objects", "Objects that have pages.", "cache", "objects"),
    one(
        "ramster_zombie_blobs",
        "Blobs on their way out whose page was put or flushed meanwhile.",
        "cache",
        "zombie_blobs",
    ),
    one(
        "ramster_compression_ratio",
        "Bytes of own pages held here over their compressed bytes; absent without such pages.",
        "ratio",
    ),
)

CACHE_ROWS: tuple[MetricRow, ...] = (
    by(
        "ramster_puts_total",
        "Pages put, by outcome.",
        "outcome",
        "cache",
        {
            "stored": "puts_stored",
            "full": "puts_refused_full",
            "poor_compression": "puts_refused_poor",
            "frozen": "puts_frozen",
        },
    ),
    by(
        "ramster_stored_uncompressed_total",
        "Pages stored without compression: one repeated word, or nothing to gain.",
        "form",
        "cache",
        {"same_filled": "stored_same_filled", "incompressible": "stored_incompressible"},
    ),
    by(
        "ramster_gets_total",
        "Pages looked up in the node's own cache, by outcome.",
        "outcome",
        "cache",
        {"hit": "get_hits", "miss": "get_misses", "away": "gets_away", "corrupt": "gets_corrupt"},
    ),
    one("ramster_flushes_total", "Page flushes asked for.", "cache", "flushes"),
    one("ramster_flushes_found_total", "Page flushes that found one.", "cache", "flushes_found"),
    one(
        "ramster_object_flushes_total",
        "Flushes of whole objects asked for.",
        "cache",
        "object_flushes",
    ),
    one(
        "ramster_object_flushes_found_total",
        "Flushes of whole objects that found one.",
        "cache",
        "object_flushes_found",
    ),
    by(
        "ramster_evicted_pages_total",
        "Ephemeral pages dropped for room, by owner.",
        "owner",
        "cache",
        {"own": "ephemeral_evicted", "foreign": "foreign_ephemeral_evicted"},
    ),
    one(
        "ramster_limit_hits_total",
        "Allocations that found no frame within the limit at first.",
        "cache",
        "limit_hits",
    ),
    one(
        "ramster_compacted_frames_total",
        "Frames that compaction gave back.",
        "cache",
        "frames_compacted",
    ),
    one("ramster_compacted_blobs_total", "Blobs that compaction moved.", "cache", "objects_moved"),
    by(
        "ramster_spill_tickets_total",
        "Batches of pages chosen to leave that ended, by outcome.",
        "outcome",
        "cache",
        {"finished": "tickets_finished", "cancelled": "tickets_cancelled"},
    ),
    by(
        "ramster_spilled_pages_total",
        "Pages offered to peers or the file, by outcome; stale: put or flushed meanwhile.",
        "outcome",
        "cache",
        {
            "taken": "pages_spilled",
            "refused": "pages_spill_refused",
            "stale": "pages_spill_stale",
        },
    ),
    one(
        "ramster_restored_pages_total",
        "Pages that came home from peers.",
        "cache",
        "pages_restored",
    ),
    one(
        "ramster_moved_pages_total",
        "Pages that changed place while away.",
        "cache",
        "pages_moved",
    ),
    by(
        "ramster_rejected_fetches_total",
        "Fetched pages not used: the page changed meanwhile, or the copy was damaged.",
        "reason",
        "cache",
        {"stale": "restores_stale", "corrupt": "restores_corrupt"},
    ),
    one(
        "ramster_foreign_adopted_total", "Pages taken for other nodes.", "cache", "foreign_adopted"
    ),
    by(
        "ramster_foreign_refused_total",
        "Pages of other nodes not taken, by reason.",
        "reason",
        "cache",
        {
            "quota": "foreign_refused_quota",
            "full": "foreign_refused_full",
            "stale": "foreign_refused_stale",
            "bad": "foreign_refused_bad",
        },
    ),
    one(
        "ramster_foreign_flushed_total",
        "Pages let go for other nodes.",
        "cache",
        "foreign_flushed",
    ),
    one(
        "ramster_displaced_pending",
        "Copies at peers that are no longer wanted and not yet flushed there.",
        "cache",
        "displaced_pending",
    ),
)
