"""The configurations store-*: what the registry says of them."""

from __future__ import annotations

import os

import pytest

from ramster.bench.configurations import CONFIGURATIONS as ALL
from ramster.bench.model import Configuration, Subject
from ramster.bench.store_load import CONFIGURATIONS, thread_counts

each_configuration = pytest.mark.parametrize("one", CONFIGURATIONS, ids=lambda one: one.name)


@each_configuration
def test_a_configuration_is_registered_and_says_what_makes_it_doubtful(one: Configuration) -> None:
    assert ALL[one.name] is one
    assert one.name.startswith("store-")
    assert "\nDoubtful: " in one.text
    assert all(len(line) <= 100 for line in one.text.splitlines())


@each_configuration
def test_zcache_is_measured_beside_nothing(one: Configuration) -> None:
    labels = {
        subject: [(case.workload, case.label) for case in one.cases if case.subject is subject]
        for subject in (Subject.NOTHING, Subject.ZCACHE)
    }
    assert labels[Subject.NOTHING] == labels[Subject.ZCACHE] != []
    assert len(one.cases) == 2 * len(labels[Subject.ZCACHE])


def test_threads_double_up_to_the_cores() -> None:
    assert [thread_counts(cores) for cores in (1, 2, 3, 4, 6, 8)] == [
        (1, 2),
        (1, 2),
        (1, 2, 3),
        (1, 2, 4),
        (1, 2, 4, 6),
        (1, 2, 4, 8),
    ]
    assert thread_counts(len(os.sched_getaffinity(0)))
