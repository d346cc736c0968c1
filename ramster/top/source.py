"""Asks one node for the figures of its cluster.

Covers: /cluster, or /stats of a node that has no /cluster. Does not cover: HTTP
(``stats_client.py``), what the answers mean (``history.py``).
"""

from __future__ import annotations

from typing import Any

from ramster.stats_client import StatsError, fetch_figures, fetch_json

__all__ = ["fetch_cluster"]

TIMEOUT_S = 5.0


def fetch_cluster(url: str, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
    """``{"asked": NAME, "nodes": [...]}`` as the node at ``url`` sees its cluster.

    A node that has no /cluster answers for itself alone. Raises StatsError.
    """
    try:
        answer = fetch_json(url, "/cluster", timeout_s)
    except StatsError as error:
        if error.status != 404:
            raise
    else:
        if isinstance(answer, dict) and isinstance(answer.get("nodes"), list):
            return answer
        raise StatsError(f"{url}: these are no figures of a cluster")
    figures = fetch_figures(url, timeout_s)
    return {"asked": figures.get("name"), "nodes": [figures]}
