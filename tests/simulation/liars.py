"""A lender that answers wrongly while told to: what its owners must not believe.

Covers: damaged and exchanged blobs, pages denied, spills taken and forgotten, answers that make no
sense, boasting of room. Each lie is noted by the copy it concerns, so that a loss can be traced to
it. Does not cover: when to lie (``faults.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

from ramster.blobs import Blob, pack, rows
from ramster.transport import (
    FetchReply,
    FetchRequest,
    FiguresRequest,
    FlushRequest,
    Heartbeat,
    HeartbeatReply,
    Hello,
    HelloReply,
    PeerHandler,
    SpillReply,
    SpillRequest,
)
from zcache import BLOB_ABSENT, AdoptStatus, PackedBlobs

LIES = ("corrupt", "exchange", "old", "deny", "forget", "garble", "boast")

CopyAtLender = tuple[int, int, int]
"""(lease, key, generation)"""


class Liar:
    """A ``PeerHandler`` in front of a node's own; honest while ``lie`` is None.

    ``corrupt``: a byte of a fetched blob is another. ``exchange``: bytes of another page.
    ``old``: bytes of an earlier generation, as far as it has seen one. ``deny``: pages are said to
    be absent. ``forget``: spills are accepted and not stored. ``garble``: too few statuses, blobs
    under names that were not asked for. ``boast``: far more room than there is.
    """

    def __init__(self, honest: PeerHandler, random: Random) -> None:
        self.lie: str | None = None
        self.share = 0.3
        """Share of pages lied about."""
        self.told: dict[CopyAtLender, str] = {}
        """The lies about copies."""
        self._honest = honest
        self._random = random
        self._seen: dict[tuple[int, int], Blob] = {}
        """The first blob that came for each lease and key."""
        self._kept: set[CopyAtLender] = set()
        """What it has looked at and not forgotten: it does not change its mind."""

    def _lies(self) -> bool:
        return self._random.random() < self.share

    # -- control ----------------------------------------------------------------------------------

    def on_hello(self, hello: Hello) -> HelloReply:
        reply = self._honest.on_hello(hello)
        return replace(reply, room_bytes=2**40) if self.lie == "boast" else reply

    def on_heartbeat(self, beat: Heartbeat) -> HeartbeatReply:
        reply = self._honest.on_heartbeat(beat)
        return replace(reply, room_bytes=2**40) if self.lie == "boast" else reply

    # -- data -------------------------------------------------------------------------------------

    def on_spill(self, request: SpillRequest) -> SpillReply:
        forgot = False
        for blob in rows(request.blobs):
            self._seen.setdefault((request.lease, blob.key), blob)
            name = (request.lease, blob.key, blob.generation)
            forgot = forgot or self.told.get(name) == "forget"
        if forgot or (self.lie == "forget" and len(request.blobs)):
            return self._forget(request)
        reply = self._honest.on_spill(request)
        self._kept.update(
            (request.lease, blob.key, blob.generation) for blob in rows(request.blobs)
        )
        if self.lie == "garble" and self._lies():
            return replace(reply, statuses=reply.statuses[1:])
        if self.lie == "boast":
            return replace(reply, room_bytes=2**40)
        return reply

    def _forget(self, request: SpillRequest) -> SpillReply:
        """Store some pages, say that all are stored; the same ones if the batch comes again."""
        kept = []
        for blob in rows(request.blobs):
            name = (request.lease, blob.key, blob.generation)
            if self.lie == "forget" and name not in self._kept and self._lies():
                self.told[name] = "forget"
            if self.told.get(name) != "forget":
                self._kept.add(name)
                kept.append(blob)
        names = {(blob.key, blob.generation) for blob in kept}
        reply = self._honest.on_spill(replace(request, blobs=pack(kept)))
        statuses = iter(reply.statuses)
        told = bytes(
            next(statuses) if (blob.key, blob.generation) in names else AdoptStatus.STORED
            for blob in rows(request.blobs)
        )
        return replace(reply, statuses=told)

    def on_fetch(self, request: FetchRequest) -> FetchReply:
        reply = self._honest.on_fetch(request)
        alter = self._alterations().get(self.lie or "")
        if alter is None or not len(reply.blobs):
            return reply
        altered = [
            alter(request.lease, blob) if self._lies() else blob for blob in rows(reply.blobs)
        ]
        garbled = self.lie == "garble" and altered != list(rows(reply.blobs))
        for before, after in zip(rows(reply.blobs), altered, strict=True):
            if before != after or garbled:  # an answer that makes no sense is dropped as a whole
                name = (request.lease, before.key, before.generation)
                self.told[name] = str(self.lie)
        return _reply_with(reply, altered)

    def _alterations(self) -> dict[str, Callable[[int, Blob], Blob | None]]:
        return {
            "corrupt": self._corrupt,
            "exchange": self._exchange,
            "old": self._old,
            "deny": lambda lease, blob: None,
            "garble": lambda lease, blob: blob._replace(generation=blob.generation + 1),
        }

    def _corrupt(self, lease: int, blob: Blob) -> Blob:
        data = bytearray(blob.data)
        data[self._random.randrange(len(data))] ^= 1 << self._random.randrange(8)
        return blob._replace(data=bytes(data))

    def _exchange(self, lease: int, blob: Blob) -> Blob:
        others = [name for name in self._seen if name[0] == lease and name[1] != blob.key]
        if not others:
            return blob
        other = self._seen[self._random.choice(others)]
        return other._replace(key=blob.key, generation=blob.generation)

    def _old(self, lease: int, blob: Blob) -> Blob:
        first = self._seen.get((lease, blob.key), blob)
        return first._replace(generation=blob.generation)

    def on_flush(self, request: FlushRequest) -> None:
        self._honest.on_flush(request)

    def on_figures(self, request: FiguresRequest) -> bytes:
        return self._honest.on_figures(request)


def _reply_with(reply: FetchReply, blobs: list[Blob | None]) -> FetchReply:
    """The reply with other blobs in place of its own; None makes a page absent."""
    found = bytearray(reply.found)
    sent = iter(blobs)
    for position, answer in enumerate(reply.found):
        if answer == 1 and next(sent) is None:
            found[position] = BLOB_ABSENT
    kept: PackedBlobs = pack(blob for blob in blobs if blob is not None)
    return replace(reply, found=bytes(found), blobs=kept)
