"""peers-kv, small, for every rival that is installed."""

from __future__ import annotations

import sys

import pytest

from ramster.bench.children import scratch_folder
from ramster.bench.model import Case, Subject
from ramster.bench.peers_kv import WORKLOADS
from tests.support.bench_context import measured_apart
from tests.support.bench_runs import cases, first, run
from tests.support.rival_programs import need_for


@pytest.mark.nbd_clients
@pytest.mark.parametrize("case", cases("peers-kv"), ids=lambda case: case.subject)
def test_it_is_measured(case: Case) -> None:
    need_for(case.subject)
    with scratch_folder() as scratch:
        samples = run(case, scratch)
    assert first(samples, "get_pages_s") > 0


def test_pages_as_they_are_take_their_size_and_what_python_adds() -> None:
    with scratch_folder() as scratch:
        (held,) = measured_apart(WORKLOADS[0], Subject.NOTHING, scratch, 0.25)["held_bytes_page"]
    assert held > sys.getsizeof(bytes(4096))


@pytest.mark.nbd_clients
def test_a_server_that_keeps_pages_as_they_are_holds_more_than_them() -> None:
    need_for(Subject.REDIS)
    (case,) = (one for one in cases("peers-kv") if one.subject is Subject.REDIS)
    with scratch_folder() as scratch:
        assert first(run(case, scratch), "held_bytes_page") > 4096
