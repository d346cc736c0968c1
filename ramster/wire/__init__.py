"""Code generated from ``proto/``: the messages of the wire. Never edited; see ``proto/generate.py``."""
