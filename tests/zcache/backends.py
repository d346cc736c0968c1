"""The implementations that the contract's tests run over, by name.

Tests that look inside the Python one import it from ``zcache.cache``; all others get theirs from
here, or take the one that ``from zcache import Cache`` gives.
"""

from zcache.backend import BACKENDS

__all__ = ["BACKENDS"]
