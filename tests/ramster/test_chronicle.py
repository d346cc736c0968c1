"""What the log tells of counters: beginnings, ends and losses, not single pages."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramster.chronicle import LOOK_EVERY_S, QUIET_S, Chronicle, Counts, Moved, counts_of
from ramster.counters import ClusterCounters
from ramster.writeback import WritebackCounters
from tests.support.hand_clock import HandClock


class Story:
    """A chronicle, the counters that it reads, and the events that it told."""

    def __init__(self) -> None:
        self.counters = ClusterCounters()
        self.file = WritebackCounters()
        self.clock = HandClock()
        self.chronicle = Chronicle(lambda: counts_of(self.counters, self.file), self.clock)
        self.told: list[tuple[str, dict[str, object]]] = []

    def look(self, seconds: float = LOOK_EVERY_S) -> None:
        self.clock.seconds += seconds
        self.chronicle.look()


class _Listener(logging.Handler):
    def __init__(self, story: Story) -> None:
        super().__init__()
        self._story = story

    def emit(self, record: logging.LogRecord) -> None:
        record.getMessage()
        self._story.told.append((record.event, record.fields))  # type: ignore[attr-defined]


@pytest.fixture
def story() -> Iterator[Story]:
    yield from listened()


def listened() -> Iterator[Story]:
    story = Story()
    listener = _Listener(story)
    logger = logging.getLogger("ramster.chronicle")
    level = logger.level
    logger.addHandler(listener)
    logger.setLevel(logging.DEBUG)
    yield story
    logger.removeHandler(listener)
    logger.setLevel(level)


def test_a_quiet_node_has_no_story(story: Story) -> None:
    for _ in range(100):
        story.look()
    assert story.told == []


def test_a_flow_is_two_lines_however_many_pages_it_moves(story: Story) -> None:
    for _ in range(30):
        story.counters.spill_pages += 1000
        story.counters.spill_bytes += 2_000_000
        story.look()
    story.look(QUIET_S)
    story.look(QUIET_S)
    assert story.told == [
        ("flow_begun", {"flow": "spill"}),
        (
            "flow_ended",
            {"flow": "spill", "pages": 30_000, "bytes": 60_000_000, "took_s": 29.0},
        ),
    ]


def test_each_flow_has_its_own_lines(story: Story) -> None:
    story.counters.pages_evacuated = 5
    story.counters.pages_rebuilt = 6
    story.counters.pages_repatriated = 7
    story.file.pages_written, story.file.bytes_written = 8, 800
    story.look()
    story.look(QUIET_S)
    ended = {fields["flow"]: fields for event, fields in story.told if event == "flow_ended"}
    assert {flow: fields["pages"] for flow, fields in ended.items()} == {
        "evacuation": 5,
        "rebuild": 6,
        "repatriation": 7,
        "write-back": 8,
    }
    assert (ended["write-back"]["bytes"], ended["rebuild"]["bytes"]) == (800, None)


def test_the_first_refusal_is_told_and_when_it_is_over(story: Story) -> None:
    for _ in range(20):
        story.counters.puts_refused += 3
        story.look()
    story.look(QUIET_S)
    assert story.told == [
        ("store_full", {"refused": 3}),
        ("store_full_over", {"refused": 60, "took_s": 19.0}),
    ]


def test_pages_that_reads_did_not_get_are_told_as_they_come(story: Story) -> None:
    story.counters.pages_lost = 4
    story.look()
    story.counters.pages_corrupt = 2
    story.counters.pages_lost = 5
    story.look()
    assert story.told == [
        ("reads_failed", {"pages": 4}),
        ("reads_failed", {"pages": 1}),
        ("copies_corrupt", {"pages": 2}),
    ]


def test_a_node_without_a_file_has_no_such_flow() -> None:
    assert "write-back" not in counts_of(ClusterCounters(), None).flows
    assert Counts().flows == {}


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from([0.5, LOOK_EVERY_S, QUIET_S])), max_size=60
    )
)
def test_begun_and_ended_take_turns_and_add_up(steps: list[tuple[int, float]]) -> None:
    for story in listened():
        for pages, pause in steps:
            story.counters.spill_pages += pages
            story.look(pause)
        story.look(QUIET_S)
        story.look(QUIET_S)
        events = [event for event, _ in story.told]
        assert events == ["flow_begun", "flow_ended"] * (len(events) // 2)
        total = sum(int(str(f["pages"])) for event, f in story.told if event == "flow_ended")
        assert total == story.counters.spill_pages


def test_moved_says_nothing_of_bytes_that_are_not_counted() -> None:
    assert counts_of(ClusterCounters(), None).flows["rebuild"] == Moved(0, None)
