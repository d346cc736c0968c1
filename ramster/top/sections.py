"""What is read of one node beside rates: its peers, its owners, the accounting line.

Covers: rows from figures that may be missing or make no sense. Does not cover: where they stand in
the picture (``frame.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ramster.top.layout import Cell, show_bytes, show_count, show_seconds, show_span
from ramster.top.reading import mappings, number, text

__all__ = ["accounting_line", "owner_rows", "peer_reasons", "peer_rows"]

_STATE_STYLES = {"alive": "good", "self": "dim", "connecting": "warn", "suspect": "warn"}


def peer_rows(figures: Mapping[str, Any]) -> list[list[Cell]]:
    """Peer, address, state, round trip, room, pages there, heard."""
    rows = []
    for peer in mappings(figures, "peers"):
        state = text(peer, "state")
        shown = "draining" if peer.get("draining") is True and state == "alive" else state
        rows.append(
            [
                Cell(text(peer, "node") or "?"),
                Cell(text(peer, "address")),
                Cell(shown or "?", _STATE_STYLES.get(shown, "bad" if state != "alive" else "warn")),
                Cell(show_seconds(number(peer, "rtt_s"))),
                Cell(show_bytes(number(peer, "room_bytes"))),
                Cell(show_count(number(peer, "pages_away"))),
                Cell(show_span(number(peer, "heard_s"))),
            ]
        )
    return rows


def peer_reasons(figures: Mapping[str, Any]) -> list[str]:
    """Why peers are in no good state."""
    return [
        f"  {text(peer, 'node') or text(peer, 'address') or '?'}: {text(peer, 'reason')}"
        for peer in mappings(figures, "peers")
        if text(peer, "reason") and text(peer, "state") not in ("alive", "self")
    ]


def owner_rows(figures: Mapping[str, Any]) -> list[list[Cell]]:
    """Owner, pages, heard."""
    return [
        [
            Cell(text(owner, "owner") or "?"),
            Cell(show_count(number(owner, "pages"))),
            Cell(show_span(number(owner, "heard_s"))),
        ]
        for owner in mappings(figures, "owners")
    ]


def accounting_line(figures: Mapping[str, Any]) -> str:
    """Where the bytes of this node's pages are, in one line; empty where it does not tell."""
    return text(figures, "accounting", "line")
