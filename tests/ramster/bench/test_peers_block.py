"""peers-block, small, for every rival that is installed."""

from __future__ import annotations

import pytest

from ramster.bench.block_rivals import RIVALS
from ramster.bench.children import scratch_folder
from ramster.bench.model import Case, Subject
from tests.support.bench_runs import cases, first, run
from tests.support.rival_programs import need, need_for

OWN = [case for case in cases("peers-block") if case.parameters["client"] == "own"]


@pytest.mark.nbd_clients
@pytest.mark.parametrize("case", OWN, ids=lambda case: case.subject)
def test_the_own_client_measures_it(case: Case) -> None:
    need_for(case.subject)
    _measure(case)


@pytest.mark.nbd_clients
def test_fio_measures_nbdkit() -> None:
    """Every rival with fio: test_configurations.py."""
    need_for(Subject.NBDKIT)
    need("fio")
    _measure(Case("peers-block", Subject.NBDKIT, {"client": "fio"}))


def _measure(case: Case) -> None:
    with scratch_folder() as scratch:
        samples = run(case, scratch)
    assert 0 < first(samples, "held_bytes_page") * 512 < first(samples, "held_bytes")


def test_each_client_measures_each_rival() -> None:
    for client in ("fio", "own"):
        found = [c.subject for c in cases("peers-block") if c.parameters["client"] == client]
        assert tuple(found) == RIVALS
