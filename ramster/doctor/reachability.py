"""Whether a configured peer's name resolves and something answers there.

Covers: one TCP connection to one peer, closed at once. Does not cover: whether that is a node, of
the same cluster and version: ``ramster stat`` of a running node says that of its peers.
"""

from __future__ import annotations

import socket

from ramster.addresses import Address
from ramster.doctor.findings import Feature, Finding, Status

__all__ = ["CONNECT_S", "check_peer"]

CONNECT_S = 2.0
"""How long a peer may take to accept, over all its addresses; a neighbour takes a millisecond."""


def check_peer(peer: Address, timeout_s: float = CONNECT_S) -> Finding:
    """Look its name up and connect; takes longer than ``timeout_s`` where a name server hangs."""
    check = f"peer {peer}"
    try:
        found = socket.getaddrinfo(peer.host, peer.port, type=socket.SOCK_STREAM)
    except OSError as error:
        reason = f"the name does not resolve: {error.strerror or error}"
        fix = "its name in /etc/hosts or DNS, or its number in the setting peer"
        return Finding(Feature.PEERS, check, Status.BAD, reason, fix)
    places = dict.fromkeys(place for *_, place in found)
    reason = ""
    for family, kind, protocol, _, place in found:
        try:
            with socket.socket(family, kind, protocol) as probe:
                probe.settimeout(timeout_s / len(places))
                probe.connect(place)
                return Finding(Feature.PEERS, check, Status.OK, "accepts connections")
        except OSError as error:
            silent = isinstance(error, TimeoutError)
            reason = "no answer" if silent else error.strerror or str(error)
    fix = (
        "start the node there (its setting listen must not be a loopback address), and let TCP to "
        f"port {peer.port} through its firewall"
    )
    return Finding(Feature.PEERS, check, Status.MISSING, reason, fix)
