"""Some fixed histories and some fresh ones; ``make simulate`` runs thousands."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from itertools import product

import pytest

from tests.simulation.history import Outcome, run_seed
from tests.simulation.profiles import PROFILES
from tests.simulation.runner import jobs, run_all
from tests.zcache.backends import BACKENDS

FIXED = 5
FRESH = 3
FRESH_SEED = int.from_bytes(os.urandom(4)) & ~0xFF


MECHANISMS = {
    "copies made again": "pages_rebuilt",
    "pages taken away from lenders that leave": "pages_evacuated",
    "pages that come home unasked": "pages_repatriated",
    "reads that ask a second holder": "fetches_hedged",
    "bad copies struck off": "copies_struck",
    "pages that leave with too few copies": "pages_spilled_short",
    "pages written to a file": "file_pages_written",
    "pages read from a file": "file_pages_read",
    "failed writes": "file_write_errors",
    "failed reads": "file_read_errors",
    "leases that end in silence": "leases_expired",
    "goodbyes": "leases_left",
    "owners that restart": "leases_superseded",
    "late or repeated batches refused": "messages_refused",
    "spills without an answer": "spills_timed_out",
    "fetches without an answer": "fetches_timed_out",
    "flushes that are repeated": "flush_failures",
    "losses": "pages_lost",
    "refused puts": "puts_refused",
    "pages read ahead": "readahead_hits",
    "gets that share a call": "fetches_joined",
}
"""What histories are for, and what counts it."""


@cache
def fixed(profile: str, seed: int) -> Outcome:
    return run_seed(seed, profile)


def check(outcome: Outcome) -> None:
    assert outcome.failure is None, outcome.report()


@pytest.mark.parametrize("seed", range(FIXED))
@pytest.mark.parametrize("profile", PROFILES)
def test_a_fixed_history_breaks_no_rule(profile: str, seed: int) -> None:
    """R6, R8, R9, R10: the last page, a miss or an error with a cause, in time; then all books
    agree.
    """
    check(fixed(profile, seed))


@pytest.mark.parametrize(
    ("backend", "profile", "seed"),
    list(product(sorted(BACKENDS.keys() - {"python"}), PROFILES, range(FIXED))),
)
def test_a_fixed_history_breaks_no_rule_over_another_backend(
    backend: str, profile: str, seed: int
) -> None:
    outcome = run_seed(seed, profile, backend=backend)
    check(outcome)
    assert f"--backend {backend}" in outcome.replay()


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_fixed_histories_use_every_mechanism(mechanism: str) -> None:
    """Else a profile has come to try nothing."""
    outcomes = [fixed(profile, seed) for profile in PROFILES for seed in range(FIXED)]
    used = [outcome for outcome in outcomes if outcome.counted[MECHANISMS[mechanism]]]
    assert len(used) >= 2, f"{mechanism}: in {len(used)} of {len(outcomes)} histories"


@pytest.mark.parametrize("number", range(FRESH))
@pytest.mark.parametrize("profile", PROFILES)
def test_a_fresh_history_breaks_no_rule(profile: str, number: int) -> None:
    check(run_seed(FRESH_SEED + number, profile))


def test_a_calm_history_loses_and_refuses_nothing() -> None:
    outcome = fixed("calm", 3)
    assert outcome.losses == outcome.refusals == 0
    assert outcome.messages > 100


def test_histories_with_faults_have_losses_that_are_explained() -> None:
    """Else nothing would have been tried."""
    assert sum(fixed("any", seed).losses for seed in range(4)) > 0


def test_a_seed_gives_the_same_history_in_any_process() -> None:
    """The order of events depends neither on chance nor on how names are hashed."""
    code = (
        "import logging; logging.disable(50)\n"
        "from tests.simulation.history import run_seed\n"
        "print(run_seed(5, 'any').digest)"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for hash_seed in ("1", "2")
    }
    assert digests == {str(fixed("any", 5).digest)}


def test_another_seed_gives_another_history() -> None:
    assert fixed("any", 4).digest != fixed("any", 5).digest


def test_jobs_take_the_profiles_in_turn() -> None:
    assert jobs(10, 4, ["any", "full"]) == [(10, "any"), (11, "full"), (12, "any"), (13, "full")]
    assert jobs(0, 2, ["calm"]) == [(0, "calm"), (1, "calm")]
    assert [name for _, name in jobs(0, 4, ["any", "full", "calm"])] == [
        "any", "full", "any", "calm",
    ]  # fmt: skip


def test_runs_on_several_processes_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    report = run_all(jobs(0, 3, ["full"]), 2, 1)
    assert report.done == 3
    assert not report.failures
    assert "3 seeds" in report.summary()
    assert capsys.readouterr().out == ""
