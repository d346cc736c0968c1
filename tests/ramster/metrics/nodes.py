"""Figures of nodes for tests of metrics."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from ramster.addresses import Address
from ramster.config import Mode, NodeConfig
from ramster.embed import EmbeddedNode
from ramster.figures import Figures
from zcache import PoolKind


def figures_of_everything(folder: Path) -> Figures:
    """Of a node with a peer that does not answer, a block device, a write-back file, pages."""
    config = NodeConfig(
        name="n",
        mode=Mode.RAMSTER,
        listen=Address("127.0.0.1", 0),
        peer=(Address("127.0.0.1", 1),),
        nbd=["tcp://127.0.0.1:0"],  # type: ignore[arg-type]
        export=["disk=1MiB"],  # type: ignore[arg-type]
        writeback=folder / "pages",  # type: ignore[arg-type]
        writeback_limit=2**20,
        http=None,
    )
    with EmbeddedNode(config) as node:
        pool = node.create_pool(PoolKind.PERSISTENT)
        node.put(pool, 1, 0, bytes(range(256)) * 16)
        node.put(pool, 1, 1, bytes(4096))
        node.get(pool, 1, 0)
        node.get(pool, 1, 7)
        return node.figures()


def with_every_leaf(figures: Figures) -> Figures:
    """A copy in which nothing is missing that comes and goes: an owner, a client, an error."""
    full: dict[str, Any] = copy.deepcopy(figures)
    full["peers"][0]["rtt_s"] = 0.001
    full["owners"] = [{"owner": "c", "incarnation": "1", "lease": "1", "pages": 2, "heard_s": 0.5}]
    export = full["nbd"]["exports"][0]
    export["traffic"]["errors"]["EIO"] = 1
    full["nbd"]["connections"] = [
        {
            "peer": "h:1",
            "export": "disk",
            "requests_in_flight": 1,
            "bytes_in_flight": 4096,
            "traffic": copy.deepcopy(export["traffic"]),
        }
    ]
    return full
