"""zcache: a compressed page cache with a hard limit, a library of its own.

>>> from zcache import Cache, CacheConfig, PoolKind
>>> cache = Cache(CacheConfig(pool_bytes_max=16 * 2**20))
>>> pool = cache.create_pool(PoolKind.PERSISTENT)
>>> cache.put(pool, 1, 0, b"page" * 1024)
>>> cache.get(pool, 1, 0) == b"page" * 1024
True
"""

from zcache.backend import Cache
from zcache.config import CacheConfig
from zcache.contract import CacheContract
from zcache.errors import (
    BadHandleError,
    CacheFullError,
    ConfigError,
    CorruptPageError,
    NoSuchPoolError,
    PoolTableFullError,
    PoorCompressionError,
    PutRefusedError,
    TicketError,
    VerifyError,
    ZcacheError,
)
from zcache.page import (
    BLOB_ABSENT,
    BLOB_FOUND,
    INDEX_MAX,
    OBJECT_ID_INVALID,
    PAGE_SIZE,
    PLACE_BITS,
    AdoptStatus,
    AwayPage,
    AwayPages,
    Buffer,
    Encoding,
    GetFree,
    PackedBlobs,
    PageState,
    PoolKind,
    RestoreStatus,
    SpillTicket,
    place_of,
    position_of,
    where_of,
)
from zcache.stats import CacheStats

__all__ = [
    # the cache
    "Cache",
    "CacheConfig",
    "CacheContract",
    "CacheStats",
    # values
    "PAGE_SIZE",
    "PLACE_BITS",
    "INDEX_MAX",
    "OBJECT_ID_INVALID",
    "BLOB_ABSENT",
    "BLOB_FOUND",
    "AdoptStatus",
    "AwayPage",
    "AwayPages",
    "Buffer",
    "Encoding",
    "GetFree",
    "PackedBlobs",
    "PageState",
    "PoolKind",
    "RestoreStatus",
    "SpillTicket",
    "place_of",
    "position_of",
    "where_of",
    # errors
    "ZcacheError",
    "BadHandleError",
    "CacheFullError",
    "ConfigError",
    "CorruptPageError",
    "NoSuchPoolError",
    "PoolTableFullError",
    "PoorCompressionError",
    "PutRefusedError",
    "TicketError",
    "VerifyError",
]
