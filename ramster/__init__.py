"""RAMster: a cluster of nodes that lend each other memory for compressed pages.

``Node`` runs a node on an event loop, ``EmbeddedNode`` on a thread of its own; both take a
``NodeConfig``. They are loaded when first used, so that ``import ramster`` stays cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ramster._version import __version__

if TYPE_CHECKING:
    from ramster.config import Mode, NodeConfig
    from ramster.embed import EmbeddedNode
    from ramster.node import Node

__all__ = ["EmbeddedNode", "Mode", "Node", "NodeConfig", "__version__"]

_HOMES = {
    "EmbeddedNode": "ramster.embed",
    "Mode": "ramster.config",
    "Node": "ramster.node",
    "NodeConfig": "ramster.config",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'ramster' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
