"""Made pages without a trace in this process: another one makes them, this one maps them.

Covers: running the other process, mapping its file. Does not cover: how pages are made
(``pages.py``).

What making pages frees stays with the process (glibc keeps it), and what is stored next would go
there: measured as growth, it would cost nothing. A file that is mapped is not anonymous memory.

    python -P -m ramster.bench.mapped_pages FILE COUNT RATIO SEED SAME_FILLED
"""

from __future__ import annotations

import mmap
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ramster.bench.pages import made

__all__ = ["main", "map_made", "map_written", "waited_s", "write_whole"]

_MAKING_LIMIT_S = 120.0
_waited: list[float] = []


def waited_s() -> float:
    """Seconds that this process has waited for pages: no part of what a workload takes."""
    return sum(_waited)


def map_made(
    folder: Path, count: int, ratio: float, *, seed: int = 0, same_filled: float = 0.0
) -> memoryview:
    """What ``made`` makes of the same arguments; ``count`` is 1 or more.

    The file is in ``folder`` and is not changed or removed; it is mapped whole, so that reading it
    for the first time takes no longer. Raises CalledProcessError when the other process fails; its
    last words are on standard error.
    """
    path = folder / f"pages-{count}-{ratio}-{seed}-{same_filled}"
    return map_written(path, "ramster.bench.mapped_pages", count, ratio, seed, same_filled)


def map_written(path: Path, module: str, *words: object) -> memoryview:
    """The file that ``python -m MODULE PATH WORDS...`` writes, unless it is there; mapped whole.

    Raises CalledProcessError.
    """
    if not path.exists():
        command = [sys.executable, "-P", "-m", module, str(path), *map(str, words)]
        start = time.perf_counter()
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, timeout=_MAKING_LIMIT_S)
        _waited.append(time.perf_counter() - start)
    with path.open("rb") as file:
        return memoryview(
            mmap.mmap(
                file.fileno(),
                0,
                flags=mmap.MAP_SHARED | mmap.MAP_POPULATE,
                prot=mmap.PROT_READ,
            )
        )


def write_whole(path: str, data: bytes) -> None:
    """Write a file that is there whole or not at all."""
    partial = Path(f"{path}.partial")
    partial.write_bytes(data)
    partial.rename(path)


def main(arguments: Sequence[str]) -> int:
    """Make pages and write them to the file."""
    path, count, ratio, seed, same_filled = arguments
    data = made(int(count), float(ratio), seed=int(seed), same_filled=float(same_filled))
    write_whole(path, data)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
