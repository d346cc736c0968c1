from __future__ import annotations

import pytest

from ramster.errors import ConfigurationError
from ramster.nbd.connection import RECEIVE_BUFFER_BYTES
from ramster.nbd.limits import NbdLimits
from ramster.nbd.outbox import CHUNK_BYTES_MAX


@pytest.mark.parametrize(
    ("knob", "value"),
    [
        ("connections_max", 0),
        ("requests_in_flight_max", 0),
        ("bytes_in_flight_max", 4095),
        ("payload_bytes_max", 65535),
        ("payload_bytes_max", 2**30 + 1),
        ("server_bytes_in_flight_max", 32 * 1024 * 1024 - 1),
        ("own_bytes_in_flight_max", 4095),
        ("handshake_timeout_s", 0),
        ("close_timeout_s", -1),
    ],
)
def test_a_limit_out_of_range_is_refused_by_name(knob: str, value: int) -> None:
    with pytest.raises(ConfigurationError, match=knob) as caught:
        NbdLimits(**{knob: value})
    assert (caught.value.key, caught.value.value) == (knob, value)


def test_the_largest_payload_is_the_one_clients_assume() -> None:
    assert NbdLimits().payload_bytes_max == 32 * 1024 * 1024


def test_the_worst_case_of_the_defaults_is_what_the_docstring_says() -> None:
    limits = NbdLimits()
    a_connection = limits.own_bytes_in_flight_max + RECEIVE_BUFFER_BYTES + CHUNK_BYTES_MAX
    worst = limits.server_bytes_in_flight_max + limits.connections_max * a_connection
    assert a_connection == 388 * 1024
    assert worst == 80.5 * 1024 * 1024
