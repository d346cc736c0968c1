"""Histograms: how long things take, and how many pages are handled at once.

Covers: names, words and places of the figures. Does not cover: counting (``timings.py``).

No histogram is labelled with peers: one is some twenty series, and every node has every other one
as its peer. ``ramster_peer_round_trip_seconds`` says which peer is slow.
"""

from __future__ import annotations

from ramster.figures import Figures
from ramster.metrics.row import MetricRow, Samples
from ramster.timings import NBD_KINDS

__all__ = ["DURATION_ROWS"]


def _histogram(name: str, text: str, section: str, key: str) -> MetricRow:
    def samples(figures: Figures) -> Samples:
        found = figures[section][key]
        return () if found is None else (((), found),)

    return MetricRow(name, text, (), samples, is_histogram=True)


def _gets(name: str, text: str, section: str) -> MetricRow:
    """By where pages were."""

    def samples(figures: Figures) -> Samples:
        pairs = ((where, figures[section][f"get_{where}"]) for where in ("local", "remote"))
        return (((where,), found) for where, found in pairs if found is not None)

    return MetricRow(name, text, ("where",), samples, is_histogram=True)


def _nbd(figures: Figures) -> Samples:
    found = figures["latency"]["nbd"]
    return () if found is None else (((kind,), found[kind]) for kind in NBD_KINDS.values())


DURATION_ROWS: tuple[MetricRow, ...] = (
    _histogram(
        "ramster_put_duration_seconds",
        "Time to put a batch of pages, with waiting for room.",
        "latency",
        "put",
    ),
    _gets(
        "ramster_get_duration_seconds",
        "Time to get a batch of pages; remote: at least one page was away.",
        "latency",
    ),
    _histogram(
        "ramster_fetch_duration_seconds",
        "Time from a fetch message until its answer or failure.",
        "latency",
        "fetch",
    ),
    _histogram(
        "ramster_spill_duration_seconds",
        "Time from a spill message until its answer or failure.",
        "latency",
        "spill",
    ),
    MetricRow(
        "ramster_nbd_request_duration_seconds",
        "Time from the begin of an NBD request until its reply is ready, by kind.",
        ("request",),
        _nbd,
        is_histogram=True,
    ),
    _histogram("ramster_put_batch_pages", "Pages put at once.", "batches", "put"),
    _gets("ramster_get_batch_pages", "Pages looked up at once.", "batches"),
    _histogram("ramster_fetch_batch_pages", "Pages in a fetch message.", "batches", "fetch"),
    _histogram("ramster_spill_batch_pages", "Pages in a spill message.", "batches", "spill"),
)
