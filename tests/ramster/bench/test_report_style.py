"""The style sheet of a report."""

from __future__ import annotations

import re

from ramster.bench.report_style import STYLE


def test_light_and_dark_name_the_same_colours() -> None:
    light, dark = STYLE.split("@media (prefers-color-scheme: dark)", 1)
    dark = dark.split("}\n}", 1)[0]
    assert set(re.findall(r"(--[a-z-]+):", light)) == set(re.findall(r"(--[a-z-]+):", dark))
    used = set(re.findall(r"var\((--[a-z-]+)\)", STYLE))
    assert used <= set(re.findall(r"(--[a-z-]+):", light))


def test_it_fetches_nothing_and_closes_what_it_opens() -> None:
    assert "url(" not in STYLE
    assert "@import" not in STYLE
    assert STYLE.count("{") == STYLE.count("}")
