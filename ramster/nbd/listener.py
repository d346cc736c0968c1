"""Sockets to listen on, from URLs, with errors that say what is in the way.

Covers: ``tcp://HOST:PORT`` (port 0: any free one; IPv6 in brackets) and ``unix:///PATH`` (a socket
left by a process that died is replaced, a live one or any other file is not). Does not cover: what
is spoken there.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from typing import NamedTuple
from urllib.parse import quote, unquote

from ramster.addresses import ABSENT_FAMILY, parse_address, parse_nbd_url
from ramster.errors import ConfigurationError, ListenError
from ramster.nbd.protocol import DEFAULT_PORT

__all__ = ["Listener", "nbd_uri", "open_listener", "split_url"]

BACKLOG = 128
_ACCEPTED = "tcp://HOST:PORT, tcp://[IPV6]:PORT or unix:///PATH (at most 107 bytes)"


class Listener(NamedTuple):
    """Listening sockets under one URL; a host name can stand for several addresses."""

    url: str
    sockets: list[socket.socket]
    path: str | None
    identity: tuple[int, int]
    """Device and inode of the Unix socket."""

    def remove_path(self) -> None:
        """Remove the Unix socket, unless another file is there by now."""
        if self.path is None:
            return
        with contextlib.suppress(FileNotFoundError):
            found = os.stat(self.path, follow_symlinks=False)
            if (found.st_dev, found.st_ino) == self.identity:
                os.unlink(self.path)


def split_url(url: str) -> tuple[str, int] | str:
    """(host, port) of a TCP URL, or the path of a Unix one. Raises ConfigurationError."""
    try:
        full = parse_nbd_url(url)
    except ValueError as error:
        raise ConfigurationError("nbd", url, "NBD URL", _ACCEPTED) from error
    scheme, _, rest = full.partition("://")
    if scheme == "unix":
        return unquote(rest)
    return parse_address(rest, DEFAULT_PORT)


def nbd_uri(url: str, export: str = "") -> str:
    """The URL as other NBD programs write it: nbd://HOST:PORT/EXPORT,
    nbd+unix:///EXPORT?socket=PATH.
    """
    place = split_url(url)
    if isinstance(place, str):
        return f"nbd+unix:///{quote(export, safe='')}?socket={quote(place)}"
    host, port = place
    return f"nbd://{f'[{host}]' if ':' in host else host}:{port}/{quote(export, safe='')}"


def open_listener(url: str) -> Listener:
    """Bind and listen. Raises ConfigurationError (not such a URL) and ListenError."""
    place = split_url(url)
    if isinstance(place, str):
        sock = _bind_unix(url, place)
        found = os.stat(place, follow_symlinks=False)
        return Listener(f"unix://{quote(place)}", [sock], place, (found.st_dev, found.st_ino))
    sockets = _bind_tcp(url, *place)
    host, port = place[0], sockets[0].getsockname()[1]
    bound = f"tcp://{f'[{host}]' if ':' in host else host}:{port}"
    return Listener(bound, sockets, None, (0, 0))


def _failure(url: str, error: OSError, reason: str) -> ListenError:
    return ListenError(error.errno or 0, f"cannot listen on {url}: {reason}")


def _bind_tcp(url: str, host: str, port: int) -> list[socket.socket]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise _failure(url, error, f"host {host!r} is not known ({error.strerror})") from error
    sockets: list[socket.socket] = []
    missing: OSError | None = None
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            # The first address decides which free port the others take.
            wanted = sockets[0].getsockname()[1] if sockets else port
            try:
                sockets.append(_bound(family, kind, protocol, (address[0], wanted, *address[2:])))
            except OSError as error:
                if error.errno not in ABSENT_FAMILY:
                    raise
                missing = error
        if not sockets and missing is not None:
            raise missing
    except OSError as error:
        for sock in sockets:
            sock.close()
        raise _failure(url, error, error.strerror or str(error)) from error
    return sockets


def _bound(family: int, kind: int, protocol: int, address: tuple[str | int, ...]) -> socket.socket:
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def _bind_unix(url: str, path: str) -> socket.socket:
    try:
        _remove_stale(path)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.bind(path)
            sock.listen(BACKLOG)
            sock.setblocking(False)
        except BaseException:
            sock.close()
            raise
    except OSError as error:
        raise _failure(url, error, error.strerror or str(error)) from error
    return sock


def _remove_stale(path: str) -> None:
    """Remove a socket that nobody listens on. Raises OSError if something else is there."""
    try:
        mode = os.stat(path, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise FileExistsError(errno.EEXIST, "a file that is no socket is there")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except BlockingIOError:
            pass  # its queue is full: somebody listens
    raise OSError(errno.EADDRINUSE, "another process listens there")
