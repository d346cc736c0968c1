"""Every workload and every configuration there is.

Covers: gathering them from the modules that define them, looking one up by name or pattern. Does
not cover: what they do.
"""

from __future__ import annotations

from ramster.bench import quick
from ramster.bench.model import Configuration, Workload

__all__ = ["CONFIGURATIONS", "WORKLOADS"]

_MODULES: tuple[tuple[tuple[Workload, ...], tuple[Configuration, ...]], ...] = (
    (quick.WORKLOADS, quick.CONFIGURATIONS),
)
"""A row a module: its workloads and its configurations."""

WORKLOADS = {workload.name: workload for workloads, _ in _MODULES for workload in workloads}
CONFIGURATIONS = {
    configuration.name: configuration
    for _, configurations in _MODULES
    for configuration in configurations
}
