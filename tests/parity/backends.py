"""Whether the native cache is there: tests that need it are skipped without, but not in CI."""

import os

import pytest

from zcache.backend import BACKENDS, NATIVE_MISSING

__all__ = ["needs_native"]

needs_native = pytest.mark.skipif(
    "native" not in BACKENDS and os.environ.get("RAMSTER_REQUIRE_NATIVE") != "1",
    reason=f"no native core: {NATIVE_MISSING}",
)
