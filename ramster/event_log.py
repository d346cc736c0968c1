"""Events for the log: a stable name, a sentence for people, and fields for programs.

Covers: how a module tells an event, what values may stand in a line. Does not cover: formats and
level (``logs.py``), how many lines an event may take (``log_limits.py``), which events there are
(docs/logs.md, held to the calls by tests/rules/test_logs.py).

An event is an ordinary record of ``logging``, with the attributes ``event``, ``fields`` and
``subject`` added, so that a program that embeds a node may handle it as any other.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any, Final

from ramster.quantities import show_size

__all__ = ["EventLog", "clean", "clean_text", "show_error", "show_fields", "without_bytes"]

TEXT_CHARS_MAX: Final = 300
"""Longest text of one value; the rest is cut. Reasons and names come from peers."""

_BYTES_LITERAL: Final = re.compile(
    r"""(?<!\w)(?:
        (?<!')b'(?:\\.|[^'\\])*(?:'|\\?$)
        |(?<!")b"(?:\\.|[^"\\])*(?:"|\\?$)
        |b\\+(['"]).*?(?:(?<!\\)\\+\1|$)
    )""",
    re.S | re.X,
)
"""Bytes as Python shows them, whole or cut short, also within a text that is quoted and escaped in
turn: they may be a page's. After a quote of its own kind stands a name: 'b' begins no bytes."""

_BARE: Final = re.compile(r"[^\s\"=\[\]]+")
"""Text that needs no quotes as the value of key=value."""


class EventLog:
    """The events of one module.

    Each method takes the event's name, a sentence, and fields. ``{name}`` in the sentence stands
    for the field of that name and ``{fields}`` for all of them as key=value. ``subject``: what the
    rate limit goes by beside the name, usually the peer or the client. ``cause``: an unexpected
    exception; its text and where it was raised go with the event.
    """

    def __init__(self, module: str) -> None:
        self._logger = logging.getLogger(module)

    def debug(self, event: str, sentence: str, /, *, subject: str = "", **fields: Any) -> None:
        """For people who look for a fault in the program."""
        self._tell(logging.DEBUG, event, sentence, subject, fields)

    def info(self, event: str, sentence: str, /, *, subject: str = "", **fields: Any) -> None:
        """The course of things."""
        self._tell(logging.INFO, event, sentence, subject, fields)

    def warning(self, event: str, sentence: str, /, *, subject: str = "", **fields: Any) -> None:
        """Something that an operator should look at in time."""
        self._tell(logging.WARNING, event, sentence, subject, fields)

    def error(
        self,
        event: str,
        sentence: str,
        /,
        *,
        subject: str = "",
        cause: BaseException | None = None,
        **fields: Any,
    ) -> None:
        """Data or a part of the service is lost, or this program has a bug."""
        self._tell(logging.ERROR, event, sentence, subject, fields, cause)

    def critical(
        self, event: str, sentence: str, /, *, cause: BaseException | None = None, **fields: Any
    ) -> None:
        """The node ends because of this."""
        self._tell(logging.CRITICAL, event, sentence, "", fields, cause)

    def _tell(
        self,
        level: int,
        event: str,
        sentence: str,
        subject: str,
        fields: Mapping[str, Any],
        cause: BaseException | None = None,
    ) -> None:
        if not self._logger.isEnabledFor(level):
            return
        shown = {key: clean(value) for key, value in fields.items()}
        if cause is not None:
            shown["error"] = show_error(cause)
        extra = {"event": event, "fields": shown, "subject": clean(subject)}
        self._logger.log(
            level, _Sentence(sentence, shown), exc_info=cause, extra=extra, stacklevel=3
        )


class _Sentence:
    """A sentence whose fields are put in when it is read."""

    __slots__ = ("_fields", "template")

    def __init__(self, template: str, fields: Mapping[str, Any]) -> None:
        self.template = template
        self._fields = fields

    def __str__(self) -> str:
        if "{fields}" in self.template:
            return self.template.replace("{fields}", show_fields(self._fields))
        texts = {key: _Part(value) for key, value in self._fields.items()}
        return self.template.format_map(texts)


class _Part:
    """A value in a sentence; a number takes its format, or ``size``; nothing shows as "?"."""

    __slots__ = ("_value",)

    def __init__(self, value: Any) -> None:
        self._value = value

    def __format__(self, spec: str) -> str:
        if self._value is None or self._value == "":
            return "?"
        if isinstance(self._value, list):
            return ", ".join(map(str, self._value)) or "none"
        if not isinstance(self._value, int | float):
            return str(self._value)
        return show_size(self._value) if spec == "size" else format(self._value, spec)


def clean(value: Any) -> Any:
    """A value that fits one line: numbers and None as they are, lists of such, all else as text.

    Characters that are not printable are shown as Python escapes, bytes as their number alone.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return round(value, 6) if value - value == 0 else str(value)  # no JSON has inf or nan
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{memoryview(value).nbytes} bytes>"
    if isinstance(value, list | tuple):
        return [clean(item) for item in value]
    return show_error(value) if isinstance(value, BaseException) else clean_text(str(value))


def clean_text(text: str, chars_max: int = TEXT_CHARS_MAX) -> str:
    """Text of one line; at most ``chars_max`` characters and an ellipsis."""
    cut = text[: chars_max + 1]
    if not cut.isprintable():
        cut = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in cut)
    return cut if len(text) <= chars_max and len(cut) <= chars_max else f"{cut[:chars_max]}..."


def without_bytes(text: str, chars_max: int = TEXT_CHARS_MAX) -> str:
    """Text of one line, without the contents of bytes that somebody put into a message."""
    cut = text[: 4 * chars_max]  # what is long is not searched
    return clean_text(_BYTES_LITERAL.sub("<bytes>", cut), chars_max)


def show_error(error: BaseException) -> str:
    """An exception in one line: kind, text without bytes, and what it came from."""
    said = without_bytes(f"{type(error).__name__}: {error}".removesuffix(": "))
    cause = error.__cause__
    return said if cause is None else f"{said} (from {type(cause).__name__})"


def show_fields(fields: Mapping[str, Any]) -> str:
    """Fields as key=value, a list as its key again and again; texts with spaces in quotes."""
    return " ".join(
        f"{key}={_show_value(item)}"
        for key, value in fields.items()
        for item in (value if isinstance(value, list) else [value])
    )


def _show_value(value: Any) -> str:
    if value is None:
        return "-"
    text = ("yes" if value else "no") if isinstance(value, bool) else str(value)
    if _BARE.fullmatch(text):
        return text
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}"'
