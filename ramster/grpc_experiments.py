"""Which of gRPC's experiments the peer layer switches, and with which releases that was measured.

Covers: constants, to be read without grpc. Does not cover: setting them (``rpc/options.py``).
"""

from __future__ import annotations

from typing import Final

__all__ = ["EXPERIMENTS", "EXPERIMENTS_GRPCIO", "EXPERIMENTS_VALUE"]

EXPERIMENTS: Final = "GRPC_EXPERIMENTS"
"""The variable that gRPC reads."""
EXPERIMENTS_VALUE: Final = "-event_engine_client,-event_engine_listener"
"""gRPC's older poller answers a fetch of 4 KiB in about half the time of its event engine
(docs/wire.md).
"""
EXPERIMENTS_GRPCIO: Final = ((1, 80), (1, 85))
"""First and last release of grpcio that this was measured with. Experiments come and go with
releases, and gRPC complains on the console about one that it does not know.
"""
