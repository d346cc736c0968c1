"""Metrics of the peer layer."""

from __future__ import annotations

from ramster.metrics.cluster_rows import PEER_ROWS, PEER_STATES, RELOCATIONS
from ramster.peer_state import PeerState
from ramster.relocator import Reason

ROWS = {row.name: row for row in PEER_ROWS}
OWNER = {"owner": "c", "pages": 2, "heard_s": 3.0}


def test_states_and_reasons_are_those_of_the_peer_layer() -> None:
    assert set(PEER_STATES) == {state.value for state in PeerState}
    assert set(RELOCATIONS) == {reason.value for reason in Reason}


def test_a_round_trip_that_is_not_known_is_absent() -> None:
    peer = {"address": "b:1", "node": None, "rtt_s": None}
    row = ROWS["ramster_peer_round_trip_seconds"]
    assert list(row.samples({"peers": [peer]})) == []
    known = {**peer, "rtt_s": 0.5}
    assert list(row.samples({"peers": [known]})) == [(("b:1", ""), 0.5)]


def test_two_lives_of_an_owner_are_one_series() -> None:
    figures = {"owners": [OWNER, {"owner": "c", "pages": 5, "heard_s": 0.5}]}
    assert list(ROWS["ramster_owner_pages"].samples(figures)) == [(("c",), 7.0)]
    assert list(ROWS["ramster_owner_silence_seconds"].samples(figures)) == [(("c",), 3.0)]
