from zcache.displaced import DisplacedQueue


def test_rows_come_out_whole_in_order_and_once() -> None:
    queue = DisplacedQueue()
    for n in range(10):
        queue.append(n, 100 + n, 200 + n, n % 3, 300 + n, 400 + n)
    assert len(queue) == 10
    first, rest = queue.drain(4), queue.drain(100)
    assert len(queue) == 0
    seen = [
        row
        for pages in (first, rest)
        for row in zip(
            pages.positions, pages.keys, pages.generations, pages.lengths, pages.encodings,
            pages.checksums, pages.wheres, strict=True,
        )
    ]  # fmt: skip
    assert seen == [(0, n, 100 + n, 200 + n, n % 3, 300 + n, 400 + n) for n in range(10)]
    assert len(queue.drain(5)) == 0


def test_what_was_handed_out_is_the_callers() -> None:
    queue = DisplacedQueue()
    queue.append(1, 1, 1, 1, 1, 1)
    pages = queue.drain(1)
    queue.append(2, 2, 2, 2, 2, 2)
    assert list(pages.keys) == [1]
    assert queue.metadata_bytes() > 0
