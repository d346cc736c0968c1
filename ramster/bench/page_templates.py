"""Templates of pages: real content laid out so that LZ4 makes a blob of a wanted length of it.

Covers: how a template is laid out, measuring it, sets of templates whose mean length is as wanted.
Does not cover: pages made of templates (``pages.py``).

A template is a page with holes; a page is made by filling them with random bytes, so that pages of
one template differ and compress alike. Which real page it is made of is chosen by
how it compresses by itself, so that little has to be changed:

- a page that compresses better than wanted gives way to noise in one to eight places, as where a
  heap holds text beside images or keys;
- a page that compresses worse is cut short, and goes on with records: copies of its own pieces,
  each with a field of a few bytes that is new, as in tables of structures, logs and markup. In most
  such pages all records are copies of one piece, equally long, as rows of a table are; in the
  others of many. Fields hold bytes as frequent as they are in the page, which leaves Zstandard, but
  not LZ4, something to find in them, as in real pages.

Lengths spread around the mean as a beta distribution does (the choice is ours; real pages spread
about as widely), in a sequence that fills it evenly (van der Corput's), so that few pages have the
mean of many.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import lru_cache
from typing import Final, NamedTuple

import lz4.block

from ramster.bench.corpus import load
from zcache import PAGE_SIZE, CacheConfig
from zcache.size_classes import SizeClassTable

__all__ = ["SET_TEMPLATES", "Template", "blob_length", "templates"]

SET_TEMPLATES: Final = 32
"""Templates in a set."""

_HUGE_LENGTH: Final = SizeClassTable(CacheConfig().chain_frames_max).huge_length
_SOURCE_PAGES: Final = 2048
_LENGTH_LEAST: Final = 150
"""Bytes of the shortest blob that is aimed at: 27 to 1, a page of a table that repeats."""
_ZEROS_MOST: Final = PAGE_SIZE * 2 // 5
"""Zero bytes of a page that templates are made of, and of a template; one with more is not used."""
_FIELD_BYTES: Final = (2, 4, 4, 8)
_RECORD_BYTES_LEAST: Final = 24
_RECORD_BLOB_BYTES: Final = 8
"""About what a record takes in a blob: a match, its distance, and the field."""
_ROWS_SHARE: Final = 0.75
"""Of the pages of records, those whose records are copies of one piece."""
_STEPS: Final = 9
_TRIES: Final = 4


class Template(NamedTuple):
    """A page with holes."""

    parts: tuple[bytes | int, ...]
    """In order: bytes as they are, or the length of a hole in bytes."""
    noise_bytes: int
    """The sum of the holes."""
    alphabet: bytes | None = None
    """What each of the 256 values of a byte of noise becomes; None: itself."""

    def fill(self, noise: bytes) -> bytes:
        """The page with ``noise`` (``noise_bytes`` long) in its holes."""
        at = 0
        if self.alphabet is not None:
            noise = noise.translate(self.alphabet)
        pieces = []
        for part in self.parts:
            if isinstance(part, bytes):
                pieces.append(part)
            else:
                pieces.append(noise[at : at + part])
                at += part
        return b"".join(pieces)


def blob_length(page: bytes) -> int:
    """Bytes of the blob that zcache stores a page as, with LZ4 and by default."""
    length = len(lz4.block.compress(page, store_size=False))
    return length if length < _HUGE_LENGTH else PAGE_SIZE


@lru_cache(maxsize=256)
def templates(ratio: float, number: int) -> tuple[Template, ...]:
    """Set ``number`` (0, 1 ...) of templates of a ratio; kept.

    Their blobs together take what ``SET_TEMPLATES`` pages at ``ratio`` to 1 take, as nearly as one
    page allows.
    """
    chance = random.Random(f"{ratio} {number}")
    spread = _spread(ratio)
    made = []
    debt = 0.0
    for position in range(SET_TEMPLATES):
        wanted = spread[_van_der_corput(position, chance.random() / SET_TEMPLATES, len(spread))]
        template = _of_length(_attainable(wanted + debt), chance)
        debt += wanted - blob_length(template.fill(chance.randbytes(template.noise_bytes)))
        made.append(template)
    return tuple(made)


@lru_cache(maxsize=16)
def _spread(ratio: float) -> list[float]:
    """Lengths of blobs in rising order, each as frequent as the next; their mean is as wanted."""
    share = 1 / ratio
    if share > 1 - 1e-9:
        return [float(PAGE_SIZE)]
    weight = max(6.0, 2 / share, 2 / (1 - share))
    chance = random.Random(0)
    lengths = sorted(
        PAGE_SIZE * chance.betavariate(weight * share, weight * (1 - share)) for _ in range(1024)
    )
    excess = sum(lengths) / len(lengths) - PAGE_SIZE * share
    return [length - excess for length in lengths]


def _van_der_corput(position: int, shift: float, size: int) -> int:
    """Where the term of the sequence in base 2 falls in a list of ``size``."""
    term, step = shift, 0.5
    while position:
        term += step * (position & 1)
        position >>= 1
        step /= 2
    return int(term % 1.0 * size)


def _attainable(wanted: float) -> int:
    """The nearest length that a blob can have."""
    if wanted >= (_HUGE_LENGTH + PAGE_SIZE) / 2:
        return PAGE_SIZE
    return round(min(max(wanted, _LENGTH_LEAST), _HUGE_LENGTH - 1))


@lru_cache(maxsize=1)
def _sources() -> list[tuple[int, bytes]]:
    """Real pages with their blobs' lengths, shortest first."""
    data = load(_SOURCE_PAGES)
    pages = [data[at : at + PAGE_SIZE] for at in range(0, len(data), PAGE_SIZE)]
    measured = [(blob_length(page), page) for page in pages if page.count(0) <= _ZEROS_MOST]
    return sorted(pair for pair in measured if pair[0] < _HUGE_LENGTH)


@lru_cache(maxsize=1)
def _texts() -> list[tuple[int, bytes]]:
    """Those of them in which no byte is zero."""
    return [source for source in _sources() if 0 not in source[1]]


def _of_length(wanted: int, chance: random.Random) -> Template:
    if wanted == PAGE_SIZE:
        return Template((PAGE_SIZE,), PAGE_SIZE)
    for attempt in range(_TRIES):
        sources = _sources() if attempt < _TRIES - 1 else _texts()
        length, page = min(chance.choices(sources, k=3), key=lambda source: abs(source[0] - wanted))
        if length <= wanted:
            template = _seek(_beside_noise(page, chance), wanted, chance, rising=False)
        else:
            template = _seek(_as_records(page, wanted, chance), wanted, chance, rising=True)
        if sum(part.count(0) for part in template.parts if isinstance(part, bytes)) <= _ZEROS_MOST:
            break
    return template


def _seek(
    lay_out: Callable[[int], Template], wanted: int, chance: random.Random, *, rising: bool
) -> Template:
    """The layout, by real bytes in it, whose blob is nearest to ``wanted``; ``rising``: whether
    more real bytes make it longer."""
    low, high = 16, PAGE_SIZE
    best: tuple[int, Template] | None = None
    for _ in range(_STEPS):
        middle = (low + high) // 2
        template = lay_out(middle)
        length = blob_length(template.fill(chance.randbytes(template.noise_bytes)))
        error = abs(length - wanted)
        if best is None or error < best[0]:
            best = error, template
        if (length < wanted) == rising:
            low = middle
        else:
            high = middle
    assert best is not None
    return best[1]


def _beside_noise(page: bytes, chance: random.Random) -> Callable[[int], Template]:
    """Layouts of a page in part, interrupted by noise."""
    places = chance.choice((1, 2, 4, 8))

    def lay_out(real: int) -> Template:
        parts: list[bytes | int] = []
        noise = PAGE_SIZE - real
        for place in range(places):
            begin, end = real * place // places, real * (place + 1) // places
            parts.append(page[begin:end])
            parts.append(noise * (place + 1) // places - noise * place // places)
        return Template(tuple(part for part in parts if part), noise)

    return lay_out


def _as_records(page: bytes, wanted: int, chance: random.Random) -> Callable[[int], Template]:
    """Layouts of a page cut short that goes on with records of its own pieces."""
    start = chance.randrange(PAGE_SIZE)
    page = page[start:] + page[:start]
    alphabet = bytes(chance.choices(page, k=256))
    size = round(chance.uniform(0.5, 1.5) * _RECORD_BLOB_BYTES * PAGE_SIZE / (wanted * 0.4))
    rows = chance.random() < _ROWS_SHARE
    seed = chance.random()

    def lay_out(real: int) -> Template:
        chance = random.Random(seed)
        parts: list[bytes | int] = [page[:real]]
        left, noise = PAGE_SIZE - real, 0
        longest = min(max(size, _RECORD_BYTES_LEAST), real)
        begin, length, field = 0, longest, chance.choice(_FIELD_BYTES)
        while left:
            if not rows:
                length = max(1, round(longest * chance.uniform(0.5, 1)))
                begin = chance.randrange(real - length + 1)
                field = chance.choice(_FIELD_BYTES)
            hole = min(field, left)
            piece = page[begin : begin + min(length, left - hole)]
            parts += (piece, hole)
            noise += hole
            left -= len(piece) + hole
        return Template(tuple(part for part in parts if part), noise, alphabet)

    return lay_out
