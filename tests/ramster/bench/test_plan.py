"""What a run measures, and in which order."""

from __future__ import annotations

from itertools import pairwise

import pytest

from ramster.bench.model import Case, Configuration, Subject
from ramster.bench.plan import choose, narrow, order
from ramster.errors import BenchError


def made(name: str, *cases: Case, rounds: int = 3) -> Configuration:
    return Configuration(name, "summary", "text", cases, rounds, scale=0.5)


MIX = made(
    "store-mix",
    *(
        Case("mix", subject, {"threads": threads})
        for threads in (1, 2)
        for subject in (Subject.NOTHING, Subject.ZCACHE)
    ),
)
KNOWN = {
    one.name: one
    for one in (
        MIX,
        made("store-threads", Case("threads", Subject.ZCACHE)),
        made("quick", Case("mix", Subject.ALONE), rounds=2),
    )
}


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["quick"], ["quick"]),
        (["quick", "store-mix", "quick"], ["store-mix", "quick"]),
        (["store-*"], ["store-mix", "store-threads"]),
        (["all"], list(KNOWN)),
    ],
)
def test_configurations_are_chosen_by_name_and_pattern(words: list[str], names: list[str]) -> None:
    assert [one.name for one in choose(words, KNOWN)] == names


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("stor-mix", "no such configuration; did you mean store-mix?"),
        ("cluster-*", r"cluster-\*: no such configuration \(there are store-mix, store-threads"),
    ],
)
def test_a_word_that_means_nothing_is_refused(word: str, said: str) -> None:
    with pytest.raises(BenchError, match=said):
        choose(["quick", word], KNOWN)


def test_subjects_rounds_and_scale_are_narrowed() -> None:
    (one,) = narrow(list(KNOWN.values()), ["nothing"], 9, 0.1)
    assert one.name == "store-mix"
    assert {case.subject for case in one.cases} == {Subject.NOTHING}
    assert (one.rounds, one.scale) == (9, 0.05)
    assert narrow(list(KNOWN.values())) == list(KNOWN.values())


def test_subjects_that_there_are_not_are_refused() -> None:
    with pytest.raises(BenchError, match="'rediss': accepted is one of: nothing, zcache"):
        narrow([MIX], ["rediss"])
    with pytest.raises(BenchError, match=r"they have nothing, zcache$"):
        narrow([MIX], ["redis"])


def test_each_round_measures_every_case_once_a_variant() -> None:
    steps = order(list(KNOWN.values()), ["a", "b"], seed=5)
    for number in (1, 2, 3):
        rows = [(s.configuration.name, s.case.key, s.variant) for s in steps if s.round == number]
        cases = [
            (one.name, case.key, variant)
            for one in KNOWN.values()
            for case in one.cases
            for variant in ("a", "b")
            if one.rounds >= number
        ]
        assert sorted(rows) == sorted(cases)
    assert [s.round for s in steps] == sorted(s.round for s in steps)


def test_the_seed_decides_the_order_and_rounds_differ() -> None:
    assert order([MIX], ["a"], 5) == order([MIX], ["a"], 5)
    assert order([MIX], ["a"], 5) != order([MIX], ["a"], 6)
    rounds = [
        [s.case.key for s in order([MIX], ["a", "b"], 5) if s.round == number]
        for number in (1, 2, 3)
    ]
    assert rounds[0] != rounds[1] or rounds[1] != rounds[2]


def test_what_is_compared_stays_together() -> None:
    steps = order([MIX], ["a", "b"], 5)
    changes = sum(
        (one.round, one.case.label) != (two.round, two.case.label) for one, two in pairwise(steps)
    )
    assert changes == 3 * 2 - 1


def test_all_subjects_and_variants_of_a_round_share_a_seed() -> None:
    seeds = {(s.round, s.seed) for s in order([MIX], ["a", "b"], 5)}
    assert len(seeds) == 3
    assert len({seed for _, seed in seeds}) == 3
