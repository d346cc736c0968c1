"""A program that keeps pages at a node, over the Tmem API.

    ramster serve --mode ramster --listen 127.0.0.1:7777     (in another terminal)
    python examples/tmem_client.py 127.0.0.1:7777

The same works from any language with gRPC: generate a client from proto/ramster/wire/v1/tmem.proto.
"""

from __future__ import annotations

import sys

from ramster.errors import PeerUnreachableError
from ramster.rpc import TmemClient
from zcache import PAGE_SIZE, PoolKind

LINES = 64


def page_of(number: int) -> bytes:
    """One page of a made-up log."""
    lines = "".join(f"{number:08} {line:04} request served\n" for line in range(LINES))
    return lines.encode()[:PAGE_SIZE].ljust(PAGE_SIZE)


def main() -> int:
    address = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:7777"
    with TmemClient(address) as client:
        try:
            # Found again by its name, by this program or another one, until it is destroyed.
            pool = client.pool("example", PoolKind.PERSISTENT)
        except PeerUnreachableError as error:
            print(error, file=sys.stderr)
            return 1
        object_id, numbers = 1, range(1000)
        pool.put_many(object_id, numbers, b"".join(map(page_of, numbers)))
        print(f"{len(numbers)} pages put; pools at the node: {[p.name for p in client.pools()]}")
        found = pool.get_many(object_id, [0, 999, 5000])
        assert found[0] == page_of(0)
        assert found[1] == page_of(999)
        assert found[2] is None, "nothing was put there"
        print("pages 0 and 999 are as they were put, page 5000 is absent")
        print(f"{pool.flush_range(object_id, 0, 500)} pages flushed, {pool.destroy()} destroyed")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
