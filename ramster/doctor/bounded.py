"""Runs checks side by side and ends in time, whatever becomes of them.

Covers: a deadline for all together, and what is said in place of a check that is late or fails.
Does not cover: stopping a late one: it is left behind in a daemon thread (a name server that does
not answer cannot be interrupted), which ends with the process.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence

from ramster.doctor.findings import Feature, Finding, Status

__all__ = ["Check", "run_checks"]

Check = tuple[Feature, str, Callable[[], Finding | Sequence[Finding]]]
"""Feature and name, for want of a result, and what gives one or several."""


def run_checks(checks: Sequence[Check], seconds_max: float) -> list[Finding]:
    """The findings of all checks, in the order of the checks."""
    done: queue.SimpleQueue[tuple[int, list[Finding]]] = queue.SimpleQueue()

    def run(number: int) -> None:
        feature, name, check = checks[number]
        try:
            found = check()
            findings = [found] if isinstance(found, Finding) else list(found)
        except Exception as error:  # noqa: BLE001  # whatever a strange system does: it is said
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            findings = [Finding(feature, name, Status.UNKNOWN, f"the check failed: {reason}")]
        done.put((number, findings))

    for number in range(len(checks)):
        threading.Thread(target=run, args=(number,), daemon=True).start()
    results: dict[int, list[Finding]] = {}
    deadline = time.monotonic() + seconds_max
    while len(results) < len(checks):
        try:
            number, findings = done.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            break
        results[number] = findings
    for number, (feature, name, _) in enumerate(checks):
        late = Finding(feature, name, Status.UNKNOWN, f"not known after {seconds_max:g} s")
        results.setdefault(number, [late])
    return [finding for number in sorted(results) for finding in results[number]]
