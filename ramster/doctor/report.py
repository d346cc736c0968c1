"""Findings as text for people and as JSON.

Covers: grouping by feature, what is short and what is said in full. Does not cover: findings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ramster.doctor.findings import FEATURES, Feature, Finding, Status, lacking

__all__ = ["as_json", "render"]


def as_json(findings: Sequence[Finding], needed: frozenset[Feature]) -> dict[str, Any]:
    """JSON values; ``ok`` is what the exit code says."""
    return {
        "ok": not lacking(findings, needed),
        "needed": sorted(needed),
        "findings": [
            {
                "feature": str(finding.feature),
                "needed": finding.feature in needed,
                "check": finding.check,
                "status": str(finding.status),
                "found": finding.found,
                "fix": finding.fix or None,
            }
            for finding in findings
        ],
    }


def render(findings: Sequence[Finding], needed: frozenset[Feature], *, verbose: bool) -> str:
    """Text for a terminal; what is in order is one line a feature unless ``verbose``."""
    lines: list[str] = []
    for feature, title in FEATURES.items():
        own = [finding for finding in findings if finding.feature is feature]
        if not own:
            continue
        mark = " (needed)" if feature in needed else ""
        shown = own if verbose else [one for one in own if one.status is not Status.OK]
        quiet = [one.check for one in own if one not in shown]
        if not shown:
            lines.append(f"{title}{mark}: ok ({_brief(own)})")
            continue
        lines.append(f"{title}{mark}:")
        for finding in shown:
            lines.append(f"  {finding.status:7}  {finding.check}: {finding.found}")
            if finding.fix:
                lines.append(f"           fix: {finding.fix}")
        if quiet:
            lines.append(f"  ok       {', '.join(quiet)}")
    return "\n".join([*lines, "", _verdict(findings, needed)]) + "\n"


def _brief(findings: Sequence[Finding]) -> str:
    """What a feature in order is said in."""
    if len(findings) == 1:
        return findings[0].found
    return ", ".join(finding.check for finding in findings)


def _verdict(findings: Sequence[Finding], needed: frozenset[Feature]) -> str:
    short = lacking(findings, needed)
    if not short:
        return "Nothing is missing that this configuration needs."
    names = ", ".join(dict.fromkeys(f"{one.feature}: {one.check}" for one in short))
    return f"This configuration needs what is missing here: {names}."
