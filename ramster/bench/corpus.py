"""Pages of the files that any machine has: sources, shared objects, programs, text, archives.

Covers: which files, in which shares, and cutting whole pages from them. Does not cover: data made
to a wanted ratio (``pages.py``).

The shares are those of ``native/bench``: Python sources, shared objects, programs and text, three
parts each, and one part of files that are compressed already. Where a machine lacks a kind (a
container with nothing but Python), files of the other kinds fill its share; where it has no
archives, the sources are compressed to make some.
"""

from __future__ import annotations

import os
import random
import sys
import sysconfig
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from zcache import PAGE_SIZE

__all__ = ["load"]

_PAGES_A_FILE = 64
"""So that no file stands for all."""
_ZEROS_MOST = PAGE_SIZE * 7 // 8
"""Zero bytes of a page; one with more is near zero, and left out."""
_FOLDERS_WALKED = 3000
"""A kind of files is looked for in so many folders: all of them, but on very large machines."""
_STDLIB = sysconfig.get_path("stdlib")
_MULTIARCH = os.path.join("/usr/lib", sysconfig.get_config_var("MULTIARCH") or "")
_TEXTS = (".txt", ".md", ".html", ".xml", ".pl", ".pm", ".h", ".conf", ".rst", ".pyi")
_ARCHIVES = (".gz", ".xz", ".png", ".zip", ".woff2", ".whl", ".bz2", ".zst")


def _is_source(name: str) -> bool:
    return name.endswith(".py")


def _is_shared_object(name: str) -> bool:
    return name.endswith(".so") or ".so." in name


def _is_text(name: str) -> bool:
    return name.endswith(_TEXTS)


def _is_archive(name: str) -> bool:
    return name.endswith(_ARCHIVES)


def _is_any(_name: str) -> bool:
    return True


_SHARES: tuple[tuple[int, Callable[[str], bool], tuple[str, ...]], ...] = (
    (3, _is_source, (_STDLIB, "/usr/lib/python3")),
    (3, _is_shared_object, (_MULTIARCH, "/usr/lib64", "/usr/lib", _STDLIB)),
    (3, _is_any, ("/usr/bin", os.path.dirname(os.path.realpath(sys.executable)))),
    (3, _is_text, ("/usr/share/perl", "/usr/share/doc", "/usr/include", _STDLIB, "/usr/share")),
    (1, _is_archive, (os.path.join(_STDLIB, "ensurepip"), "/usr/share/doc", "/usr/share/man")),
)
_PARTS = sum(share for share, _, _ in _SHARES)


def load(count: int, *, seed: int = 0, directory: Path | None = None) -> bytes:
    """``count`` whole pages; of this machine's files, or of all below ``directory``.

    Same-filled pages and pages near zero are left out, and no page comes twice while there are
    others: a machine (or directory) that has fewer has them repeated from the first on, which
    ``len(set(...))`` of the pages tells. ``seed`` says in which order they come; the same on one
    machine for one seed, as long as its files are. Raises ValueError for a directory without a
    whole page.
    """
    if count < 0:
        raise ValueError(f"count {count}: accepted is 0 or more")
    found: dict[bytes, None] = {}
    if directory is not None:
        _take(_pages(_files((str(directory),), _is_any)), count, found)
        if count and not found:
            raise ValueError(f"{directory}: no file below it holds a whole page that varies")
    else:
        _take_shares(count, found)
    pages = list(found)
    random.Random(seed).shuffle(pages)
    while len(pages) < count:
        pages += pages[: count - len(pages)]
    return b"".join(pages)


def _take_shares(count: int, found: dict[bytes, None]) -> None:
    """Add ``count`` pages of this machine, or all that it has."""
    shares = 0
    for share, wanted, folders in _SHARES:
        shares += share
        _take(_pages(_files(folders, wanted)), count * shares // _PARTS, found)
        if wanted is _is_archive:
            _take(_compressed(), count * shares // _PARTS, found)
    _take(_pages(_files((_STDLIB, "/usr"), _is_any)), count, found)


def _files(folders: tuple[str, ...], wanted: Callable[[str], bool]) -> Iterator[str]:
    """Regular files, those of a folder before those of folders in it, in the order of names."""
    ahead = list(reversed(folders))
    walked = 0
    while ahead and walked < _FOLDERS_WALKED:
        walked += 1
        inner = []
        try:
            with os.scandir(ahead.pop()) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError:  # not there, or not ours to read
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                inner.append(entry.path)
            elif wanted(entry.name) and entry.is_file(follow_symlinks=False):
                yield entry.path
        ahead += reversed(inner)


def _pages(files: Iterator[str]) -> Iterator[bytes]:
    for path in files:
        try:
            with open(path, "rb") as file:
                yield from _cut(file.read(_PAGES_A_FILE * PAGE_SIZE))
        except OSError:  # not ours to read, or gone
            continue


def _compressed() -> Iterator[bytes]:
    for path in _files((_STDLIB,), _is_source):
        with open(path, "rb") as file:
            yield from _cut(zlib.compress(file.read(16 * _PAGES_A_FILE * PAGE_SIZE)))


def _cut(content: bytes) -> Iterator[bytes]:
    for at in range(0, len(content) - PAGE_SIZE + 1, PAGE_SIZE):
        page = content[at : at + PAGE_SIZE]
        if page.count(0) <= _ZEROS_MOST and page[8:] != page[:-8]:
            yield page


def _take(pages: Iterator[bytes], until: int, found: dict[bytes, None]) -> None:
    """Add pages that are not there until there are so many, or no more come."""
    if len(found) >= until:
        return
    for page in pages:
        found[page] = None
        if len(found) >= until:
            return
