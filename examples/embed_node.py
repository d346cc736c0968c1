"""A program that keeps more than fits: two nodes in one process, one lending to the other.

    python examples/embed_node.py

The first node has room for 2 MiB of compressed pages; 16 MiB of records are put into it. What
does not fit goes to the second node over loopback, and comes back when it is read. With a
``NodeConfig`` that names real addresses the second node would be another machine.
"""

import json

from ramster import EmbeddedNode, Mode, NodeConfig
from ramster.addresses import Address
from zcache import PAGE_SIZE, PoolKind

PAGES = 4096
LOOPBACK = Address("127.0.0.1", 0)  # port 0: any free one


def record(number: int) -> bytes:
    """A page of made-up measurements; it compresses about as well as such data do."""
    rows = ({"id": number * 100 + i, "value": hash((number, i)) % 10**9} for i in range(100))
    return "\n".join(map(json.dumps, rows)).encode()[:PAGE_SIZE].ljust(PAGE_SIZE)


def main() -> None:
    lender = NodeConfig(
        name="lender",
        mode=Mode.RAMSTER,
        listen=LOOPBACK,
        pool_limit=32 * 2**20,
        lend_limit=30 * 2**20,
        http=None,
    )
    with EmbeddedNode(lender) as there:
        owner = NodeConfig(
            name="owner",
            mode=Mode.RAMSTER,
            listen=LOOPBACK,
            peer=(there.node.endpoints["peers"],),
            pool_limit=2 * 2**20,
            http=None,
        )
        with EmbeddedNode(owner) as here:
            pool = here.create_pool(PoolKind.PERSISTENT)
            for number in range(PAGES):
                here.put(pool, 1, number, record(number))

            pages = here.figures()["pages"]
            print(f"{pages['own']} pages: {pages['local']} here, {pages['away']} at the lender")

            wrong = sum(here.get(pool, 1, n) != record(n) for n in range(PAGES))
            hits = here.figures()["cluster"]
            print(f"{hits['remote_hits']} read from the lender, {wrong} wrong")
            if wrong:
                raise SystemExit(1)


if __name__ == "__main__":
    main()
