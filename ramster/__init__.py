"""RAMster: a cluster of nodes that lend each other memory for compressed pages."""

from ramster._version import __version__

__all__ = ["__version__"]
