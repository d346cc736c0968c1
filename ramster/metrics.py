"""A node's figures under Prometheus names.

Covers: the table of metrics (also in docs/metrics.md, held equal by a test). Does not cover:
the figures (``figures.py``), HTTP (``stats_server.py``).

Names follow Prometheus: base units, ``_total`` for counters, outcomes of one event as a label
so that they can be summed. Nothing is counted here: a scrape reads one snapshot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from ramster.figures import Figures

__all__ = ["METRICS", "MetricRow", "registry_of"]

Samples = Iterable[tuple[tuple[str, ...], float]]


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One metric: ``name`` as it is scraped, ``samples`` gives label values and numbers."""

    name: str
    help: str
    labels: tuple[str, ...]
    samples: Callable[[Figures], Samples]

    @property
    def is_counter(self) -> bool:
        """Counters end in ``_total``, everything else is a gauge."""
        return self.name.endswith("_total")


def _one(name: str, text: str, *path: str) -> MetricRow:
    """A metric without labels: the figure at ``path``; absent where the figure is None."""

    def samples(figures: Figures) -> Samples:
        value = _at(figures, path)
        return () if value is None else (((), float(value)),)

    return MetricRow(name, text, (), samples)


def _by(name: str, text: str, label: str, section: str, keys: dict[str, str]) -> MetricRow:
    """A metric with one label; ``keys``: label value -> key in the section."""

    def samples(figures: Figures) -> Samples:
        found = figures[section]
        return (
            () if found is None else (((value,), float(found[key])) for value, key in keys.items())
        )

    return MetricRow(name, text, (label,), samples)


def _of_peers(name: str, text: str, key: str) -> MetricRow:
    def samples(figures: Figures) -> Samples:
        return (
            ((peer["address"], peer["node"] or ""), float(peer[key]))
            for peer in figures["peers"]
            if peer[key] is not None
        )

    return MetricRow(name, text, ("address", "peer"), samples)


def _peer_states(figures: Figures) -> Samples:
    return (
        ((peer["address"], peer["node"] or "", state), float(peer["state"] == state))
        for peer in figures["peers"]
        for state in PEER_STATES
    )


def _exports(figures: Figures) -> Iterable[tuple[str, dict[str, Any]]]:
    exports = [] if figures["nbd"] is None else figures["nbd"]["exports"]
    return ((export["name"], export["traffic"]) for export in exports)


def _nbd_requests(figures: Figures) -> Samples:
    kinds = ("reads", "writes", "flushes", "trims", "caches", "write_zeroes", "block_statuses")
    return (
        ((name, kind), float(traffic[kind]))
        for name, traffic in _exports(figures)
        for kind in kinds
    )


def _nbd_bytes(figures: Figures) -> Samples:
    return (
        ((name, way), float(traffic[f"bytes_{way}"]))
        for name, traffic in _exports(figures)
        for way in ("read", "written")
    )


def _nbd_errors(figures: Figures) -> Samples:
    return (
        ((error, name), float(count))
        for name, traffic in _exports(figures)
        for error, count in traffic["errors"].items()
    )


def _relocating(figures: Figures) -> Samples:
    if figures["cluster"] is None:
        return ()
    now = figures["cluster"]["relocating"]
    return (((why,), float(why == now)) for why in RELOCATIONS)


def _at(figures: Figures, path: tuple[str, ...]) -> float | None:
    value: object = figures
    for key in path:
        if not isinstance(value, dict):
            return None
        value = value[key]
    return value if isinstance(value, int | float) else None


RELOCATIONS = ("evacuate", "rebuild", "repatriate")
PEER_STATES = ("connecting", "alive", "suspect", "dead", "refused", "self")

_NODE_ROWS = (
    _one("ramster_uptime_seconds", "Time since the node started.", "uptime_s"),
    _one("ramster_pool_limit_bytes", "Hard limit of the pool.", "pool", "limit_bytes"),
    _one("ramster_pool_used_bytes", "Page frames in use, own and foreign.", "pool", "used_bytes"),
    _one("ramster_pool_used_peak_bytes", "Most that was ever in use.", "pool", "used_peak_bytes"),
    _one(
        "ramster_pool_metadata_bytes",
        "Index and allocator state, beside the frames.",
        "pool",
        "metadata_bytes",
    ),
    _one(
        "ramster_pool_lend_limit_bytes",
        "Most that pages of other nodes may take.",
        "pool",
        "lend_limit_bytes",
    ),
    _by(
        "ramster_pages",
        "Pages by where they are: own ones in four states, and those held for other nodes.",
        "state",
        "pages",
        {key: key for key in ("local", "same_filled", "in_transit", "away", "foreign")},
    ),
    _by(
        "ramster_missing_pages",
        "Own pages away whose lender is silent or refuses us (unreachable) or is gone (lost).",
        "state",
        "pages",
        {key: key for key in ("unreachable", "lost")},
    ),
    _one(
        "ramster_under_replicated_pages",
        "Own pages away with fewer copies than they should have.",
        "pages",
        "under_replicated",
    ),
    _by(
        "ramster_own_pages",
        "Own pages by the kind of their pool.",
        "kind",
        "pages",
        {key: key for key in ("persistent", "ephemeral")},
    ),
    _one("ramster_compressed_bytes", "Own compressed pages held here.", "bytes", "compressed_here"),
    _one("ramster_foreign_bytes", "Compressed pages held for other nodes.", "bytes", "foreign"),
    _one(
        "ramster_compression_ratio",
        "Bytes of own pages held here over their compressed bytes; absent without such pages.",
        "ratio",
    ),
)

_CACHE_ROWS = (
    _by(
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
    _by(
        "ramster_gets_total",
        "Pages looked up in the node's own cache, by outcome.",
        "outcome",
        "cache",
        {"hit": "get_hits", "miss": "get_misses", "away": "gets_away", "corrupt": "gets_corrupt"},
    ),
    _one("ramster_flushes_total", "Page flushes asked for.", "cache", "flushes"),
    _one("ramster_flushes_found_total", "Page flushes that found one.", "cache", "flushes_found"),
    _by(
        "ramster_evicted_pages_total",
        "Ephemeral pages dropped for room, by owner.",
        "owner",
        "cache",
        {"own": "ephemeral_evicted", "foreign": "foreign_ephemeral_evicted"},
    ),
    _one(
        "ramster_limit_hits_total",
        "Allocations that found no frame within the limit at first.",
        "cache",
        "limit_hits",
    ),
    _one(
        "ramster_compacted_frames_total",
        "Frames that compaction gave back.",
        "cache",
        "frames_compacted",
    ),
    _by(
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
    _one(
        "ramster_restored_pages_total",
        "Pages that came home from peers.",
        "cache",
        "pages_restored",
    ),
    _by(
        "ramster_rejected_fetches_total",
        "Fetched pages not used: the page changed meanwhile, or the copy was damaged.",
        "reason",
        "cache",
        {"stale": "restores_stale", "corrupt": "restores_corrupt"},
    ),
    _one(
        "ramster_foreign_adopted_total", "Pages taken for other nodes.", "cache", "foreign_adopted"
    ),
    _by(
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
    _one(
        "ramster_foreign_flushed_total",
        "Pages let go for other nodes.",
        "cache",
        "foreign_flushed",
    ),
    _one(
        "ramster_displaced_pending",
        "Copies at peers that are no longer wanted and not yet flushed there.",
        "cache",
        "displaced_pending",
    ),
)

_CLUSTER_ROWS = (
    _by(
        "ramster_hits_total",
        "Pages served, by where they were.",
        "where",
        "cluster",
        {"local": "local_hits", "remote": "remote_hits"},
    ),
    _one(
        "ramster_spilled_bytes_total", "Compressed bytes taken by peers.", "cluster", "spill_bytes"
    ),
    _by(
        "ramster_spill_failures_total",
        "Spill messages that failed, by cause.",
        "cause",
        "cluster",
        {
            "timeout": "spills_timed_out",
            "unreachable": "spills_unreachable",
            "unknown_lease": "spills_unknown_lease",
            "bad_answer": "spills_bad_answer",
            "overtaken": "spills_overtaken",
        },
    ),
    _one(
        "ramster_spilled_short_pages_total",
        "Pages that left with fewer copies than they should have.",
        "cluster",
        "pages_spilled_short",
    ),
    _one("ramster_spill_in_flight_bytes", "Spills under way.", "cluster", "spill_bytes_in_flight"),
    _one("ramster_fetches_total", "Fetch messages sent.", "cluster", "fetches"),
    _one(
        "ramster_fetched_pages_total",
        "Pages received, wanted or ahead.",
        "cluster",
        "pages_fetched",
    ),
    _one(
        "ramster_fetched_bytes_total",
        "Compressed bytes received from peers.",
        "cluster",
        "fetch_bytes",
    ),
    _by(
        "ramster_fetch_failures_total",
        "Fetch messages that failed, by cause.",
        "cause",
        "cluster",
        {
            "timeout": "fetches_timed_out",
            "unreachable": "fetches_unreachable",
            "bad_answer": "fetches_bad_answer",
        },
    ),
    _one(
        "ramster_hedged_fetches_total",
        "Reads that asked a further copy because the first holder took long.",
        "cluster",
        "fetches_hedged",
    ),
    _one(
        "ramster_struck_copies_total",
        "Copies found missing or damaged while another one was good.",
        "cluster",
        "copies_struck",
    ),
    _by(
        "ramster_readahead_pages_total",
        "Pages fetched ahead, by what became of them.",
        "outcome",
        "cluster",
        {"hit": "readahead_hits", "wasted": "readahead_wasted"},
    ),
    _by(
        "ramster_lost_pages_total",
        "Pages of reads that no peer could give back: an error (persistent) or a miss (ephemeral).",
        "kind",
        "cluster",
        {"persistent": "pages_lost", "ephemeral": "ephemeral_lost"},
    ),
    _by(
        "ramster_relocated_pages_total",
        "Pages moved while away: from lenders that drain or want room, copies made again, home.",
        "reason",
        "cluster",
        {
            "evacuate": "pages_evacuated",
            "rebuild": "pages_rebuilt",
            "repatriate": "pages_repatriated",
        },
    ),
    MetricRow(
        "ramster_relocating",
        "1 for the reason for which pages are being moved, 0 for the others.",
        ("reason",),
        _relocating,
    ),
    _one(
        "ramster_draining",
        "1 while the node hands over what it holds for others, before it stops.",
        "cluster",
        "draining",
    ),
    _one("ramster_puts_waited_total", "Writes that waited for room.", "cluster", "puts_waited"),
    _one("ramster_writers_waiting", "Writes that wait for room now.", "cluster", "writers_waiting"),
    _one(
        "ramster_remote_flushes_total",
        "Flushes that peers acknowledged.",
        "cluster",
        "flushes_sent",
    ),
    _one(
        "ramster_remote_flushes_pending",
        "Flushes not yet acknowledged.",
        "cluster",
        "flushes_pending",
    ),
    _by(
        "ramster_leases_ended_total",
        "Owners whose pages were freed here, by cause.",
        "cause",
        "cluster",
        {
            "expired": "leases_expired",
            "superseded": "leases_superseded",
            "left": "leases_left",
        },
    ),
    _one("ramster_peers_died_total", "Times that a peer became dead.", "cluster", "peers_died"),
    MetricRow(
        "ramster_peer_state",
        "1 for the state that a peer is in, 0 for the others.",
        ("address", "peer", "state"),
        _peer_states,
    ),
    _of_peers("ramster_peer_room_bytes", "What a peer would take, at its last word.", "room_bytes"),
    _of_peers("ramster_peer_away_pages", "Own pages that are at a peer.", "pages_away"),
    _of_peers("ramster_peer_silence_seconds", "Time since a peer's last sign of life.", "heard_s"),
    _of_peers(
        "ramster_peer_wanted_bytes",
        "What a peer wants this node to take back.",
        "wanted_bytes",
    ),
    _of_peers("ramster_peer_draining", "1 for a peer that is about to stop.", "draining"),
    _of_peers(
        "ramster_peer_spill_window_bytes",
        "What may be on its way to a peer at once.",
        "spill_window_bytes",
    ),
)

_WRITEBACK_ROWS = (
    _one("ramster_writeback_stored_pages", "Pages in the write-back file.", "writeback", "pages"),
    _one("ramster_writeback_used_bytes", "The file's slots in use.", "writeback", "used_bytes"),
    _one(
        "ramster_writeback_limit_bytes", "Most that the file may take.", "writeback", "limit_bytes"
    ),
    _by(
        "ramster_writeback_pages_total",
        "Pages written to the file, read from it, and freed in it.",
        "operation",
        "writeback",
        {"write": "pages_written", "read": "pages_read", "free": "freed"},
    ),
    _by(
        "ramster_writeback_bytes_total",
        "Compressed bytes written to the file and read from it.",
        "operation",
        "writeback",
        {"write": "bytes_written", "read": "bytes_read"},
    ),
    _by(
        "ramster_writeback_errors_total",
        "Calls to the disk that failed.",
        "operation",
        "writeback",
        {"write": "write_errors", "read": "read_errors"},
    ),
    _by(
        "ramster_writeback_refused_pages_total",
        "Pages that the file did not take: no slot, or the disk behind or in error.",
        "reason",
        "writeback",
        {"full": "refused_full", "busy": "refused_busy"},
    ),
)

_NBD_ROWS = (
    _one("ramster_nbd_connections", "NBD connections open now.", "nbd", "connections_open"),
    _one("ramster_nbd_connections_total", "NBD connections taken.", "nbd", "connections_total"),
    _one(
        "ramster_nbd_connections_refused_total",
        "NBD connections closed at once, for too many were open.",
        "nbd",
        "connections_refused",
    ),
    _one(
        "ramster_nbd_protocol_errors_total",
        "NBD connections closed because the client broke the protocol.",
        "nbd",
        "protocol_errors",
    ),
    MetricRow(
        "ramster_nbd_requests_total",
        "NBD requests that succeeded, by export and kind.",
        ("export", "request"),
        _nbd_requests,
    ),
    MetricRow(
        "ramster_nbd_bytes_total",
        "Bytes read and written over NBD.",
        ("export", "direction"),
        _nbd_bytes,
    ),
    MetricRow(
        "ramster_nbd_errors_total",
        "NBD requests that failed, by export and error.",
        ("error", "export"),
        _nbd_errors,
    ),
)

METRICS: tuple[MetricRow, ...] = (
    *_NODE_ROWS,
    *_CACHE_ROWS,
    *_CLUSTER_ROWS,
    *_WRITEBACK_ROWS,
    *_NBD_ROWS,
)
"""The table; ``ramster_node_info`` and the client library's ``process_*`` come on top."""


class _Snapshot(Collector):
    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterable[Metric]:
        figures = self._figures
        yield InfoMetricFamily(
            "ramster_node",
            "What this node is.",
            {key: str(figures[key]) for key in ("name", "mode", "version", "backend")},
        )
        for row in METRICS:
            kind = CounterMetricFamily if row.is_counter else GaugeMetricFamily
            family = kind(row.name, row.help, labels=row.labels)
            for labels, value in row.samples(figures):
                family.add_metric(labels, value)
            yield family


def registry_of(figures: Figures) -> CollectorRegistry:
    """A registry that holds one snapshot, and the process's own figures (memory, CPU,
    descriptors)."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Snapshot(figures))
    ProcessCollector(registry=registry)
    return registry
