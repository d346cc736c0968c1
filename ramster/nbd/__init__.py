"""NBD: block devices over a page store, for the kernel, QEMU and every other NBD client.

Covers: the server (``server.NbdServer``, ``export.Export``, ``limits.NbdLimits``) and a small
client (``client.NbdClient``). Read next: ``server.py``, then ``connection.py`` for how requests
travel, ``device.py`` for what they do to pages; ``docs/nbd.md`` for users.
"""
