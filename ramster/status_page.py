"""The status page's files: what a browser gets at ``/`` and below ``/page/``.

Covers: which files there are, their types, what a browser may do with them. Does not cover: HTTP
(``stats_server.py``), what the page shows (``page/page.js``, by ``/cluster`` and ``/history``).

Files are read from the package when they are first asked for, and kept. The page loads nothing from
elsewhere, and the browser is told to refuse it.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Final, NamedTuple

__all__ = ["PAGE_PATHS", "PageFile", "page_file"]

_TYPES: Final = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}

PAGE_PATHS: Final = {
    "/": "index.html",
    "/page/style.css": "style.css",
    "/page/page.js": "page.js",
    "/page/draw.js": "draw.js",
    "/page/nodes.js": "nodes.js",
    "/page/rates.js": "rates.js",
    "/page/words.js": "words.js",
    "/page/icon.svg": "icon.svg",
}
"""Path -> file; nothing else is served."""

_HEADERS: Final = (
    "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Referrer-Policy: no-referrer",
    "X-Content-Type-Options: nosniff",
)


class PageFile(NamedTuple):
    """One answer."""

    body: bytes
    content_type: str
    headers: tuple[str, ...] = _HEADERS


def page_file(path: str) -> PageFile | None:
    """The file at a path; None where the page has none."""
    name = PAGE_PATHS.get(path)
    return None if name is None else _read(name)


@cache
def _read(name: str) -> PageFile:
    body = files("ramster").joinpath("page", name).read_bytes()
    return PageFile(body, _TYPES[name.rpartition(".")[2]])
