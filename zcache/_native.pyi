"""The native core: the cache of ``native/`` as an extension module; not in every installation.

For type checkers. ``contract.py`` says what the operations do; a test holds the signatures equal.
"""

from collections.abc import Sequence
from uuid import UUID

from zcache.config import CacheConfig
from zcache.page import (
    AwayPage,
    AwayPages,
    Buffer,
    GetFree,
    PackedBlobs,
    PoolKind,
    SpillTicket,
)
from zcache.stats import CacheStats

def _bare_compress(pages: bytes, keep: bool) -> tuple[list[int], bytes]: ...
def _bare_decompress(
    lengths: Sequence[int], blocks: bytes, into: bytearray | memoryview
) -> int: ...

class Cache:
    def __init__(self, config: CacheConfig | None = None) -> None: ...
    @property
    def backend(self) -> str: ...
    @property
    def config(self) -> CacheConfig: ...
    def reconfigure(self, **changes: object) -> CacheConfig: ...
    def create_pool(
        self,
        kind: PoolKind,
        *,
        exclusive_gets: bool = False,
        shared_uuid: UUID | None = None,
        foreign: bool = False,
        codec: str | None = None,
    ) -> int: ...
    def pool_pages(self, pool_id: int) -> int: ...
    def empty_pool(self, pool_id: int, pages_max: int) -> int: ...
    def destroy_pool(self, pool_id: int) -> int: ...
    def put(
        self,
        pool_id: int,
        object_id: int,
        index: int,
        page: Buffer,
        *,
        keep_old: bool = False,
    ) -> None: ...
    def put_many(
        self,
        pool_id: int,
        object_id: int,
        indexes: Sequence[int],
        payload: Buffer,
        *,
        keep_old: bool = False,
    ) -> None: ...
    def get(
        self, pool_id: int, object_id: int, index: int, *, free: GetFree = GetFree.BY_KIND
    ) -> bytes | AwayPage | None: ...
    def get_many(
        self,
        pool_id: int,
        object_id: int,
        indexes: Sequence[int],
        into: bytearray | memoryview,
        *,
        free: GetFree = GetFree.BY_KIND,
    ) -> tuple[bytes, AwayPages]: ...
    def flush(self, pool_id: int, object_id: int, index: int) -> bool: ...
    def flush_range(
        self,
        pool_id: int,
        object_id: int,
        start: int,
        stop: int,
        *,
        pages_max: int | None = None,
    ) -> int: ...
    def flush_object(self, pool_id: int, object_id: int) -> int: ...
    def extents(
        self, pool_id: int, object_id: int, start: int, stop: int
    ) -> list[tuple[int, int, bool]]: ...
    def freeze(self, frozen: bool = True) -> None: ...
    def begin_spill(
        self,
        bytes_max: int,
        *,
        kind: PoolKind = PoolKind.PERSISTENT,
        pages_max: int = 4096,
    ) -> SpillTicket | None: ...
    def finish_spill(
        self, ticket: SpillTicket, where: int | Sequence[int], accepted: Buffer | None = None
    ) -> int: ...
    def cancel_spill(self, ticket: SpillTicket, *, warm: bool = False) -> None: ...
    def drain_displaced(self, pages_max: int = 65536) -> AwayPages: ...
    def peek_away(self, pool_id: int, object_id: int, indexes: Sequence[int]) -> AwayPages: ...
    def restore_many(
        self,
        pool_id: int,
        object_id: int,
        indexes: Sequence[int],
        blobs: PackedBlobs,
        into: bytearray | memoryview | None,
        *,
        install: bool,
        free: GetFree = GetFree.BY_KIND,
    ) -> bytes: ...
    def forget_away(self, pool_id: int, object_id: int, index: int, generation: int) -> bool: ...
    def forget_where(self, place: int, kind: PoolKind) -> int: ...
    def scan_away(
        self, place: int, *, cursor: int = 0, pages_max: int = 4096
    ) -> tuple[list[tuple[int, int, int]], AwayPages, int]: ...
    def move_away(
        self,
        keys: Sequence[int],
        generations: Sequence[int],
        wheres: Sequence[int],
        to: Sequence[int],
    ) -> bytes: ...
    def adopt(self, pool_id: int, object_id: int, blobs: PackedBlobs) -> bytes: ...
    def read_adopted(
        self, pool_id: int, object_id: int, keys: Sequence[int], generations: Sequence[int]
    ) -> tuple[bytes, PackedBlobs]: ...
    def flush_adopted(
        self, pool_id: int, object_id: int, keys: Sequence[int], generations: Sequence[int]
    ) -> int: ...
    def foreign_room_bytes(self) -> int: ...
    def foreign_bytes(self, pool_id: int) -> int: ...
    def drop_foreign_ephemeral(self, bytes_max: int) -> int: ...
    def excess_bytes(self, watermark: float) -> int: ...
    def compact(self, frames_max: int | None = None) -> int: ...
    def stats(self) -> CacheStats: ...
    def class_stats(self) -> list[dict[str, int]]: ...
    def verify(self) -> None: ...
