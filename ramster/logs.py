"""What a node logs, and how: lines on standard error.

Covers: format and level. Does not cover: what is worth a line (each module logs under its own
name).
"""

from __future__ import annotations

import logging
import sys
import time

__all__ = ["set_up_logging"]


def set_up_logging(level: str) -> None:
    """Log ``ramster.*`` and warnings of the libraries to standard error, times in UTC."""
    handler = logging.StreamHandler(sys.stderr)
    formatter = logging.Formatter(
        "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S"
    )
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("ramster").setLevel(level.upper())
    logging.captureWarnings(True)
