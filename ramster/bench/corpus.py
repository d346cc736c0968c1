"""Pages of the files that any machine has: sources, shared objects, programs, text, archives.

Covers: which files, in which shares, and cutting whole pages from them. Does not cover: data made
to a wanted ratio (``pages.py``).

The shares are those of ``native/bench``: Python sources, shared objects, programs and text, three
parts each, and one part of files that are compressed already. Where a machine lacks a kind (a
container with nothing but Python), the interpreter's own library stands in: its sources for text,
its extension modules and itself for programs; and sources compressed with zlib for archives.
"""

from __future__ import annotations

import os
import random
import sys
import sysconfig
import zlib
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

from zcache import PAGE_SIZE

__all__ = ["load"]

_PAGES_A_FILE = 64
"""So that no file stands for all."""
_FILES_LOOKED_AT = 20000
"""A walk ends after so many files of a kind, so that a large machine does not take longer."""

_STDLIB = sysconfig.get_path("stdlib")


def _is_source(name: str) -> bool:
    return name.endswith(".py")


def _is_shared(name: str) -> bool:
    return name.endswith(".so") or ".so." in name


def _is_text(name: str) -> bool:
    return name.endswith(
        (".txt", ".md", ".html", ".xml", ".pl", ".pm", ".h", ".conf", ".rst", ".pyi")
    )


def _is_archive(name: str) -> bool:
    return name.endswith((".gz", ".xz", ".png", ".zip", ".woff2", ".whl", ".bz2", ".zst"))


def _is_any(name: str) -> bool:  # noqa: ARG001
    return True


_SHARES: tuple[tuple[int, Callable[[str], bool], tuple[str, ...]], ...] = (
    (3, _is_source, ("/usr/lib", _STDLIB)),
    (3, _is_shared, ("/usr/lib", "/lib", _STDLIB, os.path.dirname(_STDLIB))),
    (3, _is_any, ("/usr/bin", "/bin", "/usr/sbin", os.path.dirname(sys.executable))),
    (3, _is_text, ("/usr/share", "/usr/include", _STDLIB, "/etc")),
    (1, _is_archive, ("/usr/share", _STDLIB)),
)
_PARTS = sum(share for share, _, _ in _SHARES)


def load(count: int, *, seed: int = 0, directory: Path | None = None) -> bytes:
    """``count`` whole pages; of this machine's files, or of all below ``directory``.

    Same-filled pages are left out, and no page is taken twice while there are others; a machine
    with less than ``count`` pages has its pages repeated from the first on. ``seed`` says which
    pages are taken and in which order; equal for equal seeds as long as the files are. Raises
    ValueError for a directory that holds no page at all.
    """
    if directory is not None:
        pages = _cut(_files((str(directory),), _is_any), count)
        if count and not pages:
            raise ValueError(f"{directory}: no file in it holds a page of {PAGE_SIZE} bytes")
    else:
        pages = []
        for share, wanted, folders in _SHARES:
            pages += _cut(_files(folders, wanted), -(-count * share // _PARTS))
    random.Random(seed).shuffle(pages)
    while len(pages) < count:
        pages += pages[: count - len(pages)]
    return b"".join(pages[:count])


def _files(folders: tuple[str, ...], wanted: Callable[[str], bool]) -> Iterator[str]:
    for folder in folders:
        for place, inner, names in os.walk(folder):
            inner.sort()
            for name in sorted(names):
                path = os.path.join(place, name)
                if wanted(name) and not os.path.islink(path):
                    yield path


def _cut(files: Iterator[str], count: int) -> list[bytes]:
    pages: list[bytes] = []
    for path in files:
        if len(pages) >= count:
            break
        try:
            with open(path, "rb") as file:
                content = file.read(_PAGES_A_FILE * PAGE_SIZE)
        except OSError:
            continue
        for at in range(0, len(content) - PAGE_SIZE + 1, PAGE_SIZE):
            page = content[at : at + PAGE_SIZE]
            if page[8:] != page[:-8]:
                pages.append(page)
    return pages[:count]
