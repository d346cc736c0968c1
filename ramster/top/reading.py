"""Reads figures that another node sent: anything may be missing, of another kind, or hostile.

Covers: numbers and texts by their path, texts fit for a terminal. Does not cover: what they mean.

A text is cut down to printable ASCII, one cell a character: no escape sequence, no character of
another width, and columns stay where they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["mappings", "number", "numbers", "safe", "section", "text"]

NUMBER_MAX = 1e24
NUMBERS_MAX = 256
"""Longest list of numbers that is read."""

TEXT_CHARS_MAX = 300


def number(figures: Mapping[str, Any], *path: str) -> float | None:
    """The number at ``path``; None where there is none, or one that makes no sense (below 0)."""
    return _sound(_at(figures, path))


def numbers(figures: Mapping[str, Any], *path: str) -> tuple[float, ...]:
    """The numbers in the list at ``path``; none unless each makes sense."""
    value = _at(figures, path)
    if not isinstance(value, list) or len(value) > NUMBERS_MAX:
        return ()
    found = [sound for item in value if (sound := _sound(item)) is not None]
    return tuple(found) if len(found) == len(value) else ()


def text(figures: Mapping[str, Any], *path: str) -> str:
    """The text at ``path``, fit for a terminal; empty where there is none."""
    value = _at(figures, path)
    return safe(value) if isinstance(value, str) else ""


def section(figures: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    """The object at ``path``; an empty one where there is none."""
    value = _at(figures, path)
    return value if isinstance(value, dict) else {}


def mappings(figures: Mapping[str, Any], *path: str) -> list[Mapping[str, Any]]:
    """The objects in the list at ``path``; none where there is none."""
    value = _at(figures, path)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def safe(value: str) -> str:
    """Printable ASCII; "?" for each other character."""
    cut = value[:TEXT_CHARS_MAX]
    return "".join(char if char.isascii() and char.isprintable() else "?" for char in cut)


def _sound(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= NUMBER_MAX else None  # no NaN passes either


def _at(figures: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        if not isinstance(figures, dict):
            return None
        figures = figures.get(key)
    return figures
