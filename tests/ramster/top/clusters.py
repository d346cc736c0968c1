"""Answers of made-up clusters, for tests of what shows them.

Covers: sound ones and hostile ones. Does not cover: real nodes (``tests/support/three_nodes.py``).
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

__all__ = ["HOSTILE", "answer_of", "answers", "figures_of", "silent"]

HOSTILE = "\x1b[2J\x1b]0;x\x07[bold red]b\nc\u202e\u5bbd[/]" + "x" * 400


def figures_of(name: str, **changes: Any) -> dict[str, Any]:
    """Figures as /stats gives them, as far as they are shown; ``changes`` by section."""
    figures: dict[str, Any] = {
        "name": name,
        "mode": "ramster",
        "state": "serving",
        "backend": "native",
        "uptime_s": 75.0,
        "pool": {"limit_bytes": 2**20, "used_bytes": 2**19, "high_watermark": 0.9},
        "pages": {
            "own": 1500,
            "local": 1000,
            "same_filled": 100,
            "in_transit": 0,
            "away": 400,
            "unreachable": 0,
            "lost": 0,
            "under_replicated": 0,
            "foreign": 7,
        },
        "cache": {
            "puts": 0,
            "gets": 0,
            "get_hits": 0,
            "gets_away": 0,
            "get_misses": 0,
            "bytes_foreign_slots": 4096,
        },
        "cluster": {"spill_pages": 0, "spill_bytes": 0, "pages_fetched": 0},
        "peers": [
            {
                "node": "b",
                "address": "10.0.0.2:7777",
                "state": "alive",
                "reason": "answers",
                "room_bytes": 2**20,
                "pages_away": 400,
                "heard_s": 0.5,
                "rtt_s": 0.0012,
                "draining": False,
            }
        ],
        "owners": [{"owner": "c", "pages": 7, "heard_s": 1.0}],
    }
    for key, value in changes.items():
        figures[key] = figures[key] | value if isinstance(value, dict) else value
    return figures


def silent(name: str, reason: str = "no answer") -> dict[str, Any]:
    """What stands for a node that does not answer."""
    return {"name": name, "address": "10.0.0.9:7777", "state": "dead", "reason": reason}


def answer_of(*nodes: dict[str, Any], asked: str = "a") -> dict[str, Any]:
    """What /cluster gives."""
    return {"asked": asked, "nodes": list(nodes)}


_ODD = st.sampled_from([None, True, "3", -1, float("nan"), 1e300, [], {}, HOSTILE])


@st.composite
def answers(draw: st.DrawFn) -> dict[str, Any]:
    """Answers of clusters in which anything may be wrong."""
    nodes: list[Any] = []
    for _ in range(draw(st.integers(0, 4))):
        name = draw(st.sampled_from(["a", "b", "c", HOSTILE]))
        if draw(st.integers(0, 4)) == 0:
            nodes.append(draw(st.sampled_from([silent(name, HOSTILE), {}, None, "x", 3])))
            continue
        counts = st.integers(0, 10**9) | _ODD
        node = figures_of(
            name,
            cache={key: draw(counts) for key in ("puts", "gets", "get_hits", "get_misses")},
            cluster={key: draw(counts) for key in ("spill_pages", "spill_bytes", "pages_fetched")},
            pages={key: draw(counts) for key in ("own", "away", "lost")},
        )
        for key in draw(st.lists(st.sampled_from(sorted(node)), max_size=3)):
            node[key] = draw(_ODD)
        if draw(st.booleans()):
            node["peers"] = [{"node": HOSTILE, "address": HOSTILE, "state": HOSTILE}, HOSTILE]
        nodes.append(node)
    return {"asked": draw(st.sampled_from(["a", HOSTILE, None])), "nodes": nodes}
