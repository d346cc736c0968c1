"""Addresses, NBD URLs, exports and names as texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramster.addresses import (
    Address,
    ExportSpec,
    parse_address,
    parse_export,
    parse_name,
    parse_nbd_url,
)

NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", fullmatch=True)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("node-b:7777", Address("node-b", 7777)),
        ("node-b", Address("node-b", 1)),
        ("10.0.0.1:0", Address("10.0.0.1", 0)),
        ("[::1]:9", Address("::1", 9)),
        ("[fe80::1%eth0]", Address("fe80::1%eth0", 1)),
    ],
)
def test_addresses_are_read(text: str, address: Address) -> None:
    assert parse_address(text, 1) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":1",
        "a:",
        "a:b",
        "a:65536",
        "a:-1",
        "::1",
        "[::1",
        "[::1]x",
        "[a]:1",
        "a b:1",
        "a:1:2",
        5,
    ],
)
def test_what_is_no_address_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_address(text, 1)


@given(
    st.sampled_from(["localhost", "10.1.2.3", "node_b.example", "::1", "fe80::1%eth0"]),
    st.integers(0, 65535),
)
def test_an_address_survives_being_written_and_read(host: str, port: int) -> None:
    address = Address(host, port)
    assert parse_address(str(address), 1) == address
    assert parse_address(address, 1) == address


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("tcp://0.0.0.0:10809", "tcp://0.0.0.0:10809"),
        ("tcp://[::]", "tcp://[::]:10809"),
        ("tcp://localhost/", "tcp://localhost:10809"),
        ("unix:///run/ramster/nbd.sock", "unix:///run/ramster/nbd.sock"),
        ("unix:///tmp/a%20b", "unix:///tmp/a%20b"),
    ],
)
def test_nbd_addresses_are_read(text: str, url: str) -> None:
    assert parse_nbd_url(text) == url
    assert parse_nbd_url(url) == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tcp://",
        "unix://relative",
        "unix:///",
        "nbd://a",
        "a:1",
        "tcp:a",
        "unix:///" + "x" * 107,
        1,
    ],
)
def test_what_is_no_nbd_address_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_nbd_url(text)


@given(
    NAMES,
    st.integers(1, 2**50),
    st.none() | st.integers(1, 8),
    st.none() | st.sampled_from(["lz4", "zstd", "none"]),
)
def test_an_export_survives_being_written_and_read(
    name: str, pages: int, replicas: int | None, codec: str | None
) -> None:
    spec = ExportSpec(name, pages * 4096, replicas, codec)
    assert parse_export(str(spec)) == spec
    assert parse_export(spec) == spec


def test_an_export_may_say_how_many_copies_its_pages_have() -> None:
    assert parse_export("disk=1M, replicas=2") == ExportSpec("disk", 2**20, 2)
    assert str(ExportSpec("disk", 2**20, 2)) == "disk=1MiB,replicas=2"


def test_an_export_may_say_how_its_pages_are_compressed() -> None:
    assert parse_export("disk=1M, codec=zstd") == ExportSpec("disk", 2**20, None, "zstd")
    assert str(ExportSpec("disk", 2**20, codec="none")) == "disk=1MiB,codec=none"
    both = ExportSpec("disk", 2**20, 2, "lz4")
    assert parse_export("disk=1M,codec=lz4,replicas=2") == both
    assert parse_export("disk=1M,replicas=2 , codec=lz4") == both


@pytest.mark.parametrize(
    "text",
    [
        *("disk", "=1M", "disk=", "disk=0", "disk=100", "a/b=1M", "a,b=1M", 1, ("a",)),
        *(("a", 4096, 1, 1), ("a", 4096, 1, "lz4", 1), "a=1M,codec", "a=1M,codec=", "a=1M,codec=2"),
        *("a=1M,codec=lzo", "a=1M,codec=lz4,codec=lz4", "a=1M,lz4", "a=1M,codec=lz4,"),
        *("a=1M,", "a=1M,2", "a=1M,replicas", "a=1M,replicas=", "a=1M,replicas=0"),
        *("a=1M,replicas=9", "a=1M,replicas=x", "a=1M,copies=2", "a=1M,replicas=2,replicas=2"),
    ],
)
def test_what_is_no_export_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_export(text)


@pytest.mark.parametrize("text", ["", "-a", "a b", "é", "a" * 64, "a\n", 7])
def test_what_is_no_name_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_name(text)
