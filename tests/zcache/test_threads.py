"""Several threads on one cache."""

import random
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from tests.zcache.pages import EPHEMERAL, PERSISTENT, mixed_page, same_page
from zcache import PAGE_SIZE, AwayPage, CacheContract, CacheFullError, NoSuchPoolError

MakeCache = Callable[..., CacheContract]


@pytest.fixture(autouse=True)
def _switch_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def run(*bodies: Callable[[], None]) -> None:
    """Run each body in a thread; re-raise the first failure."""
    failures: list[BaseException] = []

    def guarded(body: Callable[[], None]) -> None:
        try:
            body()
        except BaseException as failure:  # noqa: BLE001 - carried to the test's thread below
            failures.append(failure)

    threads = [threading.Thread(target=guarded, args=(body,)) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    if failures:
        raise failures[0]


def test_threads_on_different_handles_do_not_disturb_each_other(make_cache: MakeCache) -> None:
    """Behaviour 22: each thread sees its own pages, whatever is spilled, moved or evicted."""
    cache = make_cache(frames=400)
    pool, ephemeral = cache.create_pool(PERSISTENT), cache.create_pool(EPHEMERAL)
    done = threading.Event()

    def worker(number: int) -> Callable[[], None]:
        def body() -> None:
            rng = random.Random(number)
            mine: dict[int, bytes] = {}
            for step in range(400):
                index = rng.randrange(40)
                match rng.randrange(4):
                    case 0 | 1:
                        page = mixed_page(step, rng.choice([0, 200, 1200, 4096]))
                        cache.put(pool, number, index, page)
                        mine[index] = page
                        cache.put(ephemeral, number, index, page)
                    case 2:
                        assert cache.flush(pool, number, index) == (index in mine)
                        mine.pop(index, None)
                    case 3:
                        got = cache.get(pool, number, index)
                        assert isinstance(got, AwayPage) or got == mine.get(index)
                        got = cache.get(ephemeral, number, index)
            into = bytearray(40 * PAGE_SIZE)
            states, _ = cache.get_many(pool, number, range(40), into)
            for index in range(40):
                assert (states[index] != 0) == (index in mine)
                if states[index] == 1:
                    assert into[index * PAGE_SIZE : (index + 1) * PAGE_SIZE] == mine[index]

        return body

    def disturber() -> None:
        rng = random.Random(99)
        while not done.is_set():
            ticket = cache.begin_spill(20_000)
            cache.compact(2)
            if ticket is not None:
                if rng.random() < 0.2:
                    cache.finish_spill(ticket, 1)
                else:
                    cache.cancel_spill(ticket)
            cache.drain_displaced()
            cache.stats()

    def workers() -> None:
        try:
            run(*(worker(number) for number in range(4)))
        finally:
            done.set()

    run(workers, disturber)


def test_one_handle_is_linearizable(make_cache: MakeCache) -> None:
    """Behaviours 22 and 40: a reader sees whole pages, and never an older one after a newer one."""
    cache = make_cache(frames=100)
    pool = cache.create_pool(PERSISTENT)
    pages = [number.to_bytes(8, "little") + mixed_page(number, 1500)[8:] for number in range(300)]
    cache.put(pool, 1, 0, pages[0])
    finished = [0]

    def writer() -> None:
        for number in range(1, 300):
            cache.put(pool, 1, 0, pages[number])
            finished[0] = number

    def reader() -> None:
        last = 0
        while last < 299:
            floor = finished[0]
            got = cache.get(pool, 1, 0)
            assert isinstance(got, bytes)
            number = int.from_bytes(got[:8], "little")
            assert got == pages[number]
            assert number >= max(last, floor)
            last = number

    def mover() -> None:
        while finished[0] < 299:
            cache.compact()
            ticket = cache.begin_spill(2**20)
            if ticket is not None:
                cache.cancel_spill(ticket)

    run(writer, reader, reader, mover)


def test_a_page_that_gets_free_is_given_to_one_thread(make_cache: MakeCache) -> None:
    """Behaviour 7, from several threads: each page is consumed once."""
    cache = make_cache()
    pool = cache.create_pool(EPHEMERAL)
    pages = [mixed_page(n, 500) for n in range(400)]
    cache.put_many(pool, 1, range(400), b"".join(pages))
    taken: list[list[int]] = [[] for _ in range(4)]

    def taker(number: int) -> Callable[[], None]:
        def body() -> None:
            for index in range(400):
                got = cache.get(pool, 1, index)
                if got is not None:
                    assert got == pages[index]
                    taken[number].append(index)

        return body

    run(*(taker(number) for number in range(4)))
    assert sorted(index for part in taken for index in part) == list(range(400))


def test_destroying_a_pool_under_use_leaves_nothing_behind(make_cache: MakeCache) -> None:
    """Behaviour 14: operations under way end; later ones are refused; nothing is left."""
    cache = make_cache()
    for _ in range(20):
        pool = cache.create_pool(PERSISTENT)
        started = threading.Barrier(4)

        def user(number: int, pool: int = pool, started: threading.Barrier = started) -> None:
            payload = b"".join(mixed_page(n, 300) for n in range(8))
            started.wait(10)
            start = 0
            while True:
                start = (start + 8) % 800
                try:
                    cache.put_many(pool, number, range(start, start + 8), payload)
                    cache.get(pool, number, start)
                except NoSuchPoolError:
                    return

        def destroyer(pool: int = pool, started: threading.Barrier = started) -> None:
            started.wait(10)
            while not cache.stats().pages_persistent:
                pass
            cache.destroy_pool(pool)

        run(*(lambda number=number: user(number) for number in range(3)), destroyer)
        stats = cache.stats()
        assert (stats.pages_persistent, stats.objects, stats.frames_used) == (0, 0, 0)


def test_threads_at_the_limit_never_exceed_it(make_cache: MakeCache) -> None:
    """Behaviour 32, from several threads."""
    cache = make_cache(frames=30)
    pool, ephemeral = cache.create_pool(PERSISTENT), cache.create_pool(EPHEMERAL)

    def body(number: int) -> None:
        rng = random.Random(number)
        for step in range(300):
            page = mixed_page(step, rng.choice([100, 1700, 4096])) if step % 5 else same_page(step)
            try:
                cache.put(rng.choice([pool, ephemeral]), number, rng.randrange(30), page)
            except CacheFullError:
                cache.flush_range(pool, number, 0, 15)

    run(*(lambda number=number: body(number) for number in range(4)))
    assert cache.stats().frames_used_peak <= 30
