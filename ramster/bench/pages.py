"""Page data for benchmarks: real files, and pages made to a wanted ratio of real structure.

Covers: the two ways to get pages. Does not cover: which files (``corpus.py``).
"""

from __future__ import annotations

import random
from pathlib import Path

import lz4.block

from ramster.bench.corpus import load
from zcache import PAGE_SIZE

__all__ = ["corpus", "made"]


def corpus(count: int, *, seed: int = 0, directory: Path | None = None) -> bytes:
    """``count`` whole pages of files found on any machine, or of those below ``directory``.

    See ``corpus.load``.
    """
    return load(count, seed=seed, directory=directory)


def made(count: int, ratio: float, *, seed: int = 0, same_filled: float = 0.0) -> bytes:
    """``count`` pages that LZ4 compresses ``ratio`` to 1, each by itself, within 5 % as a whole.

    ``ratio``: 1.0 to 10.0, bytes of pages over bytes of blobs as zcache stores them, of the pages
    that are not same-filled. ``same_filled``: the share of pages, 0 to 1, that repeat one 8-byte
    word. Equal for equal arguments on one machine. Raises ValueError for arguments out of range.
    """
    if not 1.0 <= ratio <= 10.0:
        raise ValueError(f"ratio {ratio}: accepted is 1.0 to 10.0")
    if not 0.0 <= same_filled <= 1.0:
        raise ValueError(f"same_filled {same_filled}: accepted is 0.0 to 1.0")
    chance = random.Random(seed)
    sources = load(64)
    parts = [sources[at : at + PAGE_SIZE] for at in range(0, len(sources), PAGE_SIZE)]
    pages = []
    for number in range(count):
        target = PAGE_SIZE / ratio
        real = parts[number % len(parts)]
        low, high = 0, PAGE_SIZE
        while low < high:
            middle = (low + high) // 2
            piece = real[:middle]
            page = (piece * (PAGE_SIZE // max(1, middle) + 1))[:PAGE_SIZE]
            if middle and len(lz4.block.compress(page, store_size=False)) < target:
                low = middle + 1
            else:
                high = middle
        piece = real[:low]
        pages.append(
            (piece * (PAGE_SIZE // max(1, low) + 1))[:PAGE_SIZE]
            if ratio > 1.5
            else chance.randbytes(PAGE_SIZE)
        )
    for number in chance.sample(range(count), round(count * same_filled)):
        pages[number] = chance.randbytes(8) * (PAGE_SIZE // 8)
    return b"".join(pages)
