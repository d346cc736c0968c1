"""Reading a lender's answer to a fetch; nothing in it is believed unseen.

Covers: that an answer fits its question, and its rows. Does not cover: whether the blobs are the
right ones (the cache compares them with its stubs), writing an answer (``foreign.py``).
"""

from __future__ import annotations

from typing import Final

from ramster.blobs import Blob, check_shape, rows
from ramster.errors import BadMessageError
from ramster.transport import SPILL_PAYLOAD_BYTES_MAX, FetchReply, FetchRequest
from zcache import BLOB_ABSENT, BLOB_FOUND

__all__ = ["BLOB_LEFT_OUT", "answers", "check_fetch_reply"]

BLOB_LEFT_OUT: Final = 2
"""The answer for a page that did not fit the message: ask again."""


def check_fetch_reply(request: FetchRequest, reply: FetchReply) -> None:
    """Raise BadMessageError unless the reply answers the request in its own terms."""
    asked = len(request.keys)
    if len(reply.found) != asked:
        raise BadMessageError(f"{len(reply.found)} answers for {asked} keys")
    check_shape(reply.blobs, rows_max=asked, payload_bytes_max=SPILL_PAYLOAD_BYTES_MAX)
    if reply.found.count(BLOB_FOUND) != len(reply.blobs):
        raise BadMessageError(
            f"{reply.found.count(BLOB_FOUND)} pages found and {len(reply.blobs)} sent"
        )
    if reply.found.translate(None, bytes((BLOB_ABSENT, BLOB_FOUND, BLOB_LEFT_OUT))):
        raise BadMessageError("an answer that is none of absent, found, left out")
    blob = 0
    for row, found in enumerate(reply.found):
        if found == BLOB_FOUND:
            sent = (reply.blobs.keys[blob], reply.blobs.generations[blob])
            if sent != (request.keys[row], request.generations[row]):
                raise BadMessageError("a page that was not asked for")
            blob += 1


def answers(reply: FetchReply) -> list[Blob | int]:
    """Per key asked for: its blob, BLOB_ABSENT or BLOB_LEFT_OUT; of a checked reply."""
    sent = rows(reply.blobs)
    return [next(sent) if found == BLOB_FOUND else found for found in reply.found]
