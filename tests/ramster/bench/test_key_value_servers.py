"""Redis and memcached, started for real on both kinds of sockets."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest

from ramster.bench.key_value_clients import MemcachedPages, RedisPages
from ramster.bench.key_value_servers import memcached_server, redis_server
from ramster.bench.model import Subject
from ramster.bench.server_process import accepts
from ramster.processes import start_time
from tests.support.rival_programs import need_for


@pytest.mark.nbd_clients
@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
def test_redis_starts_empty_keeps_nothing_on_disk_and_ends(tcp: bool, tmp_path: Path) -> None:
    need_for(Subject.REDIS)
    with redis_server(tmp_path, tcp=tcp) as server:
        assert isinstance(server.address, tuple) is tcp
        with contextlib.closing(RedisPages(server)) as pages:
            _holds_a_page(pages.get, pages.set)
        assert server.held() > 0
    assert start_time(server.pid) is None
    assert not accepts(server.address)
    assert not list(tmp_path.glob("*.rdb"))


@pytest.mark.nbd_clients
@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
def test_memcached_starts_empty_and_ends(tcp: bool, tmp_path: Path) -> None:
    need_for(Subject.MEMCACHED)
    with memcached_server(tmp_path, 2**20, tcp=tcp) as server:
        assert isinstance(server.address, tuple) is tcp
        with contextlib.closing(MemcachedPages(server)) as pages:
            _holds_a_page(pages.get, pages.set)
        assert server.held() > 0
    assert start_time(server.pid) is None


@pytest.mark.nbd_clients
def test_memcached_needs_no_name_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    need_for(Subject.MEMCACHED)
    monkeypatch.setattr("pwd.getpwuid", nobody)
    with memcached_server(tmp_path, 2**20) as server:
        assert server.held() > 0


@pytest.mark.nbd_clients
def test_a_full_memcached_refuses_and_drops_nothing(tmp_path: Path) -> None:
    need_for(Subject.MEMCACHED)
    import pymemcache

    with (
        memcached_server(tmp_path, 2**20) as server,
        contextlib.closing(MemcachedPages(server)) as pages,
    ):
        stored = 0
        with contextlib.suppress(pymemcache.MemcacheServerError):  # out of memory
            for stored in range(10**5):
                pages.set(stored, bytes(4096))
        assert 4 * 256 < stored < 10**5 - 1
        assert all(pages.get(key) == bytes(4096) for key in range(stored))


def _holds_a_page(get: Callable[[int], object], put: Callable[[int, bytes], None]) -> None:
    assert get(1) is None
    put(1, b"\x07" * 4096)
    assert get(1) == b"\x07" * 4096
