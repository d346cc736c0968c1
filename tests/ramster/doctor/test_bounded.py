"""Checks that are late or fail become findings; the order is that of the checks."""

from __future__ import annotations

import threading

from ramster.doctor.bounded import run_checks
from ramster.doctor.findings import Feature, Finding, Status


def finding(name: str) -> Finding:
    return Finding(Feature.POOL, name, Status.OK, "x")


def test_findings_come_in_the_order_of_the_checks() -> None:
    second = threading.Event()

    def first() -> Finding:
        assert second.wait(10)
        return finding("a")

    def later() -> list[Finding]:
        second.set()
        return [finding("b"), finding("c")]

    found = run_checks([(Feature.POOL, "1", first), (Feature.POOL, "2", later)], 10)
    assert [one.check for one in found] == ["a", "b", "c"]


def test_a_check_that_hangs_is_unknown_and_the_others_are_there() -> None:
    hang = threading.Event()

    def hanging() -> Finding:
        hang.wait(60)
        return finding("late")

    try:
        found = run_checks(
            [(Feature.PEERS, "hangs", hanging), (Feature.POOL, "a", lambda: finding("a"))], 0.2
        )
    finally:
        hang.set()
    assert [(one.check, one.status) for one in found] == [
        ("hangs", Status.UNKNOWN),
        ("a", Status.OK),
    ]
    assert found[0].found == "not known after 0.2 s"


def test_a_check_that_fails_is_unknown_in_one_line() -> None:
    def failing() -> Finding:
        raise RuntimeError("two\nlines")

    (found,) = run_checks([(Feature.CLOCK, "x", failing)], 10)
    assert (found.feature, found.status) == (Feature.CLOCK, Status.UNKNOWN)
    assert found.found == "the check failed: RuntimeError: two lines"


def test_a_check_may_find_nothing() -> None:
    assert run_checks([(Feature.POOL, "x", list)], 10) == []
