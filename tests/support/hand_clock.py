"""A clock for tests of what only reads the time."""

from __future__ import annotations


class HandClock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def now(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("what is under test does not wait")
