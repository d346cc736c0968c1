"""Knobs of the peer layer are checked when they are set."""

from __future__ import annotations

from typing import Any

import pytest

from ramster.cluster_config import ClusterConfig
from ramster.errors import ConfigurationError


def test_the_defaults_are_accepted_and_spilling_goes_to_whoever_has_room() -> None:
    config = ClusterConfig(node="a")
    assert config.spill_target == "auto"
    assert not config.spill_ephemeral
    assert config.lease_s >= config.dead_after_s >= config.suspect_after_s
    assert config.replicas == config.replicas_min == 1
    assert not config.writeback_safety
    assert config.hedge_after_s < config.fetch_deadline_s
    assert config.spill_deadline_s < config.put_wait_s, "a put outlives one lender's silence"


@pytest.mark.parametrize(
    "knobs",
    [
        {"replicas": 8, "replicas_min": 8},
        {"replicas": 1, "replicas_min": 1},
        {"repatriate_bytes_per_s": 0, "repatriate_after_s": 0},
        {"rebuild_bytes_per_s": 4096},
    ],
)
def test_values_at_the_ends_of_their_ranges_are_accepted(knobs: dict[str, Any]) -> None:
    config = ClusterConfig(node="a", **knobs)
    assert {key: getattr(config, key) for key in knobs} == knobs


@pytest.mark.parametrize(
    ("knobs", "key"),
    [
        ({"node": ""}, "node"),
        ({"node": "x" * 256}, "node"),
        ({"node": "a\n"}, "node"),
        ({"node": "auto"}, "node"),
        ({"node": "none"}, "node"),
        ({"cluster": ""}, "cluster"),
        ({"spill_target": "a"}, "spill_target"),
        ({"spill_target": ""}, "spill_target"),
        ({"peers": ("b:1", "b:1")}, "peers"),
        ({"heartbeat_interval_s": 0}, "heartbeat_interval_s"),
        ({"suspect_after_s": 0.5}, "suspect_after_s"),
        ({"dead_after_s": 2.0}, "dead_after_s"),
        ({"lease_s": 9.0}, "lease_s"),
        ({"call_deadline_s": 0}, "call_deadline_s"),
        ({"fetch_deadline_s": 601}, "fetch_deadline_s"),
        ({"put_wait_s": -1}, "put_wait_s"),
        ({"reconnect_backoff_min_s": 0}, "reconnect_backoff_min_s"),
        ({"reconnect_backoff_max_s": 0.01}, "reconnect_backoff_max_s"),
        ({"spill_batch_bytes": 4095}, "spill_batch_bytes"),
        ({"spill_batch_bytes": 512 * 1024}, "spill_batch_bytes"),
        ({"spill_bytes_in_flight_max": 1}, "spill_bytes_in_flight_max"),
        ({"replicas": 0}, "replicas"),
        ({"replicas": 9}, "replicas"),
        ({"replicas_min": 0, "replicas": 2}, "replicas_min"),
        ({"replicas_min": 3, "replicas": 2}, "replicas_min"),
        ({"replicas_min": 2}, "replicas_min"),
        ({"spill_deadline_s": 0}, "spill_deadline_s"),
        ({"spill_deadline_s": 601}, "spill_deadline_s"),
        ({"hedge_after_s": 0}, "hedge_after_s"),
        ({"hedge_after_s": 601}, "hedge_after_s"),
        ({"rebuild_bytes_per_s": 4095}, "rebuild_bytes_per_s"),
        ({"repatriate_after_s": -1}, "repatriate_after_s"),
        ({"repatriate_bytes_per_s": -1}, "repatriate_bytes_per_s"),
        ({"readahead_pages": -1}, "readahead_pages"),
        ({"readahead_buffer_bytes": -1}, "readahead_buffer_bytes"),
        ({"flush_batch_pages": 65537}, "flush_batch_pages"),
        ({"flush_queue_pages_max": 0}, "flush_queue_pages_max"),
    ],
)
def test_a_value_out_of_range_names_its_key_and_what_is_accepted(
    knobs: dict[str, Any], key: str
) -> None:
    with pytest.raises(ConfigurationError) as error:
        ClusterConfig(**({"node": "a"} | knobs))
    assert error.value.key == key
    assert error.value.accepted
