from __future__ import annotations

from ramster.nbd.counters import NbdSnapshot, Traffic
from ramster.nbd.protocol import Command, NbdError


def test_traffic_adds_up_by_command_and_error() -> None:
    one, other = Traffic(), Traffic()
    one.requests[Command.READ] = 2
    one.bytes_read = 10
    one.errors[NbdError.EIO] = 1
    other.requests[Command.READ] = 3
    other.requests[Command.BLOCK_STATUS] = 1
    other.bytes_written = 5
    other.errors.update({NbdError.EIO: 1, NbdError.ENOSPC: 4})
    one.add(other)
    figures = one.figures()
    assert (figures.reads, figures.block_statuses, figures.writes) == (5, 1, 0)
    assert (figures.bytes_read, figures.bytes_written) == (10, 5)
    assert figures.errors == {"EIO": 2, "ENOSPC": 4}


def test_a_snapshot_becomes_plain_values() -> None:
    snapshot = NbdSnapshot(
        endpoints=["tcp://h:1"],
        connections_open=0,
        connections_total=7,
        connections_refused=0,
        connections_waiting=0,
        requests_in_flight=0,
        bytes_in_flight=0,
        bytes_in_flight_peak=0,
        bytes_in_flight_limit=1,
        handshake_timeouts=0,
        protocol_errors=0,
        exports=[],
        connections=[],
    )
    assert snapshot.as_dict()["connections_total"] == 7
