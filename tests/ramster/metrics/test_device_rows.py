"""Metrics of the write-back file and of block devices."""

from __future__ import annotations

from dataclasses import asdict

from ramster.metrics.device_rows import NBD_ROWS, WRITEBACK_ROWS
from ramster.nbd.counters import Traffic
from ramster.nbd.protocol import Command, NbdError

ROWS = {row.name: row for row in (*NBD_ROWS, *WRITEBACK_ROWS)}


def figures() -> dict[str, object]:
    traffic = Traffic()
    traffic.requests[Command.WRITE] = 3
    traffic.bytes_written = 12288
    traffic.errors[NbdError.ENOSPC] = 2
    export = {"name": "d", "size_bytes": 9, "connections": 1, "traffic": asdict(traffic.figures())}
    return {"nbd": {"exports": [export]}, "writeback": None}


def test_every_kind_of_request_has_its_count() -> None:
    found = dict(ROWS["ramster_nbd_requests_total"].samples(figures()))
    assert found[("d", "writes")] == 3
    assert len(found) == len(Command) - 1  # a goodbye is no request


def test_errors_are_counted_by_name() -> None:
    found = dict(ROWS["ramster_nbd_errors_total"].samples(figures()))
    assert found == {("ENOSPC", "d"): 2.0, ("EIO", "d"): 0.0}


def test_exports_have_sizes_and_clients() -> None:
    assert dict(ROWS["ramster_nbd_export_size_bytes"].samples(figures())) == {("d",): 9.0}
    assert dict(ROWS["ramster_nbd_export_connections"].samples(figures())) == {("d",): 1.0}


def test_without_devices_or_a_file_there_is_nothing() -> None:
    for row in ROWS.values():
        assert list(row.samples({"nbd": None, "writeback": None})) == []
