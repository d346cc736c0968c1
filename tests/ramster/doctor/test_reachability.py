"""Peers that accept, refuse, are silent, or have no address."""

from __future__ import annotations

import socket

from ramster.addresses import Address
from ramster.doctor.findings import Status
from ramster.doctor.reachability import check_peer


def test_a_peer_that_accepts_is_in_order() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = check_peer(Address("127.0.0.1", server.getsockname()[1]))
    assert found.status is Status.OK


def test_a_peer_that_refuses_is_missing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    found = check_peer(Address("127.0.0.1", port))
    assert (found.status, found.found) == (Status.MISSING, "Connection refused")
    assert f"port {port}" in found.fix


def test_a_silent_peer_is_given_up() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        address = server.getsockname()
        waiting = []
        try:
            for _ in range(4):  # until its queue is full, and the kernel drops what comes
                client = socket.socket()
                client.setblocking(False)
                client.connect_ex(address)
                waiting.append(client)
            found = check_peer(Address(*address), timeout_s=0.2)
        finally:
            for client in waiting:
                client.close()
    assert (found.status, found.found) == (Status.MISSING, "no answer")


def test_a_name_that_does_not_resolve_is_bad() -> None:
    found = check_peer(Address("nohost.invalid", 7777))
    assert found.status is Status.BAD
    assert "does not resolve" in found.found
