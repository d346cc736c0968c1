# GENERATED CODE, DO NOT EDIT: change the source and run proto/generate.py
# source: proto/ramster/wire/v1/tmem.proto sha256 19bb0e1e08925ce146bc2e67ecd4455fb8f45db61b1998521e4bfb0a2897e7ac
# text below: grpcio-tools 1.80.0 sha256 4642cfe454889aaadbb25ca3da61ed8d30f480d05476c56161f68ac70da95ac3
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TmemPool(_message.Message):
    __slots__ = ("name", "kind", "exclusive_gets", "codec")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[TmemPool.Kind]
        KIND_EPHEMERAL: _ClassVar[TmemPool.Kind]
        KIND_PERSISTENT: _ClassVar[TmemPool.Kind]
    KIND_UNSPECIFIED: TmemPool.Kind
    KIND_EPHEMERAL: TmemPool.Kind
    KIND_PERSISTENT: TmemPool.Kind
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    EXCLUSIVE_GETS_FIELD_NUMBER: _ClassVar[int]
    CODEC_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: TmemPool.Kind
    exclusive_gets: bool
    codec: str
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[_Union[TmemPool.Kind, str]] = ..., exclusive_gets: bool = ..., codec: _Optional[str] = ...) -> None: ...

class CreatePoolRequest(_message.Message):
    __slots__ = ("pool",)
    POOL_FIELD_NUMBER: _ClassVar[int]
    pool: TmemPool
    def __init__(self, pool: _Optional[_Union[TmemPool, _Mapping]] = ...) -> None: ...

class CreatePoolReply(_message.Message):
    __slots__ = ("pool_id", "created")
    POOL_ID_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    pool_id: int
    created: bool
    def __init__(self, pool_id: _Optional[int] = ..., created: bool = ...) -> None: ...

class DestroyPoolRequest(_message.Message):
    __slots__ = ("pool_id",)
    POOL_ID_FIELD_NUMBER: _ClassVar[int]
    pool_id: int
    def __init__(self, pool_id: _Optional[int] = ...) -> None: ...

class DestroyPoolReply(_message.Message):
    __slots__ = ("pages",)
    PAGES_FIELD_NUMBER: _ClassVar[int]
    pages: int
    def __init__(self, pages: _Optional[int] = ...) -> None: ...

class ListPoolsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListPoolsReply(_message.Message):
    __slots__ = ("pools",)
    class Entry(_message.Message):
        __slots__ = ("pool_id", "pool")
        POOL_ID_FIELD_NUMBER: _ClassVar[int]
        POOL_FIELD_NUMBER: _ClassVar[int]
        pool_id: int
        pool: TmemPool
        def __init__(self, pool_id: _Optional[int] = ..., pool: _Optional[_Union[TmemPool, _Mapping]] = ...) -> None: ...
    POOLS_FIELD_NUMBER: _ClassVar[int]
    pools: _containers.RepeatedCompositeFieldContainer[ListPoolsReply.Entry]
    def __init__(self, pools: _Optional[_Iterable[_Union[ListPoolsReply.Entry, _Mapping]]] = ...) -> None: ...

class PutRequest(_message.Message):
    __slots__ = ("pool_id", "object_id", "indexes", "payload", "keep_old")
    POOL_ID_FIELD_NUMBER: _ClassVar[int]
    OBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    INDEXES_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    KEEP_OLD_FIELD_NUMBER: _ClassVar[int]
    pool_id: int
    object_id: bytes
    indexes: _containers.RepeatedScalarFieldContainer[int]
    payload: bytes
    keep_old: bool
    def __init__(self, pool_id: _Optional[int] = ..., object_id: _Optional[bytes] = ..., indexes: _Optional[_Iterable[int]] = ..., payload: _Optional[bytes] = ..., keep_old: bool = ...) -> None: ...

class PutReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetRequest(_message.Message):
    __slots__ = ("pool_id", "object_id", "indexes", "free")
    class Free(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        FREE_BY_POOL: _ClassVar[GetRequest.Free]
        FREE_ALWAYS: _ClassVar[GetRequest.Free]
        FREE_NEVER: _ClassVar[GetRequest.Free]
    FREE_BY_POOL: GetRequest.Free
    FREE_ALWAYS: GetRequest.Free
    FREE_NEVER: GetRequest.Free
    POOL_ID_FIELD_NUMBER: _ClassVar[int]
    OBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    INDEXES_FIELD_NUMBER: _ClassVar[int]
    FREE_FIELD_NUMBER: _ClassVar[int]
    pool_id: int
    object_id: bytes
    indexes: _containers.RepeatedScalarFieldContainer[int]
    free: GetRequest.Free
    def __init__(self, pool_id: _Optional[int] = ..., object_id: _Optional[bytes] = ..., indexes: _Optional[_Iterable[int]] = ..., free: _Optional[_Union[GetRequest.Free, str]] = ...) -> None: ...

class GetReply(_message.Message):
    __slots__ = ("present", "payload")
    PRESENT_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    present: bytes
    payload: bytes
    def __init__(self, present: _Optional[bytes] = ..., payload: _Optional[bytes] = ...) -> None: ...

class FlushPagesRequest(_message.Message):
    __slots__ = ("pool_id", "object_id", "indexes")
    POOL_ID_FIELD_NUMBER: _ClassVar[int]
    OBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    INDEXES_FIELD_NUMBER: _ClassVar[int]
    pool_id: int
    object_id: bytes
    indexes: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, pool_id: _Optional[int] = ..., object_id: _Optional[bytes] = ..., indexes: _Optional[_Iterable[int]] = ...) -> None: ...

class FlushPagesReply(_message.Message):
    __slots__ = ("pages",)
    PAGES_FIELD_NUMBER: _ClassVar[int]
    pages: int
    def __init__(self, pages: _Optional[int] = ...) -> None: ...

class FlushRangeRequest(_message.Message):
    __slots__ = ("pool_id", "object_id", "start", "stop")
    POOL_ID_FIELD_NUMBER: _ClassVar[int]
    OBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    STOP_FIELD_NUMBER: _ClassVar[int]
    pool_id: int
    object_id: bytes
    start: int
    stop: int
    def __init__(self, pool_id: _Optional[int] = ..., object_id: _Optional[bytes] = ..., start: _Optional[int] = ..., stop: _Optional[int] = ...) -> None: ...

class FlushRangeReply(_message.Message):
    __slots__ = ("pages",)
    PAGES_FIELD_NUMBER: _ClassVar[int]
    pages: int
    def __init__(self, pages: _Optional[int] = ...) -> None: ...

class FlushObjectRequest(_message.Message):
    __slots__ = ("pool_id", "object_id")
    POOL_ID_FIELD_NUMBER: _ClassVar[int]
    OBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    pool_id: int
    object_id: bytes
    def __init__(self, pool_id: _Optional[int] = ..., object_id: _Optional[bytes] = ...) -> None: ...

class FlushObjectReply(_message.Message):
    __slots__ = ("pages",)
    PAGES_FIELD_NUMBER: _ClassVar[int]
    pages: int
    def __init__(self, pages: _Optional[int] = ...) -> None: ...
