"""The figures of a node as one value: what /stats shows, /metrics exports and ``ramster stat``
prints.

Covers: names and structure, documented in docs/metrics.md. Does not cover: how things are
counted (the parts' own snapshots), how they are shown (``stats_server.py``, ``metrics.py``,
``commands/stat.py``).
"""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Any

from ramster._version import __version__
from ramster.accounting import account, resident_now
from ramster.config import NodeConfig
from ramster.nbd.counters import NbdSnapshot
from ramster.processes import pid_namespace, start_time
from ramster.snapshot import ClusterSnapshot, WritebackSnapshot
from ramster.timings import Timings
from zcache import PAGE_SIZE, CacheContract

__all__ = ["Figures", "collect"]

Figures = dict[str, Any]
"""JSON values only."""


def collect(
    config: NodeConfig,
    cache: CacheContract,
    *,
    state: str,
    uptime_s: float,
    endpoints: dict[str, Any],
    cluster: ClusterSnapshot | None,
    nbd: NbdSnapshot | None,
    timings: Timings | None = None,
    process_bytes: int | None = None,
) -> Figures:
    """The figures of this moment; ``cluster`` and ``nbd`` are the snapshots of those parts, if
    they run. ``timings``: the node's; None shows empty ones. ``process_bytes``: see
    ``accounting.account``."""
    timings = timings or Timings()
    stats = cache.stats()
    own = stats.pages_local + stats.pages_same_filled + stats.pages_in_transit + stats.pages_away
    stored = stats.pages_local + stats.pages_in_transit
    ratio = stored * PAGE_SIZE / stats.bytes_local if stats.bytes_local else None
    return {
        "name": config.name,
        "mode": str(config.mode),
        "state": state,
        "version": __version__,
        "backend": cache.backend,
        "pid": os.getpid(),
        "started": start_time(),
        "pid_namespace": pid_namespace(),
        "uptime_s": round(uptime_s, 3),
        "endpoints": endpoints,
        "pool": {
            "limit_bytes": stats.frames_max * PAGE_SIZE,
            "used_bytes": stats.frames_used * PAGE_SIZE,
            "used_peak_bytes": stats.frames_used_peak * PAGE_SIZE,
            "metadata_bytes": stats.metadata_bytes,
            "high_watermark": config.high_watermark,
            "low_watermark": config.low_watermark,
            "lend_limit_bytes": cache.config.foreign_bytes_max,
        },
        "pages": {
            "own": own,
            "local": stats.pages_local,
            "same_filled": stats.pages_same_filled,
            "in_transit": stats.pages_in_transit,
            "away": stats.pages_away,
            "unreachable": 0 if cluster is None else cluster.pages_unreachable,
            "lost": 0 if cluster is None else cluster.pages_lost,
            "under_replicated": 0 if cluster is None else cluster.pages_under_replicated,
            "foreign": stats.pages_foreign,
            "persistent": stats.pages_persistent,
            "ephemeral": stats.pages_ephemeral,
        },
        "bytes": {
            "logical": own * PAGE_SIZE,
            "compressed_here": stats.bytes_local,
            "foreign": stats.bytes_foreign,
            "frames": stats.frames_used * PAGE_SIZE,
        },
        "ratio": None if ratio is None else round(ratio, 3),
        "accounting": account(stats, cluster, resident_now(), process_bytes),
        "cache": {
            key: value for key, value in stats.as_dict().items() if key not in _SHOWN_ELSEWHERE
        },
        "cluster": None if cluster is None else _cluster(cluster),
        "peers": [] if cluster is None else [_peer(asdict(peer)) for peer in cluster.peers],
        "owners": [] if cluster is None else [_peer(asdict(owner)) for owner in cluster.foreign],
        "writeback": None if cluster is None else _writeback(cluster.writeback),
        "nbd": None if nbd is None else nbd.as_dict(),
        "latency": timings.latency(peers=cluster is not None, nbd=nbd is not None),
        "batches": timings.batches(peers=cluster is not None),
    }


def _cluster(cluster: ClusterSnapshot) -> dict[str, Any]:
    """Gauges that no other section shows, and the counters."""
    return {
        "incarnation": f"{cluster.incarnation:016x}",
        "spill_target": cluster.spill_target,
        "draining": cluster.draining,
        "relocating": cluster.relocating,
        "spill_bytes_in_flight": cluster.spill_bytes_in_flight,
        "writers_waiting": cluster.writers_waiting,
        "flushes_pending": cluster.flushes_pending,
        "readahead_bytes": cluster.readahead_bytes,
        **asdict(cluster.counters),
    }


def _writeback(file: WritebackSnapshot | None) -> dict[str, Any] | None:
    if file is None:
        return None
    return {
        "pages": file.pages,
        "used_bytes": file.bytes_used,
        "limit_bytes": file.bytes_max,
        **asdict(file.counters),
    }


def _peer(values: dict[str, Any]) -> dict[str, Any]:
    """Another node, fit for JSON: 64-bit numbers as hexadecimal text, times rounded."""
    for key in ("incarnation", "lease"):
        values[key] = None if values[key] is None else f"{values[key]:016x}"
    for key in ("heard_s", "rtt_s"):
        if values.get(key) is not None:
            values[key] = round(values[key], 6)
    return values


_SHOWN_ELSEWHERE = frozenset(
    {
        "frames_max",
        "frames_used",
        "frames_used_peak",
        "frames_kept",
        "metadata_bytes",
        "pages_local",
        "pages_same_filled",
        "pages_in_transit",
        "pages_away",
        "pages_foreign",
        "pages_persistent",
        "pages_ephemeral",
        "bytes_local",
        "bytes_away",
        "bytes_foreign",
        "away_by_where",
    }
)
"""Under ``pool``, ``pages``, ``bytes`` and ``peers``; a figure is shown in one place."""
