"""The constants hang together, and are read without grpc."""

from __future__ import annotations

from ramster.grpc_experiments import EXPERIMENTS, EXPERIMENTS_GRPCIO, EXPERIMENTS_VALUE
from tests.rules.test_imports import loaded_by


def test_they_are_a_variable_switches_and_a_range_of_releases() -> None:
    assert EXPERIMENTS.startswith("GRPC_")
    assert all(switch.startswith("-") for switch in EXPERIMENTS_VALUE.split(","))
    first, last = EXPERIMENTS_GRPCIO
    assert first <= last


def test_reading_them_loads_no_grpc() -> None:
    assert "grpc" not in loaded_by("import ramster.grpc_experiments")
