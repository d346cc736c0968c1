"""Figures that tests of metrics share."""

from __future__ import annotations

import pytest

from ramster.config import NodeConfig
from ramster.embed import EmbeddedNode
from ramster.figures import Figures


@pytest.fixture(scope="session")
def lone_figures() -> Figures:
    """Of a node without peers and block devices."""
    with EmbeddedNode(NodeConfig(name="n", http=None)) as node:
        return node.figures()
