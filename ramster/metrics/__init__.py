"""A node's figures under Prometheus names (docs/metrics.md)."""

from ramster.metrics.exposition import METRICS, registry_of

__all__ = ["METRICS", "registry_of"]
