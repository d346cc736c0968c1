"""Two caches that get the same calls.

Covers: one call for both, and the comparison of answers, errors, buffers, figures and sums.
Does not cover: which calls (``operations.py``).
"""

from __future__ import annotations

import reprlib
from array import array
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, fields, is_dataclass
from typing import Any

from zcache import AwayPage, CacheConfig, CacheContract, PackedBlobs, SpillTicket

__all__ = ["Buffers", "Pair", "Twins"]

UNCOMPARED = ("metadata_bytes", "frames_kept")
"""Figures that are each implementation's own."""


class Pair:
    """A value of each cache's own, given back to each: a ticket."""

    def __init__(self, first: Any, second: Any) -> None:
        self.first = first
        self.second = second

    def swapped(self) -> Pair:
        """Each gets the other's."""
        return Pair(self.second, self.first)


class Buffers(Pair):
    """A buffer for each, with the same content; compared after the call."""

    def __init__(self, size: int, *, as_view: bool = False) -> None:
        super().__init__(bytearray(b"\xee" * size), bytearray(b"\xee" * size))
        if as_view:
            self.first, self.second = memoryview(self.first), memoryview(self.second)


def plain(value: Any) -> Any:
    """A value that can be compared and shown, types included where they are promised."""
    if isinstance(value, array):
        return "array", value.typecode, value.tolist()
    if isinstance(value, AwayPage):
        return "AwayPage", *(plain(part) for part in value)
    if isinstance(value, PackedBlobs):
        columns = (value.keys, value.generations, value.lengths, value.encodings, value.checksums)
        return "PackedBlobs", *map(plain, columns), bytes(value.payload)
    if is_dataclass(value) and not isinstance(value, type):
        name = type(value).__name__
        return name, *(plain(getattr(value, field.name)) for field in fields(value))
    if isinstance(value, list | tuple):
        return type(value).__name__, *(plain(part) for part in value)
    if isinstance(value, bytearray | bytes):
        return type(value).__name__, bytes(value)
    if isinstance(value, memoryview):
        return "memoryview", value.tobytes()
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    return type(value).__name__, value


class Twins:
    """A cache of each implementation, of one configuration."""

    def __init__(
        self,
        first: Callable[[CacheConfig], CacheContract],
        second: Callable[[CacheConfig], CacheContract],
        config: CacheConfig,
    ) -> None:
        self.first = first(config)
        self.second = second(config)
        self.calls: deque[str] = deque(maxlen=50)
        """The last calls, for whoever looks into a failure."""

    def call(self, operation: str, /, *arguments: Any, **named: Any) -> Any:
        """Call both, compare, and give the answer back: a ticket as a Pair, for an error None."""
        firsts, seconds = (
            self._ask(cache, operation, *_side(arguments, named, side))
            for cache, side in ((self.first, "first"), (self.second, "second"))
        )
        shown = _show(operation, arguments, named)
        self.calls.append(shown)
        assert _comparable(firsts) == _comparable(seconds), shown
        for value in (*arguments, *named.values()):
            if isinstance(value, Buffers):
                assert bytes(value.first) == bytes(value.second), f"buffer of {shown}"
        if isinstance(firsts, Exception):
            return None
        if isinstance(firsts, SpillTicket):
            return Pair(firsts, seconds)
        return firsts

    @staticmethod
    def _ask(
        cache: CacheContract, operation: str, arguments: list[Any], named: dict[str, Any]
    ) -> Any:
        try:
            return getattr(cache, operation)(*arguments, **named)
        except Exception as error:  # noqa: BLE001 - errors are answers here, and compared
            return error

    def compare_figures(self) -> None:
        """Every figure but those that are each one's own, and the configuration."""
        first, second = asdict(self.first.stats()), asdict(self.second.stats())
        for name in UNCOMPARED:
            assert first.pop(name) >= 0
            assert second.pop(name) >= 0
        assert first == second
        assert self.first.class_stats() == self.second.class_stats()
        assert self.first.config == self.second.config

    def verify(self) -> None:
        """Each cache's own sums."""
        self.first.verify()
        self.second.verify()


def _show(operation: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> str:
    words = [reprlib.repr(value) for value in arguments]
    return f"{operation}({', '.join(words + [f'{key}={named[key]!r}' for key in named])})"


def _side(
    arguments: tuple[Any, ...], named: dict[str, Any], side: str
) -> tuple[list[Any], dict[str, Any]]:
    def own(value: Any) -> Any:
        return getattr(value, side) if isinstance(value, Pair) else value

    return [own(value) for value in arguments], {key: own(value) for key, value in named.items()}


def _comparable(answer: Any) -> Any:
    if isinstance(answer, Exception):
        return "raised", type(answer), str(answer), plain(vars(answer))
    return plain(answer)
