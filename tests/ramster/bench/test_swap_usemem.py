"""The workload on real targets, tiny."""

from __future__ import annotations

from pathlib import Path

import pytest

from ramster.bench.model import Context, Subject
from ramster.bench.swap_usemem import CONFIGURATIONS, WORKLOADS

(USEMEM,) = WORKLOADS

ON = [("api", s) for s in ("nothing", "zcache", "ramster-alone", "ramster")]
ON += [("nbd", s) for s in ("nothing", "ramster")]


@pytest.mark.parametrize(("way", "subject"), ON)
def test_each_subject_holds_what_its_memory_allows(way: str, subject: str, tmp_path: Path) -> None:
    parameters = {"way": way, "times": 2.5, "workers": 2, "loops": 2}
    context = Context(Subject(subject), parameters, 0.02, 1, tmp_path)
    samples = USEMEM.run(context)
    assert samples.keys() == {figure.name for figure in USEMEM.figures}
    refused, spilled = samples["refused_pages"], samples["spilled_pages"]
    if subject == "nothing":
        # Of 2.5 budgets one fits, and the other pages are refused in every loop.
        assert refused == pytest.approx(2 * 1.5 * 2048, rel=0.2)
    elif subject == "ramster":
        assert refused == 0
    else:
        assert isinstance(refused, int)
        assert refused < 2048
    assert (spilled != 0) == (subject == "ramster")


def test_cases_differ_only_in_their_subject_where_they_are_compared() -> None:
    (configuration,) = CONFIGURATIONS
    by_label: dict[str, set[Subject]] = {}
    for case in configuration.cases:
        by_label.setdefault(case.label, set()).add(case.subject)
    assert len(by_label) == 6
    assert all(len(subjects) == 4 for subjects in by_label.values())
