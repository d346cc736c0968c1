"""What a node logs, and how: lines on standard error, one an event.

Covers: the two formats, level, rate limit put in force. Does not cover: what is worth a line (each
module tells its own events, ``event_log.py``; docs/logs.md lists them).

The formatter is our own, some sixty lines over the standard library: a library for it would be one
more package in every installation, and would not know which texts come from peers.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from ramster.event_log import clean_text, show_error, show_fields, without_bytes
from ramster.log_limits import LineLimit

__all__ = ["JsonLines", "RateLimit", "TextLines", "set_up_logging"]

FOREIGN_CHARS_MAX = 1000
"""Longest message of a library."""

FRAMES_MAX = 20
"""Innermost frames of a trace that are shown."""


class _Lines(logging.Formatter):
    """What both formats share: times in UTC, and records of libraries."""

    def __init__(self) -> None:
        super().__init__(datefmt="%Y-%m-%dT%H:%M:%S")
        self.converter = time.gmtime

    def _time(self, record: logging.LogRecord) -> str:
        return f"{self.formatTime(record, self.datefmt)}.{int(record.msecs):03d}Z"

    def _parts(self, record: logging.LogRecord) -> tuple[str, str, dict[str, Any]]:
        """Event, sentence and fields."""
        event = getattr(record, "event", None)
        fields: dict[str, Any] = {}
        if event is None:
            event, sentence = "library", without_bytes(record.getMessage(), FOREIGN_CHARS_MAX)
        else:
            sentence = record.getMessage()
            fields |= getattr(record, "fields", {})
        if record.exc_info and record.exc_info[1] is not None:
            fields.setdefault("error", show_error(record.exc_info[1]))
            fields["trace"] = _trace(record.exc_info[2])
        suppressed = getattr(record, "suppressed", 0)
        if suppressed:
            fields["suppressed"] = suppressed
        return event, sentence, fields


class TextLines(_Lines):
    """``TIME LEVEL MODULE: sentence [event key=value ...]``.

    A sentence that holds all fields already (the ready line) stands without the brackets.
    """

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        event, sentence, fields = self._parts(record)
        line = f"{self._time(record)} {record.levelname} {record.name}: {sentence}"
        if "{fields}" in getattr(record.msg, "template", ""):
            return line
        return f"{line} [{' '.join(filter(None, [event, show_fields(fields)]))}]"


class JsonLines(_Lines):
    """One object a line: time, level, logger, event, node, message, fields."""

    def __init__(self, node: str) -> None:
        super().__init__()
        self._node = node

    def format(self, record: logging.LogRecord) -> str:
        """One line, in ASCII."""
        event, sentence, fields = self._parts(record)
        shown = {
            "time": self._time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": event,
            "node": self._node,
            "message": sentence,
            "fields": fields,
        }
        return json.dumps(shown, allow_nan=False)


def _trace(trace: TracebackType | None) -> str:
    """Where an exception was raised, outermost first, without the text of the sources."""
    places = []
    while trace is not None:
        code = trace.tb_frame.f_code
        file = code.co_filename.rpartition("/")[2]
        places.append(f"{file}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return clean_text(" > ".join(places[-FRAMES_MAX:]), FOREIGN_CHARS_MAX)


class RateLimit(logging.Filter):
    """Leaves lines out, and says with the next one how many; for a handler, any thread."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._limit = LineLimit(now)
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written."""
        event = getattr(record, "event", record.name)
        with self._lock:
            held_back = self._limit.admit(event, getattr(record, "subject", ""))
        if held_back is None:
            return False
        if held_back:
            record.suppressed = held_back
        return True


def set_up_logging(level: str, form: str = "text", node: str = "") -> None:
    """Log ``ramster.*`` and warnings of the libraries to standard error, times in UTC.

    ``form``: "text" or "json"; ``node``: the node's name, for JSON.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(node) if form == "json" else TextLines())
    handler.addFilter(RateLimit())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("ramster").setLevel(level.upper())
    logging.captureWarnings(True)
