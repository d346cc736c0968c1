"""The peer layer over gRPC: ``GrpcTransport`` calls, ``PeerServer`` answers.

``TmemClient`` is for programs that use a node's memory.

The only package that imports grpc and protobuf (with ``ramster.wire``, their generated messages);
it is imported in ramster mode only. Raises MissingExtraError where they are not installed.

Read next: ``convert.py`` for what travels, ``client.py`` and ``server.py`` for how.
"""

from ramster.errors import MissingExtraError
from ramster.rpc.options import ConnectionSettings, prepare_environment

prepare_environment()  # before anything imports grpc

_INSTALL = "the peer layer needs grpcio and protobuf: pip install 'ramster[cluster]'"

try:
    import grpc as _grpc  # noqa: F401
    from google.protobuf.runtime_version import VersionError as _VersionError
except ImportError as error:
    raise MissingExtraError(f"{_INSTALL} ({error})") from error

try:
    from ramster.wire.v1 import control_pb2 as _control_pb2  # noqa: F401
except _VersionError as error:
    raise MissingExtraError(f"{_INSTALL} ({error})") from error

from ramster.rpc.client import GrpcLink, GrpcTransport, LinkStats  # noqa: E402
from ramster.rpc.server import PeerServer  # noqa: E402
from ramster.rpc.tmem_client import TmemClient, TmemPool  # noqa: E402

__all__ = [
    "ConnectionSettings",
    "GrpcLink",
    "GrpcTransport",
    "LinkStats",
    "PeerServer",
    "TmemClient",
    "TmemPool",
]
