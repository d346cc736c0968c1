"""What is known of a peer."""

from __future__ import annotations

from ramster.peer_state import Peer, PeerState


def test_a_peer_that_was_never_heard_of_offers_nothing_and_is_greeted_first() -> None:
    peer = Peer("b:7777", heard_at=5.0, next_at=5.0)
    assert peer.state is PeerState.CONNECTING
    assert peer.hello_due
    assert (peer.lender, peer.room_bytes, peer.wanted_bytes, peer.draining) == (None, 0, 0, False)
    assert peer.room_at < peer.heard_at, "any word about room is newer than none"


def test_states_read_as_words() -> None:
    """They are shown to people and are labels of metrics."""
    assert [str(state) for state in PeerState] == [
        "connecting", "alive", "suspect", "dead", "refused", "self",
    ]  # fmt: skip
