# GENERATED CODE, DO NOT EDIT: change the source and run proto/generate.py
# source: proto/ramster/wire/v1/peer.proto sha256 30768f488576c4c56bfcd61723696cca40ecccff6305ba211f163bd9cf878f18
# text below: grpcio-tools 1.80.0 sha256 d8b095c4860846158abe21a8cc1a39684e3e5657d732fb005a85388fca30ca22
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PoolKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    POOL_KIND_UNSPECIFIED: _ClassVar[PoolKind]
    POOL_KIND_EPHEMERAL: _ClassVar[PoolKind]
    POOL_KIND_PERSISTENT: _ClassVar[PoolKind]
POOL_KIND_UNSPECIFIED: PoolKind
POOL_KIND_EPHEMERAL: PoolKind
POOL_KIND_PERSISTENT: PoolKind

class Failure(_message.Message):
    __slots__ = ("kind", "reason")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[Failure.Kind]
        KIND_REFUSED: _ClassVar[Failure.Kind]
        KIND_UNKNOWN_LEASE: _ClassVar[Failure.Kind]
        KIND_BAD_MESSAGE: _ClassVar[Failure.Kind]
        KIND_INTERNAL: _ClassVar[Failure.Kind]
    KIND_UNSPECIFIED: Failure.Kind
    KIND_REFUSED: Failure.Kind
    KIND_UNKNOWN_LEASE: Failure.Kind
    KIND_BAD_MESSAGE: Failure.Kind
    KIND_INTERNAL: Failure.Kind
    KIND_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    kind: Failure.Kind
    reason: str
    def __init__(self, kind: _Optional[_Union[Failure.Kind, str]] = ..., reason: _Optional[str] = ...) -> None: ...

class SpillRequest(_message.Message):
    __slots__ = ("request_id", "lease", "epoch", "kind", "keys", "generations", "lengths", "encodings", "checksums", "payload", "batch")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    GENERATIONS_FIELD_NUMBER: _ClassVar[int]
    LENGTHS_FIELD_NUMBER: _ClassVar[int]
    ENCODINGS_FIELD_NUMBER: _ClassVar[int]
    CHECKSUMS_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    request_id: int
    lease: int
    epoch: int
    kind: PoolKind
    keys: bytes
    generations: bytes
    lengths: bytes
    encodings: bytes
    checksums: bytes
    payload: bytes
    batch: int
    def __init__(self, request_id: _Optional[int] = ..., lease: _Optional[int] = ..., epoch: _Optional[int] = ..., kind: _Optional[_Union[PoolKind, str]] = ..., keys: _Optional[bytes] = ..., generations: _Optional[bytes] = ..., lengths: _Optional[bytes] = ..., encodings: _Optional[bytes] = ..., checksums: _Optional[bytes] = ..., payload: _Optional[bytes] = ..., batch: _Optional[int] = ...) -> None: ...

class SpillReply(_message.Message):
    __slots__ = ("request_id", "failure", "statuses", "room_bytes")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    ROOM_BYTES_FIELD_NUMBER: _ClassVar[int]
    request_id: int
    failure: Failure
    statuses: bytes
    room_bytes: int
    def __init__(self, request_id: _Optional[int] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ..., statuses: _Optional[bytes] = ..., room_bytes: _Optional[int] = ...) -> None: ...

class FetchRequest(_message.Message):
    __slots__ = ("request_id", "lease", "kind", "keys", "generations")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    GENERATIONS_FIELD_NUMBER: _ClassVar[int]
    request_id: int
    lease: int
    kind: PoolKind
    keys: bytes
    generations: bytes
    def __init__(self, request_id: _Optional[int] = ..., lease: _Optional[int] = ..., kind: _Optional[_Union[PoolKind, str]] = ..., keys: _Optional[bytes] = ..., generations: _Optional[bytes] = ...) -> None: ...

class FetchReply(_message.Message):
    __slots__ = ("request_id", "failure", "found", "keys", "generations", "lengths", "encodings", "checksums", "payload")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    FOUND_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    GENERATIONS_FIELD_NUMBER: _ClassVar[int]
    LENGTHS_FIELD_NUMBER: _ClassVar[int]
    ENCODINGS_FIELD_NUMBER: _ClassVar[int]
    CHECKSUMS_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    request_id: int
    failure: Failure
    found: bytes
    keys: bytes
    generations: bytes
    lengths: bytes
    encodings: bytes
    checksums: bytes
    payload: bytes
    def __init__(self, request_id: _Optional[int] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ..., found: _Optional[bytes] = ..., keys: _Optional[bytes] = ..., generations: _Optional[bytes] = ..., lengths: _Optional[bytes] = ..., encodings: _Optional[bytes] = ..., checksums: _Optional[bytes] = ..., payload: _Optional[bytes] = ...) -> None: ...

class FlushRequest(_message.Message):
    __slots__ = ("request_id", "lease", "epoch", "kind", "keys", "generations", "sequence")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    GENERATIONS_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    request_id: int
    lease: int
    epoch: int
    kind: PoolKind
    keys: bytes
    generations: bytes
    sequence: int
    def __init__(self, request_id: _Optional[int] = ..., lease: _Optional[int] = ..., epoch: _Optional[int] = ..., kind: _Optional[_Union[PoolKind, str]] = ..., keys: _Optional[bytes] = ..., generations: _Optional[bytes] = ..., sequence: _Optional[int] = ...) -> None: ...

class FlushReply(_message.Message):
    __slots__ = ("request_id", "failure")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    request_id: int
    failure: Failure
    def __init__(self, request_id: _Optional[int] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ...) -> None: ...
