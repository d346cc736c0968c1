"""The transport of a node that has no peers: no link, no port, no grpc.

Covers: what the cluster core needs where its only other tier is the write-back file. Does not
cover: the store of a node without that tier (``store.LocalStore``).
"""

from __future__ import annotations

from ramster.errors import PeerUnreachableError
from ramster.transport import PeerLink

__all__ = ["NoPeers"]


class NoPeers:
    """A ``Transport`` that links to nobody."""

    def link(self, address: str) -> PeerLink:
        """Raises PeerUnreachableError, whatever the address."""
        raise PeerUnreachableError(f"{address}: this node has no peers")
