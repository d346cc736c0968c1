"""Fixtures of the cache's tests."""

from collections.abc import Callable, Iterator

import pytest

from tests.zcache.backends import BACKENDS
from zcache import PAGE_SIZE, CacheConfig, CacheContract


@pytest.fixture(params=sorted(BACKENDS))
def make_cache(request: pytest.FixtureRequest) -> Iterator[Callable[..., CacheContract]]:
    """Caches of each implementation by limit in frames and other knobs; each is verified at the
    end.
    """
    made: list[CacheContract] = []

    def make(frames: int = 1024, **knobs: object) -> CacheContract:
        cache = BACKENDS[request.param](CacheConfig(pool_bytes_max=frames * PAGE_SIZE, **knobs))
        made.append(cache)
        return cache

    yield make
    for cache in made:
        cache.verify()
