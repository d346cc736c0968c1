"""Prometheus and promtool, as programs of the distribution.

Covers: finding and running them, or skipping the test without them (failing where
RAMSTER_REQUIRE_PROMETHEUS=1). Does not cover: what they look at.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

__all__ = ["program", "promtool"]


def program(name: str) -> Path:
    """Where a program of Debian's package is; else the test ends here."""
    path = shutil.which(name, path="/usr/bin:/bin:/usr/local/bin")
    if path is None:
        reason = f"{name} is not installed (Debian's package prometheus)"
        if os.environ.get("RAMSTER_REQUIRE_PROMETHEUS") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return Path(path)


def promtool(*arguments: str, stdin: bytes = b"") -> str:
    """Run promtool; returns what it said. A complaint fails the test."""
    done = subprocess.run(
        [program("promtool"), *arguments], input=stdin, capture_output=True, check=False, timeout=60
    )
    said = (done.stdout + done.stderr).decode()
    if done.returncode:
        pytest.fail(f"promtool {' '.join(arguments)}: {done.returncode}\n{said}")
    return said
