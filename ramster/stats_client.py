"""Asks a running node for its figures.

Covers: one HTTP request, errors in a sentence. Does not cover: what they mean (``figures.py``).
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Any

from ramster.addresses import STATS_PORT, parse_address
from ramster.errors import RamsterError
from ramster.figures import Figures

__all__ = ["StatsError", "fetch_figures", "fetch_json"]

_BYTES_MAX = 64 * 2**20


class StatsError(RamsterError):
    """A node's figures cannot be had; the text says from where and why.

    ``status``: of the HTTP answer, where there was one.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


def fetch_figures(url: str, timeout_s: float = 5.0) -> Figures:
    """The figures of the node whose HTTP address is ``url`` (with or without http:// and /stats).

    Raises StatsError. No proxy is asked, whatever the environment says: nodes are near.
    """
    figures = fetch_json(url, "/stats", timeout_s)
    if not isinstance(figures, dict) or "pages" not in figures:
        raise StatsError(f"{_base(url)}/stats: these are no figures of a node")
    return figures


def fetch_json(url: str, path: str, timeout_s: float = 5.0) -> Any:
    """The JSON at a path ("/stats") of the node whose HTTP address is ``url``. As above."""
    target = f"{_base(url)}{path}"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(target, timeout=timeout_s) as answer:
            return json.loads(answer.read(_BYTES_MAX))
    except urllib.error.HTTPError as error:
        with error:
            raise StatsError(f"{target}: {error.code} {error.reason}", error.code) from error
    except urllib.error.URLError as error:
        reason = getattr(error.reason, "strerror", None) or error.reason
        raise StatsError(f"no node answers at {target}: {reason}") from error
    except (OSError, ValueError, RecursionError, HTTPException) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        # What answers may be no HTTP server, and its bytes no text for a terminal.
        reason = "".join(char if char.isprintable() else "?" for char in reason)[:200]
        raise StatsError(f"{target}: no figures of a node: {reason}") from error


def _base(url: str) -> str:
    scheme, separator, rest = url.rstrip("/").removesuffix("/stats").partition("://")
    if separator and scheme in ("http", "https") and rest:
        return f"{scheme}://{rest}"
    try:
        if separator:
            raise ValueError(url)
        return f"http://{parse_address(scheme, STATS_PORT)}"
    except ValueError:
        raise StatsError(f"{url}: accepted is http://HOST:PORT, or HOST:PORT") from None
