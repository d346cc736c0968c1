"""What another implementation's compressors make of a page.

Two libraries may compress one page to blobs of different lengths, all of them right. For answers to
be the same, the Python cache of a pair takes its blobs from the other one's compressors.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from zcache import PAGE_SIZE, Buffer, CacheConfig, CacheContract, PoolKind

__all__ = ["compressor_of"]


def compressor_of(
    make_cache: Callable[[CacheConfig], CacheContract], codec: str
) -> Callable[[Buffer], bytes]:
    """A function from a page that is not same-filled to its blob, or the page if that is kept."""
    # With the longest zspages the huge watermark is the highest, so that no blob is given up here
    # that the cache of a pair would keep.
    config = CacheConfig(pool_bytes_max=64 * PAGE_SIZE, codec=codec, chain_frames_max=16)
    cache = make_cache(config)
    pool = cache.create_pool(PoolKind.PERSISTENT)

    @lru_cache(maxsize=4096)
    def blob_of(page: bytes) -> bytes:
        cache.put(pool, 1, 0, page)
        ticket = cache.begin_spill(1)
        assert ticket is not None
        cache.cancel_spill(ticket)
        return bytes(ticket.blobs.payload)

    return lambda page: blob_of(bytes(page))
