"""Pages of known kinds, and shorthands that tests of several modules share."""

import random
from array import array

from xxhash import xxh3_64_intdigest

from zcache import PAGE_SIZE, CacheContract, PackedBlobs, PoolKind

PERSISTENT = PoolKind.PERSISTENT
EPHEMERAL = PoolKind.EPHEMERAL

ZERO = bytes(PAGE_SIZE)


def random_page(seed: int) -> bytes:
    """Does not compress."""
    return random.Random(seed).randbytes(PAGE_SIZE)


def mixed_page(seed: int, noise: int) -> bytes:
    """``noise`` bytes that do not compress, the rest zeros: the blob is a little longer than
    ``noise``.
    """
    return random.Random(seed).randbytes(noise) + bytes(PAGE_SIZE - noise)


def text_page(seed: int) -> bytes:
    """Words, compressing about three to one."""
    rng = random.Random(seed)
    words = ["frame", "zspage", "handle", "pool", "object", "index", "page", "lender"]
    text = " ".join(f"{rng.choice(words)}{rng.randrange(1000)}" for _ in range(800))
    return text.encode()[:PAGE_SIZE]


def same_page(pattern: int) -> bytes:
    """One 64-bit word over and over."""
    return pattern.to_bytes(8, "little") * (PAGE_SIZE // 8)


def packed(rows: list[tuple[int, int, bytes]], encoding: int = 1) -> PackedBlobs:
    """Blobs from (key, generation, blob) rows, with true checksums."""
    return PackedBlobs(
        keys=array("Q", [key for key, _, _ in rows]),
        generations=array("Q", [generation for _, generation, _ in rows]),
        lengths=array("H", [len(blob) for _, _, blob in rows]),
        encodings=bytearray([encoding] * len(rows)),
        checksums=array("Q", [xxh3_64_intdigest(blob) for _, _, blob in rows]),
        payload=b"".join(blob for _, _, blob in rows),
    )


def spill_all(cache: CacheContract, where: int, kind: PoolKind = PERSISTENT) -> PackedBlobs:
    """Send every page of a kind away; returns the blobs that a lender would hold."""
    ticket = cache.begin_spill(2**40, kind=kind, pages_max=2**20)
    assert ticket is not None
    assert cache.finish_spill(ticket, where) == len(ticket.blobs)
    return ticket.blobs


def select(blobs: PackedBlobs, rows: list[int]) -> PackedBlobs:
    """Some rows of a batch, in the order given."""
    payload = bytes(blobs.payload)
    starts = [sum(blobs.lengths[:row]) for row in rows]
    parts = [payload[s : s + blobs.lengths[r]] for s, r in zip(starts, rows, strict=True)]
    return PackedBlobs(
        keys=array("Q", [blobs.keys[r] for r in rows]),
        generations=array("Q", [blobs.generations[r] for r in rows]),
        lengths=array("H", [blobs.lengths[r] for r in rows]),
        encodings=bytearray(blobs.encodings[r] for r in rows),
        checksums=array("Q", [blobs.checksums[r] for r in rows]),
        payload=b"".join(parts),
    )
