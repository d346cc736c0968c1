"""Whether a node can listen where it is configured to, or one of ours does so already.

Covers: binding TCP addresses and letting go of them, looking at Unix sockets without making one.
Does not cover: whether peers answer (``reachability.py``).
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import stat
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from ramster.addresses import ABSENT_FAMILY, Address, parse_address
from ramster.config import Mode, NodeConfig
from ramster.doctor.findings import Feature, Finding, Status

__all__ = ["check_listening"]


def check_listening(config: NodeConfig, running: Mapping[str, Any] | None) -> list[Finding]:
    """Every address of the configuration; ``running``: figures of the node that answers where this
    one would show its figures."""
    endpoints = {} if running is None else running.get("endpoints") or {}
    taken = [str(endpoints.get("http", "")), str(endpoints.get("peers", ""))]
    taken += [str(url) for url in endpoints.get("nbd") or []]
    name = "" if running is None else f"node {running.get('name')} (pid {running.get('pid')})"
    findings = []
    if config.http is not None:
        findings.append(_tcp(Feature.FIGURES, "http", config.http, taken, name))
    if config.mode is Mode.RAMSTER:
        findings.append(_tcp(Feature.PEERS, "listen", config.listen, taken, name))
        findings += _reach(config)
    for url in config.nbd:
        scheme, _, rest = url.partition("://")
        if scheme == "unix":
            findings.append(_unix(unquote(rest), url in taken, name))
        else:
            findings.append(_tcp(Feature.NBD, "nbd", parse_address(rest, 0), taken, name))
    return findings


def _reach(config: NodeConfig) -> list[Finding]:
    """A note where this node listens on loopback and has peers on other machines."""
    elsewhere = [peer for peer in config.peer if not _is_loopback(peer.host)]
    if not elsewhere or not _is_loopback(config.listen.host):
        return []
    found = f"{config.listen} is this machine alone: {elsewhere[0]} cannot spill to it"
    fix = "--listen with this machine's address, on a network you trust: nothing is authenticated"
    return [Finding(Feature.PEERS, "listen", Status.NOTE, found, fix)]


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False  # a name: not looked up again


def _tcp(feature: Feature, setting: str, address: Address, taken: list[str], name: str) -> Finding:
    if address.port == 0:
        return Finding(feature, setting, Status.OK, f"{address}: any free port")
    refused = _bind(address)
    if refused is None:
        return Finding(feature, setting, Status.OK, f"{address} is free")
    if refused.errno == errno.EADDRINUSE:
        if any(place.rpartition(":")[2].rstrip("/") == str(address.port) for place in taken):
            return Finding(feature, setting, Status.OK, f"{address}: {name} listens there")
        fix = (
            f"who it is: sudo ss -ltnp 'sport = :{address.port}'; or another address for {setting}"
        )
        found = f"{address} is taken by another program"
        return Finding(feature, setting, Status.BAD, found, fix)
    found = f"{address}: {refused.strerror or refused}"
    if isinstance(refused, socket.gaierror):
        fix = "a name that resolves here (/etc/hosts, DNS), or a number"
    elif refused.errno == errno.EACCES:
        fix = "a port from 1024 on, or CAP_NET_BIND_SERVICE"
    else:
        fix = "an address of this machine (ip address shows them), or 0.0.0.0 for all of them"
    return Finding(feature, setting, Status.BAD, found, fix)


def _bind(address: Address) -> OSError | None:
    """What stands in the way; as the servers bind, and nothing ever listens."""
    try:
        found = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        return error
    absent: OSError | None = None
    bound = 0
    for family, kind, protocol, _, place in found:
        try:
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind(place)
                bound += 1
        except OSError as error:
            if error.errno not in ABSENT_FAMILY:
                return error
            absent = error
    return None if bound else absent


def _unix(path: str, ours: bool, name: str) -> Finding:
    if ours:
        return Finding(Feature.NBD, "nbd", Status.OK, f"{path}: {name} listens there")
    folder = os.path.dirname(path)
    try:
        mode = os.stat(path, follow_symlinks=False).st_mode
    except FileNotFoundError:
        if not os.path.isdir(folder):
            found, fix = f"{folder} is not there", f"sudo mkdir -p {folder}"
            return Finding(Feature.NBD, "nbd", Status.MISSING, found, fix)
        if not os.access(folder, os.W_OK | os.X_OK):
            found = f"{folder} is not writable for this user"
            return Finding(Feature.NBD, "nbd", Status.BAD, found, "another folder for the socket")
        return Finding(Feature.NBD, "nbd", Status.OK, f"{path} is free")
    except OSError as error:
        found = f"{path}: {error.strerror}"
        return Finding(Feature.NBD, "nbd", Status.BAD, found, "another folder for the socket")
    if not stat.S_ISSOCK(mode):
        found = f"{path} is there and no socket"
        return Finding(Feature.NBD, "nbd", Status.BAD, found, "another path, or remove it")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            found = f"{path}: left over, a node removes it when it starts"
            return Finding(Feature.NBD, "nbd", Status.OK, found)
        except OSError as error:
            if not isinstance(error, BlockingIOError):
                found = f"{path}: {error.strerror}"
                return Finding(Feature.NBD, "nbd", Status.BAD, found, "another path")
    found, fix = f"{path}: another program listens there", f"who it is: sudo ss -lxp src {path}"
    return Finding(Feature.NBD, "nbd", Status.BAD, found, fix)
