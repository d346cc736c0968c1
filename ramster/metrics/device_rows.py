"""Metrics of the write-back file and of block devices.

Covers: names, words and places of the figures. Does not cover: durations of requests
(``duration_rows.py``).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ramster.figures import Figures
from ramster.metrics.row import MetricRow, Samples, by, one

__all__ = ["NBD_ROWS", "WRITEBACK_ROWS"]


_ERRORS_EXPECTED = {"EIO": 0, "ENOSPC": 0}
"""Those that alerts look for are there from the start: a rise from nothing is not seen as one."""


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
        for error, count in {**_ERRORS_EXPECTED, **traffic["errors"]}.items()
    )


def _of_exports(name: str, text: str, key: str) -> MetricRow:
    """A metric of every export."""

    def samples(figures: Figures) -> Samples:
        exports = [] if figures["nbd"] is None else figures["nbd"]["exports"]
        return (((export["name"],), float(export[key])) for export in exports)

    return MetricRow(name, text, ("export",), samples)


WRITEBACK_ROWS: tuple[MetricRow, ...] = (
    one("ramster_writeback_stored_pages", "Pages in the write-back file.", "writeback", "pages"),
    one("ramster_writeback_used_bytes", "The file's slots in use.", "writeback", "used_bytes"),
    one(
        "ramster_writeback_limit_bytes", "Most that the file may take.", "writeback", "limit_bytes"
    ),
    by(
        "ramster_writeback_pages_total",
        "Pages written to the file, read from it, and freed in it.",
        "operation",
        "writeback",
        {"write": "pages_written", "read": "pages_read", "free": "freed"},
    ),
    by(
        "ramster_writeback_bytes_total",
        "Compressed bytes written to the file and read from it.",
        "operation",
        "writeback",
        {"write": "bytes_written", "read": "bytes_read"},
    ),
    by(
        "ramster_writeback_errors_total",
        "Calls to the disk that failed.",
        "operation",
        "writeback",
        {"write": "write_errors", "read": "read_errors"},
    ),
    by(
        "ramster_writeback_refused_pages_total",
        "Pages that the file did not take: no slot, or the disk behind or in error.",
        "reason",
        "writeback",
        {"full": "refused_full", "busy": "refused_busy"},
    ),
)

NBD_ROWS: tuple[MetricRow, ...] = (
    one("ramster_nbd_connections", "NBD connections open now.", "nbd", "connections_open"),
    one("ramster_nbd_connections_total", "NBD connections taken.", "nbd", "connections_total"),
    one(
        "ramster_nbd_connections_refused_total",
        "NBD connections closed at once, for too many were open.",
        "nbd",
        "connections_refused",
    ),
    one(
        "ramster_nbd_connections_waiting",
        "NBD connections in line for a share of the bytes in flight.",
        "nbd",
        "connections_waiting",
    ),
    one(
        "ramster_nbd_handshake_timeouts_total",
        "NBD connections closed because the handshake took too long.",
        "nbd",
        "handshake_timeouts",
    ),
    one(
        "ramster_nbd_protocol_errors_total",
        "NBD connections closed because the client broke the protocol.",
        "nbd",
        "protocol_errors",
    ),
    one(
        "ramster_nbd_requests_in_flight",
        "NBD requests received and not answered yet.",
        "nbd",
        "requests_in_flight",
    ),
    one(
        "ramster_nbd_in_flight_bytes",
        "Bytes that NBD requests in flight hold.",
        "nbd",
        "bytes_in_flight",
    ),
    one(
        "ramster_nbd_in_flight_peak_bytes",
        "Most that NBD requests ever held at once.",
        "nbd",
        "bytes_in_flight_peak",
    ),
    one(
        "ramster_nbd_in_flight_limit_bytes",
        "Bytes that NBD connections share beside a few of their own each.",
        "nbd",
        "bytes_in_flight_limit",
    ),
    _of_exports("ramster_nbd_export_size_bytes", "Size of a block device.", "size_bytes"),
    _of_exports(
        "ramster_nbd_export_connections", "Clients that use a block device now.", "connections"
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
