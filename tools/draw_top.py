"""Draws the screen of ``ramster top`` as SVG, without a terminal: docs/top.svg is made so.

    .venv/bin/python tools/draw_top.py http://127.0.0.1:7780 docs/top.svg --seconds 30

The nodes are real and run already; the picture is what the live view shows after that time.
"""

from __future__ import annotations

import argparse
import asyncio
import re
from functools import partial
from pathlib import Path

from ramster.top.app import TopApp
from ramster.top.source import fetch_cluster


async def draw(url: str, seconds: float, columns: int, rows: int) -> str:
    """The screen after so many seconds."""
    app = TopApp(partial(fetch_cluster, url), url, 1.0)
    async with app.run_test(size=(columns, rows)) as pilot:
        await pilot.pause(seconds)
        # Without the fonts that Textual would have a browser fetch.
        return re.sub(r"@font-face\s*{.*?}\s*", "", app.export_screenshot(), flags=re.S)


def main() -> None:
    """Draw into the named file."""
    parser = argparse.ArgumentParser(description="draw the screen of ramster top as SVG")
    parser.add_argument("url", help="the node to ask")
    parser.add_argument("file", type=Path, help="where the picture goes")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--columns", type=int, default=110)
    parser.add_argument("--rows", type=int, default=30)
    given = parser.parse_args()
    picture = asyncio.run(draw(given.url, given.seconds, given.columns, given.rows))
    given.file.write_text("\n".join(line.rstrip() for line in picture.splitlines()) + "\n")


if __name__ == "__main__":
    main()
