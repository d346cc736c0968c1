"""Every workload and every configuration there is.

Covers: gathering them from the modules that define them, looking one up by name or pattern. Does
not cover: what they do.
"""

from __future__ import annotations

from ramster.bench import (
    cache_doublemem,
    cluster_fetch,
    cluster_peerloss,
    cluster_scale,
    cluster_spill,
    cluster_zipf,
    parallelio,
    peers_block,
    peers_kv,
    peers_remote,
    peers_zram,
    quick,
    store_load,
    swap_stutterp,
    swap_usemem,
)
from ramster.bench.model import Configuration, Workload

__all__ = ["CONFIGURATIONS", "WORKLOADS"]

_MODULES: tuple[tuple[tuple[Workload, ...], tuple[Configuration, ...]], ...] = (
    (quick.WORKLOADS, quick.CONFIGURATIONS),
    (store_load.WORKLOADS, store_load.CONFIGURATIONS),
    (swap_usemem.WORKLOADS, swap_usemem.CONFIGURATIONS),
    (swap_stutterp.WORKLOADS, swap_stutterp.CONFIGURATIONS),
    (cache_doublemem.WORKLOADS, cache_doublemem.CONFIGURATIONS),
    (parallelio.WORKLOADS, parallelio.CONFIGURATIONS),
    (cluster_spill.WORKLOADS, cluster_spill.CONFIGURATIONS),
    (cluster_fetch.WORKLOADS, cluster_fetch.CONFIGURATIONS),
    (cluster_zipf.WORKLOADS, cluster_zipf.CONFIGURATIONS),
    (cluster_scale.WORKLOADS, cluster_scale.CONFIGURATIONS),
    (cluster_peerloss.WORKLOADS, cluster_peerloss.CONFIGURATIONS),
    (peers_block.WORKLOADS, peers_block.CONFIGURATIONS),
    (peers_kv.WORKLOADS, peers_kv.CONFIGURATIONS),
    (peers_remote.WORKLOADS, peers_remote.CONFIGURATIONS),
    (peers_zram.WORKLOADS, peers_zram.CONFIGURATIONS),
)
"""A row a module: its workloads and its configurations."""

WORKLOADS = {workload.name: workload for workloads, _ in _MODULES for workload in workloads}
CONFIGURATIONS = {
    configuration.name: configuration
    for _, configurations in _MODULES
    for configuration in configurations
}
