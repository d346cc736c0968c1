"""The implementations that the contract's tests run over."""

from collections.abc import Callable

from zcache import Cache, CacheConfig, CacheContract

BACKENDS: dict[str, Callable[[CacheConfig], CacheContract]] = {"python": Cache}
