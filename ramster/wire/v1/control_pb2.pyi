# GENERATED CODE, DO NOT EDIT: change the source and run proto/generate.py
# source: proto/ramster/wire/v1/control.proto sha256 6ed607396863dff586736ceae724fded8d87a749aa7b268dfb9f12b259e99538
# text below: grpcio-tools 1.80.0 sha256 aaae99b0e1df6ceb36d7781abf3b280606d1eb5b83bf493a00e0f185a015b302
from ramster.wire.v1 import peer_pb2 as _peer_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class HelloRequest(_message.Message):
    __slots__ = ("cluster", "node", "incarnation", "protocol_version", "page_size", "codecs")
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    CODECS_FIELD_NUMBER: _ClassVar[int]
    cluster: str
    node: str
    incarnation: int
    protocol_version: int
    page_size: int
    codecs: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, cluster: _Optional[str] = ..., node: _Optional[str] = ..., incarnation: _Optional[int] = ..., protocol_version: _Optional[int] = ..., page_size: _Optional[int] = ..., codecs: _Optional[_Iterable[str]] = ...) -> None: ...

class HelloReply(_message.Message):
    __slots__ = ("failure", "node", "incarnation", "lease", "room_bytes", "lease_s", "data_endpoint", "draining")
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    ROOM_BYTES_FIELD_NUMBER: _ClassVar[int]
    LEASE_S_FIELD_NUMBER: _ClassVar[int]
    DATA_ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    failure: _peer_pb2.Failure
    node: str
    incarnation: int
    lease: int
    room_bytes: int
    lease_s: float
    data_endpoint: str
    draining: bool
    def __init__(self, failure: _Optional[_Union[_peer_pb2.Failure, _Mapping]] = ..., node: _Optional[str] = ..., incarnation: _Optional[int] = ..., lease: _Optional[int] = ..., room_bytes: _Optional[int] = ..., lease_s: _Optional[float] = ..., data_endpoint: _Optional[str] = ..., draining: bool = ...) -> None: ...

class HeartbeatRequest(_message.Message):
    __slots__ = ("lease", "incarnation", "leaving")
    LEASE_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    LEAVING_FIELD_NUMBER: _ClassVar[int]
    lease: int
    incarnation: int
    leaving: bool
    def __init__(self, lease: _Optional[int] = ..., incarnation: _Optional[int] = ..., leaving: bool = ...) -> None: ...

class HeartbeatReply(_message.Message):
    __slots__ = ("failure", "incarnation", "room_bytes", "foreign_pages", "wanted_bytes", "draining")
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    ROOM_BYTES_FIELD_NUMBER: _ClassVar[int]
    FOREIGN_PAGES_FIELD_NUMBER: _ClassVar[int]
    WANTED_BYTES_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    failure: _peer_pb2.Failure
    incarnation: int
    room_bytes: int
    foreign_pages: int
    wanted_bytes: int
    draining: bool
    def __init__(self, failure: _Optional[_Union[_peer_pb2.Failure, _Mapping]] = ..., incarnation: _Optional[int] = ..., room_bytes: _Optional[int] = ..., foreign_pages: _Optional[int] = ..., wanted_bytes: _Optional[int] = ..., draining: bool = ...) -> None: ...

class FiguresRequest(_message.Message):
    __slots__ = ("cluster",)
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    cluster: str
    def __init__(self, cluster: _Optional[str] = ...) -> None: ...

class FiguresReply(_message.Message):
    __slots__ = ("failure", "figures")
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    FIGURES_FIELD_NUMBER: _ClassVar[int]
    failure: _peer_pb2.Failure
    figures: bytes
    def __init__(self, failure: _Optional[_Union[_peer_pb2.Failure, _Mapping]] = ..., figures: _Optional[bytes] = ...) -> None: ...
