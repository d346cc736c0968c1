"""NBD clients that were written elsewhere, run as programs, and an image for them to copy.

Covers: running one of the distribution's programs, or skipping the test without it (failing where
RAMSTER_REQUIRE_NBD_CLIENTS=1). Does not cover: what serves them.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

__all__ = ["image", "run"]


def run(program: str, *arguments: str, ok: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a client of the distribution and return what it said."""
    path = shutil.which(program, path="/usr/bin:/bin:/usr/local/bin")
    if path is None:
        reason = f"{program} is not installed"
        if os.environ.get("RAMSTER_REQUIRE_NBD_CLIENTS") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    # nbdsh looks for the distribution's Python, which has the libnbd module.
    environment = {**os.environ, "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        [path, *arguments],
        capture_output=True,
        text=True,
        timeout=150,
        env=environment,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if ok and done.returncode:
        pytest.fail(f"{program} {' '.join(arguments)}: {done.returncode}\n{done.stderr}")
    return done


def image(path: Path, size: int, seed: int) -> bytes:
    """A sparse file of data of every kind: noise, text, zeros, holes."""
    noise = random.Random(seed)
    data = bytearray(size)
    for start in range(0, size, 64 * 1024):
        length = min(64 * 1024, size - start)
        match noise.randrange(4):
            case 0:
                data[start : start + length] = noise.randbytes(length)
            case 1:
                data[start : start + length] = (b"a line of text %d\n" % start * 5000)[:length]
            case 2:
                data[start + 1000 : start + 1010] = b"0123456789"[: max(length - 1000, 0)][:10]
    del data[size:]
    path.write_bytes(data)
    return bytes(data)
