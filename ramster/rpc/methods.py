"""The full names of the wire's methods, taken from the generated descriptors."""

from __future__ import annotations

from google.protobuf.descriptor import FileDescriptor

from ramster.wire.v1 import control_pb2, peer_pb2

__all__ = ["FETCH", "FIGURES", "FLUSH", "HEARTBEAT", "HELLO", "SPILL", "method_path"]


def method_path(file: FileDescriptor, service: str, method: str) -> str:
    """``/package.Service/Method``. Raises KeyError for one that is not declared."""
    found = file.services_by_name[service].methods_by_name[method]
    return f"/{found.containing_service.full_name}/{found.name}"


HELLO = method_path(control_pb2.DESCRIPTOR, "ControlPlane", "Hello")
HEARTBEAT = method_path(control_pb2.DESCRIPTOR, "ControlPlane", "Heartbeat")
FIGURES = method_path(control_pb2.DESCRIPTOR, "ControlPlane", "Figures")
SPILL = method_path(peer_pb2.DESCRIPTOR, "DataPlane", "Spill")
FETCH = method_path(peer_pb2.DESCRIPTOR, "DataPlane", "Fetch")
FLUSH = method_path(peer_pb2.DESCRIPTOR, "DataPlane", "Flush")
