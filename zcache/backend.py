"""Which implementation of the cache this process uses; chosen once, when zcache is imported.

Covers: the variable ZCACHE_BACKEND, and what is said where the native core is not there.
Does not cover: how the native core gets there (setup.py), what an implementation does
(``contract.py``).

    ZCACHE_BACKEND   the cache
    not set, auto    the native one where it is installed, else the one in Python
    native           the native one; without it zcache is not imported, and the error says why
    python           the one in Python
"""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

from zcache.cache import Cache as PythonCache
from zcache.contract import CacheContract
from zcache.errors import ConfigError

__all__ = ["ASKED_FOR", "BACKEND", "BACKENDS", "BACKEND_VARIABLE", "NATIVE_MISSING", "Cache"]

BACKEND_VARIABLE: Final = "ZCACHE_BACKEND"
"""The environment variable that asks for one."""

_REASON: Final = Path(__file__).with_name("_native_missing.txt")
"""Why this installation has no native core; setup.py writes it."""


def _load_native() -> type[CacheContract] | str:
    """The native cache, or the reason why there is none."""
    try:
        native = import_module("zcache._native")
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and error.name == "zcache._native":
            return _why_not_installed()
        return f"it does not load: {error}"  # made for another machine or another Python
    cache: type[CacheContract] | None = getattr(native, "Cache", None)
    return "zcache._native has no Cache" if cache is None else cache


def _why_not_installed() -> str:
    try:
        return _REASON.read_text().strip()
    except OSError:
        return "zcache._native was not built"


def _choose(wanted: str) -> str:
    """The name of the implementation for a value of the variable. Raises ConfigError."""
    if wanted in BACKENDS:
        return wanted
    if wanted == "auto":
        return "python" if NATIVE_MISSING else "native"
    accepted = "one of: auto, python, native"
    if wanted == "native":
        accepted = (
            f"auto or python, as the native core is not there ({NATIVE_MISSING}); with Rust, "
            "ZCACHE_BUILD_NATIVE=yes pip install . builds it or says what it takes"
        )
    raise ConfigError(BACKEND_VARIABLE, wanted, accepted)


_native = _load_native()

NATIVE_MISSING: Final = _native if isinstance(_native, str) else ""
"""Why the native cache is not among ``BACKENDS``; empty where it is."""

BACKENDS: Final[dict[str, type[CacheContract]]] = {"python": PythonCache}
"""The implementations that this process can use, by name."""

if not isinstance(_native, str):
    BACKENDS["native"] = _native

ASKED_FOR: Final = os.environ.get(BACKEND_VARIABLE) or "auto"
"""What the variable says."""

BACKEND: Final = _choose(ASKED_FOR)
"""The name of the implementation that this process uses."""

if TYPE_CHECKING:
    Cache = PythonCache  # type checkers see the reference; each implementation has its signatures
else:
    Cache = BACKENDS[BACKEND]
