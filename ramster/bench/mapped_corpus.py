"""Pages of real files without a trace in this process: another one reads them, this one maps them.

Covers: running the other process, mapping its file. Does not cover: which files (``corpus.py``),
made pages (``mapped_pages.py``, which says why another process).

    python -P -m ramster.bench.mapped_corpus FILE COUNT SEED
"""

from __future__ import annotations

import mmap
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from ramster.bench.pages import corpus

__all__ = ["main", "map_corpus"]

_READING_LIMIT_S = 120.0


def map_corpus(folder: Path, count: int, *, seed: int = 0) -> memoryview:
    """What ``corpus`` returns for the same arguments; ``count`` is 1 or more.

    The file is in ``folder`` and is not changed or removed; it is mapped whole, so that reading it
    for the first time takes no longer. Raises CalledProcessError when the other process fails; its
    last words are on standard error.
    """
    path = folder / f"corpus-{count}-{seed}"
    if not path.exists():
        words = [str(word) for word in (path, count, seed)]
        command = [sys.executable, "-P", "-m", "ramster.bench.mapped_corpus", *words]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, timeout=_READING_LIMIT_S)
    with path.open("rb") as file:
        return memoryview(
            mmap.mmap(
                file.fileno(),
                0,
                flags=mmap.MAP_SHARED | mmap.MAP_POPULATE,
                prot=mmap.PROT_READ,
            )
        )


def main(arguments: Sequence[str]) -> int:
    """Read pages of real files and write them to the file."""
    path, count, seed = arguments
    partial = Path(f"{path}.partial")
    partial.write_bytes(corpus(int(count), seed=int(seed)))
    partial.rename(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
