"""Pages of real files without a trace in this process: another one reads them, this one maps them.

Covers: running the other process, mapping its file. Does not cover: which files (``corpus.py``),
made pages (``mapped_pages.py``, which says why another process).

    python -P -m ramster.bench.mapped_corpus FILE COUNT SEED
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from ramster.bench.mapped_pages import map_written, write_whole
from ramster.bench.pages import corpus

__all__ = ["main", "map_corpus"]


def map_corpus(folder: Path, count: int, *, seed: int = 0) -> memoryview:
    """What ``corpus`` returns for the same arguments; ``count`` is 1 or more.

    The file is in ``folder`` and is not changed or removed; it is mapped whole, so that reading it
    for the first time takes no longer. Raises CalledProcessError when the other process fails; its
    last words are on standard error.
    """
    path = folder / f"corpus-{count}-{seed}"
    return map_written(path, "ramster.bench.mapped_corpus", count, seed)


def main(arguments: Sequence[str]) -> int:
    """Read pages of real files and write them to the file."""
    path, count, seed = arguments
    write_whole(path, corpus(int(count), seed=int(seed)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
