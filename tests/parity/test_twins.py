"""The comparison itself: what counts as the same, and what does not."""

from array import array
from collections.abc import Callable
from typing import Any

import pytest

from tests.parity.twins import Buffers, Pair, Twins
from tests.zcache.pages import PERSISTENT, text_page
from zcache import PAGE_SIZE, BadHandleError, CacheConfig, NoSuchPoolError, TicketError
from zcache.cache import Cache

CONFIG = CacheConfig(pool_bytes_max=64 * PAGE_SIZE)


def twins_that_answer(first: Callable[[], Any], second: Callable[[], Any]) -> Twins:
    def cache_of(answer: Callable[[], Any]) -> Any:
        return lambda config: type("Cache", (), {"ask": lambda self: answer()})()

    return Twins(cache_of(first), cache_of(second), CONFIG)


def raising(error: Exception) -> Callable[[], Any]:
    def answer() -> Any:
        raise error

    return answer


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (lambda: 1, lambda: True),
        (lambda: b"x", lambda: bytearray(b"x")),
        (lambda: array("Q", [1]), lambda: array("I", [1])),
        (lambda: [(1, 2)], lambda: [[1, 2]]),
        (lambda: PERSISTENT, lambda: 1),
        (lambda: None, raising(NoSuchPoolError(1))),
        (raising(NoSuchPoolError(1)), raising(NoSuchPoolError(2))),
        (raising(BadHandleError("a")), raising(BadHandleError("b"))),
        (raising(BadHandleError("a")), raising(TicketError("a"))),
    ],
)
def test_answers_that_differ_in_anything_are_told_apart(
    first: Callable[[], Any], second: Callable[[], Any]
) -> None:
    with pytest.raises(AssertionError):
        twins_that_answer(first, second).call("ask")
    assert twins_that_answer(first, first).calls == twins_that_answer(second, second).calls
    twins_that_answer(first, first).call("ask")
    twins_that_answer(second, second).call("ask")


def test_each_cache_ends_its_own_ticket_and_refuses_the_others() -> None:
    twins = Twins(Cache, Cache, CONFIG)
    pool = twins.call("create_pool", PERSISTENT)
    twins.call("put", pool, 1, 0, text_page(1))
    ticket = twins.call("begin_spill", 1)
    assert isinstance(ticket, Pair)
    assert twins.call("finish_spill", ticket.swapped(), 1) is None
    assert twins.call("finish_spill", ticket, 1) == 1
    twins.compare_figures()
    twins.verify()


def test_each_cache_has_a_buffer_of_its_own() -> None:
    twins = Twins(Cache, Cache, CONFIG)
    pool = twins.call("create_pool", PERSISTENT)
    twins.call("put", pool, 1, 0, text_page(1))
    for as_view in (False, True):
        into = Buffers(PAGE_SIZE, as_view=as_view)
        twins.call("get_many", pool, 1, [0], into)
        assert bytes(into.first) == bytes(into.second) == text_page(1)


def test_figures_and_bytes_that_differ_are_told_apart() -> None:
    twins = Twins(Cache, Cache, CONFIG)
    pool = twins.call("create_pool", PERSISTENT)
    twins.compare_figures()
    twins.first.put(pool, 1, 0, text_page(1))
    with pytest.raises(AssertionError):
        twins.compare_figures()
    with pytest.raises(AssertionError):
        twins.call("get_many", pool, 1, [0], Buffers(PAGE_SIZE))
