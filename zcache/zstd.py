"""Zstandard frames of one page, by the package ``zstandard``, where it is installed.

Covers: compressing, bounded decompressing, whether this process can do either. Does not cover: when
(``codec.py``), the native backend's own Zstandard.

A frame has its content size in its header, and no checksum: blobs have one of their own. What a
header claims is believed only where it claims one page, and a window of more than a page is not
allocated.
"""

from __future__ import annotations

import threading
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from zcache.page import PAGE_SIZE, Buffer

if TYPE_CHECKING:
    import zstandard
else:
    try:
        import zstandard
    except ImportError:
        zstandard = None

__all__ = ["INSTALLED", "LEVEL", "TO_INSTALL", "compress", "decompress", "is_usable"]

LEVEL: Final = 1
"""Both backends compress with it: of pages of 4 KiB, level 3 makes 2 per cent less and takes a
quarter longer (docs/native.md)."""

INSTALLED: Final[bool] = zstandard is not None
"""Whether the Python backend can use Zstandard."""

TO_INSTALL: Final = "pip install 'ramster[zstd]'"


def is_usable() -> bool:
    """Whether any backend of this installation can use Zstandard: the native one brings its own."""
    return INSTALLED or find_spec("zcache._native") is not None


class _Local(threading.local):
    """A compressor and a decompressor a thread: they must not be shared."""

    def __init__(self) -> None:
        compressor = zstandard.ZstdCompressor(
            LEVEL, write_content_size=True, write_checksum=False, write_dict_id=False
        )
        decompressor = zstandard.ZstdDecompressor(max_window_size=PAGE_SIZE)
        self.compress: Any = compressor.compress
        self.decompress: Any = decompressor.decompress


_local = _Local() if INSTALLED else None


def compress(page: Buffer) -> bytes:
    """One frame."""
    frame: bytes = _local.compress(page)  # type: ignore[union-attr]
    return frame


def decompress(frame: Buffer) -> bytes:
    """The page of one frame and nothing else. Raises ValueError, which says what else it is."""
    try:
        size = zstandard.frame_content_size(frame)
        if size != PAGE_SIZE:
            shown = "an unknown number of" if size < 0 else size
            raise ValueError(f"a frame of {shown} bytes")
        page: bytes = _local.decompress(  # type: ignore[union-attr]
            frame, max_output_size=PAGE_SIZE, allow_extra_data=False
        )
    except zstandard.ZstdError as failure:
        raise ValueError(str(failure)) from failure
    return page
