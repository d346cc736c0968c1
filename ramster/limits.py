"""Bounds on what one message between nodes may carry; both sides check them.

Covers: counts of rows. Does not cover: bytes (``transport.MESSAGE_BYTES_MAX``,
``transport.SPILL_PAYLOAD_BYTES_MAX``), knobs (``cluster_config.py``).
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "FETCH_KEYS_MAX",
    "FLUSH_KEYS_MAX",
    "NAME_CHARS_MAX",
    "REPLICAS_MAX",
    "SPILL_PAGES_MAX",
    "SPILL_WINDOW",
]

SPILL_PAGES_MAX: Final = 4096
"""Pages in one spill: 27 bytes of columns each, 108 KiB beside at most 512 KiB of blobs."""

FETCH_KEYS_MAX: Final = 4096
"""Keys in one fetch."""

FLUSH_KEYS_MAX: Final = 65536
"""Keys in one flush: 16 bytes each, 1 MiB."""

NAME_CHARS_MAX: Final = 255
"""Length of a cluster's or node's name."""

SPILL_WINDOW: Final = 1024
"""Batches of one owner that a lender remembers, to refuse one that is delivered twice."""

REPLICAS_MAX: Final = 8
"""Copies of one page at lenders; more would cost more than they save."""
