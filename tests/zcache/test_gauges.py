from collections.abc import Callable

from tests.zcache.pages import PERSISTENT, mixed_page, text_page
from tests.zcache.test_segments import resident_bytes
from zcache import PAGE_SIZE, CacheContract

MakeCache = Callable[..., CacheContract]


def test_metadata_of_dense_pages_is_small(make_cache: MakeCache) -> None:
    """Less than 120 bytes a page beside its share of frames, by the cache's own account."""
    cache = make_cache(frames=16_384)
    pool = cache.create_pool(PERSISTENT)
    pages = [mixed_page(n, 1000) for n in range(64)]
    before = cache.stats().metadata_bytes
    for start in range(0, 20_000, 64):
        cache.put_many(pool, 1, range(start, start + 64), b"".join(pages))
    stats = cache.stats()
    assert (stats.metadata_bytes - before) / stats.pages_local < 120


def test_real_memory_follows_the_frames_and_the_metadata(make_cache: MakeCache) -> None:
    """Behaviour 32 in real memory: the process takes what the figures say, and gives it back."""
    cache = make_cache(frames=16_384)
    pool = cache.create_pool(PERSISTENT)
    payload = b"".join(mixed_page(n, 900 + 31 * n) for n in range(64))
    before = resident_bytes()
    for start in range(0, 20_032, 64):
        cache.put_many(pool, 1, range(start, start + 64), payload)
    stats = cache.stats()
    frames = stats.frames_used * PAGE_SIZE
    taken = resident_bytes() - before
    assert frames > 30 * 2**20
    assert 0.95 * frames < taken < frames + 120 * 20_032 + 2 * 2**20
    cache.flush_object(pool, 1)
    assert resident_bytes() - before < 0.1 * frames


def test_the_account_covers_tickets_and_displaced_copies(make_cache: MakeCache) -> None:
    cache = make_cache()
    pool = cache.create_pool(PERSISTENT)
    cache.put_many(pool, 1, range(50), b"".join(map(text_page, range(50))))
    before = cache.stats().metadata_bytes
    ticket = cache.begin_spill(2**20)
    assert ticket is not None
    assert cache.stats().metadata_bytes - before > len(ticket.blobs.payload)
    cache.finish_spill(ticket, 1)
    gone = cache.stats().metadata_bytes
    assert gone < before + 1000
    cache.flush_object(pool, 1)
    assert cache.stats().displaced_pending == 50
