"""Pages of real files, compressible and not, for benchmarks.

Covers: which files, and cutting whole pages from them. Does not cover: data made to a wanted ratio.

The shares are those of ``native/bench``: Python sources, shared objects, programs and text, three
parts each, and one part of files that are compressed already.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from zcache import PAGE_SIZE

__all__ = ["load"]

_SHARES: tuple[tuple[int, str, tuple[str, ...]], ...] = (
    (3, "/usr/lib", (".py",)),
    (3, "/usr/lib", (".so", ".so.1", ".so.2", ".so.6")),
    (3, "/usr/bin", ("",)),
    (3, "/usr/share", (".txt", ".md", ".html", ".xml", ".pl", ".pm", ".h", ".conf")),
    (1, "/usr/share", (".gz", ".xz", ".png", ".zip", ".woff2")),
)
_PAGES_A_FILE = 64
"""So that no file stands for all."""


def load(directory: Path | None, pages: int) -> bytes:
    """Up to ``pages`` whole pages; of this machine's files, or of all below ``directory``."""
    data = bytearray()
    if directory is not None:
        _cut(_files(directory, ("",)), pages * PAGE_SIZE, data)
        return bytes(data)
    shares = 0
    for share, folder, endings in _SHARES:
        shares += share
        _cut(_files(Path(folder), endings), pages * shares // 13 * PAGE_SIZE, data)
    return bytes(data)


def _files(directory: Path, endings: tuple[str, ...]) -> Iterator[Path]:
    for path in sorted(directory.rglob("*")):
        if path.name.endswith(endings) and path.is_file() and not path.is_symlink():
            yield path


def _cut(files: Iterator[Path], until: int, data: bytearray) -> None:
    """Add pages until ``data`` has so many bytes, or there are no more files. Same-filled pages are
    left out."""
    for path in files:
        try:
            content = path.read_bytes()[: _PAGES_A_FILE * PAGE_SIZE]
        except OSError:
            continue
        for at in range(0, len(content) - PAGE_SIZE + 1, PAGE_SIZE):
            if len(data) >= until:
                return
            page = content[at : at + PAGE_SIZE]
            if page[8:] != page[:-8]:
                data += page
