"""A lender's answer is checked against the question."""

from __future__ import annotations

from array import array
from collections.abc import Callable

import pytest

from ramster.blobs import Blob, pack
from ramster.errors import BadMessageError
from ramster.fetch_reply import BLOB_LEFT_OUT, answers, check_fetch_reply
from ramster.transport import FetchReply, FetchRequest
from zcache import PoolKind

REQUEST = FetchRequest(
    lease=1,
    kind=PoolKind.PERSISTENT,
    keys=array("Q", [1, 2, 3]),
    generations=array("Q", [10, 20, 30]),
)
ONE, THREE = Blob(1, 10, 2, 1, 5, b"aa"), Blob(3, 30, 1, 1, 6, b"b")


def good() -> FetchReply:
    return FetchReply(found=b"\1\2\1", blobs=pack([ONE, THREE]))


def test_a_good_answer_gives_a_row_per_key() -> None:
    check_fetch_reply(REQUEST, good())
    assert answers(good()) == [ONE, BLOB_LEFT_OUT, THREE]


def wrong_count(reply: FetchReply) -> None:
    reply.found = b"\1\2"


def one_blob_too_few(reply: FetchReply) -> None:
    reply.blobs = pack([ONE])


def another_page(reply: FetchReply) -> None:
    reply.blobs = pack([ONE, THREE._replace(key=2)])


def another_generation(reply: FetchReply) -> None:
    reply.blobs = pack([ONE._replace(generation=9), THREE])


def swapped(reply: FetchReply) -> None:
    reply.blobs = pack([THREE, ONE])


def unknown_answer(reply: FetchReply) -> None:
    reply.found = b"\1\3\1"


def short_payload(reply: FetchReply) -> None:
    reply.blobs.payload = b"a"


@pytest.mark.parametrize(
    "spoil",
    [
        wrong_count,
        one_blob_too_few,
        another_page,
        another_generation,
        swapped,
        unknown_answer,
        short_payload,
    ],
)
def test_an_answer_that_does_not_fit_the_question_is_refused(
    spoil: Callable[[FetchReply], None],
) -> None:
    """Checklist 57: what a lender sends is checked at receipt."""
    reply = good()
    spoil(reply)
    with pytest.raises(BadMessageError):
        check_fetch_reply(REQUEST, reply)
