"""NBD: block devices over a page store, for the kernel, QEMU and every other NBD client.

>>> from ramster.nbd import Export, NbdServer

Covers: the server and a small client. Read next: ``server.py``, then ``connection.py`` for how
requests travel, ``device.py`` for what they do to pages; ``docs/nbd.md`` for users.
"""

from ramster.nbd.counters import ConnectionFigures, ExportFigures, NbdSnapshot, TrafficFigures
from ramster.nbd.export import Export
from ramster.nbd.limits import NbdLimits
from ramster.nbd.listener import nbd_uri
from ramster.nbd.server import NbdServer

__all__ = [
    "ConnectionFigures",
    "Export",
    "ExportFigures",
    "NbdLimits",
    "NbdServer",
    "NbdSnapshot",
    "TrafficFigures",
    "nbd_uri",
]
