"""Where things listen: HOST:PORT pairs, NBD addresses and exports, as people write them.

Covers: text to values and back, without looking names up. Does not cover: opening sockets.
Parsing takes values that were parsed before as they are, so that it may be done twice.
"""

from __future__ import annotations

import errno
import re
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

from ramster.limits import REPLICAS_MAX
from ramster.quantities import format_size, parse_count, parse_size
from zcache.config import CODECS

__all__ = [
    "ABSENT_FAMILY",
    "NBD_PORT",
    "PEER_PORT",
    "STATS_PORT",
    "Address",
    "ExportSpec",
    "parse_address",
    "parse_export",
    "parse_name",
    "parse_nbd_url",
]

ABSENT_FAMILY = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
"""Errors of binding an address whose family this machine lacks: a name such as localhost may have
an IPv6 address where there is no IPv6."""

PEER_PORT = 7777
"""Where peers listen unless told otherwise."""
STATS_PORT = 7780
"""Where figures are served unless told otherwise."""
NBD_PORT = 10809
"""The port that IANA gave to NBD."""

_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252}[A-Za-z0-9_.])?", re.ASCII)
_IPV6 = re.compile(r"[0-9A-Fa-f:.]{2,45}(%[A-Za-z0-9_.-]{1,15})?", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", re.ASCII)


class Address(NamedTuple):
    """A host (name or number) and a port; port 0 means any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class ExportSpec(NamedTuple):
    """A block device to serve."""

    name: str
    size_bytes: int
    replicas: int | None = None
    """Copies of each of its pages that leaves; None: as the node does."""
    codec: str | None = None
    """How its pages are compressed; None: as the node does."""

    def __str__(self) -> str:
        replicas = "" if self.replicas is None else f",replicas={self.replicas}"
        codec = "" if self.codec is None else f",codec={self.codec}"
        return f"{self.name}={format_size(self.size_bytes)}{replicas}{codec}"


def parse_address(value: object, default_port: int) -> Address:
    """``HOST:PORT``, ``HOST``, ``[IPV6]:PORT`` or ``[IPV6]``. Raises ValueError."""
    if isinstance(value, Address):
        value = str(value)
    if not isinstance(value, str):
        raise ValueError(value)
    if value.startswith("["):
        host, bracket, rest = value[1:].partition("]")
        if not bracket or not _IPV6.fullmatch(host) or ":" not in host:
            raise ValueError(value)
        if rest and not rest.startswith(":"):
            raise ValueError(value)
        port = rest[1:] if rest else str(default_port)
    else:
        host, colon, port = value.partition(":")
        port = port if colon else str(default_port)
        if not _HOST.fullmatch(host):
            raise ValueError(value)
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535):
        raise ValueError(value)
    return Address(host, int(port))


def parse_nbd_url(value: object) -> str:
    """``tcp://HOST[:PORT]`` or ``unix:///PATH``, in its full form. Raises ValueError.

    Paths may hold %-escapes, as in any URL.
    """
    if not isinstance(value, str):
        raise ValueError(value)
    scheme, separator, rest = value.partition("://")
    if separator and scheme == "tcp":
        return f"tcp://{parse_address(rest.removesuffix('/'), NBD_PORT)}"
    if separator and scheme == "unix":
        path = unquote(urlsplit(value).path)
        # The kernel's limit for the path of a Unix socket is 107 bytes and a zero byte.
        if (
            rest.startswith("/")
            and len(path) > 1
            and len(path.encode()) <= 107
            and "\0" not in path
        ):
            return f"unix://{quote(path)}"
    raise ValueError(value)


def parse_export(value: object) -> ExportSpec:
    """``NAME=SIZE``, then ``,replicas=N`` and ``,codec=NAME`` where wanted; the size is a multiple
    of 4096 of at least one page. Raises ValueError."""
    if isinstance(value, str):
        name, equals, rest = value.partition("=")
        size, *options = rest.split(",")
        given: dict[str, str] = {}
        for option in options:
            word, _, text = option.strip().partition("=")
            if word in given or word not in ("replicas", "codec"):
                raise ValueError(value)
            given[word] = text
        if not equals:
            raise ValueError(value)
        value = (name, size, given.get("replicas"), given.get("codec"))
    if not isinstance(value, tuple) or not 2 <= len(value) <= 4:
        raise ValueError(value)
    name, size, replicas, codec = (*value, None, None)[:4]
    if replicas is not None:
        replicas = parse_count(replicas, most=REPLICAS_MAX)
    if codec is not None and codec not in CODECS:
        raise ValueError(value)
    spec = ExportSpec(parse_name(name), parse_size(size), replicas, codec)
    # 2**62: NBD's offsets are unsigned 64 bits, Linux's loff_t is signed.
    if not 4096 <= spec.size_bytes <= 2**62 or spec.size_bytes % 4096:
        raise ValueError(value)
    return spec


def parse_name(value: object) -> str:
    """A name of a node, a cluster or an export: up to 63 letters, digits, ``.``, ``_``, ``-``."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise ValueError(value)
    return value
