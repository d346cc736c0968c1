"""Names of methods."""

from __future__ import annotations

import pytest

from ramster.rpc import methods
from ramster.wire.v1 import control_pb2, peer_pb2, tmem_pb2


def test_paths_are_those_that_every_grpc_client_derives_from_the_protos() -> None:
    assert methods.HELLO == "/ramster.wire.v1.ControlPlane/Hello"
    assert methods.FETCH == "/ramster.wire.v1.DataPlane/Fetch"
    assert methods.method_path(tmem_pb2.DESCRIPTOR, "Tmem", "Put") == "/ramster.wire.v1.Tmem/Put"


def test_every_method_between_nodes_has_its_path() -> None:
    declared = {
        f"/{service.full_name}/{method.name}"
        for file in (control_pb2.DESCRIPTOR, peer_pb2.DESCRIPTOR)
        for service in file.services_by_name.values()
        for method in service.methods
    }
    control = {methods.HELLO, methods.HEARTBEAT, methods.FIGURES}
    assert control | {methods.SPILL, methods.FETCH, methods.FLUSH} == declared


def test_a_method_that_is_not_declared_has_none() -> None:
    with pytest.raises(KeyError):
        methods.method_path(peer_pb2.DESCRIPTOR, "DataPlane", "Steal")
