"""Clients of other stores: how a missing one is told. What they do: test_key_value_stores.py."""

from __future__ import annotations

import pytest

from ramster.bench.key_value_clients import load_client
from ramster.bench.model import WorkloadUnavailable


def test_a_missing_client_is_named_with_the_extra_that_has_it() -> None:
    with pytest.raises(WorkloadUnavailable, match=r"nonesuch cannot be loaded .*bench-peers"):
        load_client("nonesuch")
