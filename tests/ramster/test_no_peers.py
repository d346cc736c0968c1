"""The transport of a node without peers."""

from __future__ import annotations

import pytest

from ramster.errors import PeerUnreachableError
from ramster.no_peers import NoPeers
from ramster.transport import Transport


def test_it_links_to_nobody() -> None:
    transport: Transport = NoPeers()
    with pytest.raises(PeerUnreachableError, match="b:7777: this node has no peers"):
        transport.link("b:7777")
