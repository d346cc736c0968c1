"""Page data for benchmarks: real files, and pages made to a wanted ratio from pieces of them.

Covers: the two ways to get pages, and what zcache would make of pages. Does not cover: which files
(``corpus.py``), how a page of a wanted ratio is laid out (``page_templates.py``).
"""

from __future__ import annotations

import random
from pathlib import Path

from ramster.bench.corpus import load
from ramster.bench.page_templates import SET_TEMPLATES, blob_length, templates
from zcache import PAGE_SIZE

__all__ = ["RATIO_LEAST", "RATIO_MOST", "corpus", "made", "stored_ratio"]

RATIO_LEAST = 1.0
RATIO_MOST = 10.0
_SETS = 32
"""Sets of templates a ratio: after so many pages times ``SET_TEMPLATES`` the real pieces repeat."""
_WORD_BYTES = 8


def corpus(count: int, *, seed: int = 0, directory: Path | None = None) -> bytes:
    """``count`` whole pages of files found on any machine, or of all those below ``directory``.

    See ``corpus.load``.
    """
    return load(count, seed=seed, directory=directory)


def made(count: int, ratio: float, *, seed: int = 0, same_filled: float = 0.0) -> bytes:
    """``count`` pages that LZ4 compresses ``ratio`` to 1, each by itself, within 5 % as a whole.

    ``ratio``: 1.0 to 10.0, bytes of pages over bytes of blobs as zcache stores them, of the pages
    that are not same-filled; below some 32 pages it is as near as so few allow. ``same_filled``:
    the share of pages, 0 to 1, that repeat one 8-byte word that is not zero. No other page is
    same-filled, or more than half zeros. Equal for equal arguments on one machine, as long as its
    files are (the pieces are of its files). Raises ValueError for arguments out of range.
    """
    if count < 0:
        raise ValueError(f"count {count}: accepted is 0 or more")
    if not RATIO_LEAST <= ratio <= RATIO_MOST:
        raise ValueError(f"ratio {ratio}: accepted is {RATIO_LEAST} to {RATIO_MOST}")
    if not 0.0 <= same_filled <= 1.0:
        raise ValueError(f"same_filled {same_filled}: accepted is 0.0 to 1.0")
    chance = random.Random(f"{seed} {ratio}")
    same = round(count * same_filled)
    pages = _varied(count - same, ratio, chance)
    pages += [_same_filled(chance) for _ in range(same)]
    chance.shuffle(pages)
    return b"".join(pages)


def _varied(count: int, ratio: float, chance: random.Random) -> list[bytes]:
    randbytes = chance.randbytes
    first = chance.randrange(_SETS)
    pages: list[bytes] = []
    for number in range(first, first + -(-count // SET_TEMPLATES)):
        for template in templates(ratio, number % _SETS)[: count - len(pages)]:
            pages.append(template.fill(randbytes(template.noise_bytes)))
    return pages


def _same_filled(chance: random.Random) -> bytes:
    return (chance.getrandbits(63) + 1).to_bytes(_WORD_BYTES, "little") * (PAGE_SIZE // _WORD_BYTES)


def stored_ratio(data: bytes) -> float:
    """Bytes of pages over bytes of their blobs, as zcache stores them with LZ4 and by default.

    Pages that are same-filled are left out. Raises ValueError where there are no others.
    """
    pages = [data[at : at + PAGE_SIZE] for at in range(0, len(data), PAGE_SIZE)]
    varied = [page for page in pages if page[_WORD_BYTES:] != page[:-_WORD_BYTES]]
    if not varied:
        raise ValueError("no page that is not same-filled")
    return len(varied) * PAGE_SIZE / sum(blob_length(page) for page in varied)
