"""The log: events are unique, documented, and never given what a page holds."""

from __future__ import annotations

import ast
import re
import string
from collections import Counter
from typing import NamedTuple

import pytest

from tests.rules.test_imports import ROOT, SOURCES

DOCUMENT = (ROOT / "docs" / "logs.md").read_text()

LEVELS = {"debug", "info", "warning", "error", "critical"}
NOT_FIELDS = {"subject", "cause"}

CONTENTS = {
    *("payload", "page", "blob", "blobs", "data", "buffer", "view", "body", "raw", "contents"),
    *("into", "leftover", "received", "chunk", "memory"),
}
"""Names under which code has bytes of pages at hand."""

PLUMBING = {"ramster.event_log", "ramster.logs"}


class Event(NamedTuple):
    module: str
    line: int
    name: str
    level: str
    sentence: str
    fields: tuple[str, ...]
    open_ended: bool
    """Fields come from a mapping as well."""
    call: ast.Call


def _text(node: ast.expr) -> str:
    assert isinstance(node, ast.Constant), f"line {node.lineno}: a plain text is wanted here"
    assert isinstance(node.value, str)
    return node.value


def _logs(tree: ast.Module) -> set[str]:
    """Names of a module's event logs."""
    return {
        ast.unparse(statement.targets[0])
        for statement in tree.body
        if isinstance(statement, ast.Assign)
        and ast.unparse(statement.value) == "EventLog(__name__)"
    }


def _events_of(module: str, text: str) -> list[Event]:
    tree = ast.parse(text)
    logs = _logs(tree)
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if ast.unparse(node.func.value) not in logs:
            continue
        assert node.func.attr in LEVELS, f"{module}:{node.lineno}: {node.func.attr}"
        keys = [keyword.arg for keyword in node.keywords]
        found.append(
            Event(
                module,
                node.lineno,
                _text(node.args[0]),
                node.func.attr,
                _text(node.args[1]),
                tuple(key for key in keys if key is not None and key not in NOT_FIELDS),
                None in keys,
                node,
            )
        )
    return found


EVENTS = [
    event
    for module, path in SOURCES.items()
    if module.startswith("ramster")
    for event in _events_of(module, path.read_text())
]


def _id(event: Event) -> str:
    return event.name


def _exposes(call: ast.Call) -> set[str]:
    """Names in a call's values that may hold what a page holds; ``len(...)`` shows none of it."""
    hidden = {
        id(inner)
        for node in ast.walk(call)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "len"
        for inner in ast.walk(node)
    }
    named = set()
    for keyword in call.keywords:
        for node in ast.walk(keyword.value):
            if id(node) not in hidden and isinstance(node, ast.Name):
                named.add(node.id)
            elif id(node) not in hidden and isinstance(node, ast.Attribute):
                named.add(node.attr)
    return {name for name in named if name.strip("_") in CONTENTS}


def test_the_log_is_written_through_events_only() -> None:
    assert len(EVENTS) > 30
    for module, path in SOURCES.items():
        if module not in PLUMBING:
            imported = re.findall(r"^\s*(?:import|from) logging\b", path.read_text(), re.M)
            assert not imported, f"{module}: tell events (ramster/event_log.py)"


def test_names_are_unique() -> None:
    twice = [name for name, number in Counter(event.name for event in EVENTS).items() if number > 1]
    assert twice == []
    assert "library" not in {event.name for event in EVENTS}


@pytest.mark.parametrize("event", EVENTS, ids=_id)
def test_an_event_has_a_plain_name_and_a_sentence_of_its_fields(event: Event) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", event.name)
    assert len(event.call.args) == 2
    for _, name, form, conversion in string.Formatter().parse(event.sentence):
        if name is not None:
            assert name in event.fields or name == "fields", f"{{{name}}}"
            assert re.fullmatch(r"(\.[0-9]f|size)?", form or "")
            assert conversion is None
    assert not event.open_ended or "{fields}" in event.sentence


@pytest.mark.parametrize("event", EVENTS, ids=_id)
def test_no_event_is_given_what_a_page_holds(event: Event) -> None:
    assert not _exposes(event.call)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("payload", {"payload"}),
        ("request.payload", {"payload"}),
        ("self._view[4:]", {"_view"}),
        ("f'{blob!r}'", {"blob"}),
        ("len(payload)", set()),
        ("peer.pages", set()),
    ],
)
def test_the_check_for_contents_finds_them(value: str, found: set[str]) -> None:
    source = f"log = EventLog(__name__)\nlog.info('e', 's', what={value})"
    (event,) = _events_of("m", source)
    assert _exposes(event.call) == found


ROWS = re.findall(r"^\| `(\w+)` \| (\w+) \| `([\w.]+)` \| ([^|]+) \| ([^|]+) \|$", DOCUMENT, re.M)


def test_every_event_is_documented_and_no_other() -> None:
    wanted = sorted(
        (
            event.name,
            event.level,
            event.module,
            ", ".join(f"`{field}`" for field in event.fields) or "-",
        )
        for event in EVENTS
    )
    documented = sorted((name, level, module, fields) for name, level, module, fields, _ in ROWS)
    assert documented == wanted


def test_each_meaning_is_said() -> None:
    assert all(meaning.strip() for *_, meaning in ROWS)
