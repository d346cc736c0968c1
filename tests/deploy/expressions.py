"""Names in PromQL expressions: do they exist?

Covers: metrics, recording rules and labels in selectors. Does not cover: syntax (promtool).
"""

from __future__ import annotations

import re
from pathlib import Path

from ramster.metrics import METRICS

__all__ = ["RECORDED", "check_names", "expressions_of_rules"]

FOLDER = Path(__file__).parents[2] / "deploy" / "prometheus"
RECORDED = set(re.findall(r"- record: (\S+)$", (FOLDER / "recording.yml").read_text(), re.M))

_SCRAPED = {name: {*row.labels} for row in METRICS for name in row.scraped_names}
_OTHERS = {
    "up": set(),
    "ALERTS": {"alertname", "alertstate", "severity"},
    "process_resident_memory_bytes": set(),
    "process_start_time_seconds": set(),
}
"""Of Prometheus itself, and of the client library."""
_WORDS = {
    *("sum", "max", "min", "count", "by", "on", "without", "unless", "or", "and", "vector", "le"),
    *("rate", "increase", "changes", "clamp_min", "histogram_quantile"),
}
_OF_TARGETS = {"job", "instance"}


def expressions_of_rules(text: str) -> list[str]:
    """The expressions of a file of rules, in one line each."""
    found = re.findall(r"^( +)expr: *(.*(?:\n\1 +.*)*)$", text, re.M)
    return [" ".join(body.removeprefix(">").split()) for _, body in found]


def check_names(expression: str) -> None:
    """Raise AssertionError for a metric or a label that nothing gives."""
    without_grouping = re.sub(r"\b(?:by|on|without) ?\([^)]*\)", "", expression)
    bare = re.sub(r"\[[^\]]*\]|\{[^}]*\}", "", without_grouping)
    named = set(re.findall(r"[a-zA-Z_][\w:]*", bare)) - _WORDS
    known = _SCRAPED.keys() | _OTHERS.keys() | RECORDED
    assert named, f"no metric in {expression}"
    assert named <= known, f"{named - known} in {expression}"
    for name, selector in re.findall(r"([a-zA-Z_][\w:]*)\{([^}]*)\}", expression):
        labels = set(re.findall(r"(\w+) *(?:=~|!~|!=|=)", selector))
        allowed = _labels_of(name) | _OF_TARGETS
        assert labels <= allowed, f"{name} has no {labels - allowed}: {expression}"
    grouped = re.findall(r"\bby ?\(([^)]*)\)", expression)
    allowed = set().union(*map(_labels_of, named)) | _OF_TARGETS
    for group in grouped:
        labels = {label.strip() for label in group.split(",")}
        assert labels <= allowed, f"nothing has {labels - allowed}: {expression}"


def _labels_of(name: str) -> set[str]:
    if name in _SCRAPED:
        return _SCRAPED[name] | ({"le"} if name.endswith("_bucket") else set())
    if name in RECORDED:
        return set(name.partition(":")[0].split("_"))
    return _OTHERS[name]
