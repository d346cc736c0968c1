"""The table of metrics, and one snapshot of the figures as a registry of the client library.

Covers: order of the table, conversion. Does not cover: the rows (``node_rows.py`` and its
neighbours), HTTP (``stats_server.py``).

Names follow Prometheus: base units, ``_total`` for counters, outcomes of one event as a label
so that they can be summed. Nothing is counted here: a scrape reads one snapshot.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from ramster.figures import Figures
from ramster.metrics.accounting_rows import ACCOUNTING_ROWS
from ramster.metrics.cluster_rows import CLUSTER_ROWS, PEER_ROWS
from ramster.metrics.device_rows import NBD_ROWS, WRITEBACK_ROWS
from ramster.metrics.duration_rows import DURATION_ROWS
from ramster.metrics.node_rows import CACHE_ROWS, NODE_ROWS
from ramster.metrics.row import MetricRow

__all__ = ["METRICS", "registry_of"]

METRICS: tuple[MetricRow, ...] = (
    *NODE_ROWS,
    *ACCOUNTING_ROWS,
    *CACHE_ROWS,
    *CLUSTER_ROWS,
    *PEER_ROWS,
    *WRITEBACK_ROWS,
    *NBD_ROWS,
    *DURATION_ROWS,
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
            yield _histogram(row, figures) if row.is_histogram else _numbers(row, figures)


def _numbers(row: MetricRow, figures: Figures) -> Metric:
    kind = CounterMetricFamily if row.is_counter else GaugeMetricFamily
    family = kind(row.name, row.help, labels=row.labels)
    for labels, value in row.samples(figures):
        family.add_metric(labels, value)
    return family


def _histogram(row: MetricRow, figures: Figures) -> Metric:
    family = HistogramMetricFamily(row.name, row.help, labels=row.labels)
    for labels, found in row.samples(figures):
        family.add_metric(labels, buckets=_buckets(found), sum_value=found["sum"])
    return family


def _buckets(found: dict[str, Any]) -> list[tuple[str, float]]:
    """Upper ends, and how many values are at most that."""
    ends = [*map(floatToGoString, found["bounds"]), "+Inf"]
    return list(zip(ends, map(float, accumulate(found["counts"])), strict=True))


_PROCESS = ProcessCollector(registry=None)
"""One for all scrapes: it keeps the time at which the machine began, so that a clock that is set
does not look like a process that was started again."""


def registry_of(figures: Figures) -> CollectorRegistry:
    """A registry that holds one snapshot, and the process's own figures (memory, CPU,
    descriptors)."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Snapshot(figures))
    registry.register(_PROCESS)
    return registry
