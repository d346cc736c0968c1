"""What was wrong between two nodes, and for how long."""

from __future__ import annotations

from tests.simulation.troubles import Troubles


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_fault_concerns_its_link_or_all_links_of_its_node() -> None:
    troubles = Troubles(Clock())
    troubles.begin("cut", "a", "b")
    troubles.begin("pause", "c")
    assert troubles.between("b", "a", 0.0)
    assert troubles.between("a", "c", 0.0)
    assert troubles.between("a", "d", 0.0) is None
    assert [one.what for one in troubles.all_between("a", "b", 0.0)] == ["cut"]
    assert [one.what for one in troubles.all_between("c", "b", 0.0)] == ["pause"]


def test_a_fault_explains_nothing_long_after_its_end() -> None:
    clock = Clock()
    troubles = Troubles(clock)
    trouble = troubles.begin("cut", "a", "b")
    clock.now = 3.0
    troubles.end(trouble)
    assert troubles.between("a", "b", 2.9)
    assert troubles.between("a", "b", 3.1) is None


def test_faults_with_little_peace_between_them_count_as_one() -> None:
    clock = Clock()
    troubles = Troubles(clock)
    for began, ended in ((0.0, 1.0), (1.2, 2.0), (5.0, 5.5)):
        clock.now = began
        trouble = troubles.begin("loss", "a", "b")
        clock.now = ended
        troubles.end(trouble)
    assert troubles.longest_s("a", "b", since=0.0, gap_s=0.5) == 2.0
    assert troubles.longest_s("a", "b", since=0.0, gap_s=0.1) == 1.0
    assert troubles.longest_s("a", "b", since=3.0, gap_s=0.5) == 0.5
    assert troubles.longest_s("a", "c", since=0.0, gap_s=0.5) == 0.0
