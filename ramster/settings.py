"""One row of the table of settings: its key, how its values are read and shown, what it is for.

Covers: ``Setting`` and the kinds of values. Does not cover: the table itself (``config.py``),
where values come from (``config_sources.py``), how texts are read (``quantities.py``,
``addresses.py``).

Readers take texts, values of TOML and finished values, and give the same for the same: reading
twice changes nothing.
"""

from __future__ import annotations

import enum
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from ramster.addresses import (
    PEER_PORT,
    STATS_PORT,
    Address,
    ExportSpec,
    parse_address,
    parse_export,
    parse_name,
    parse_nbd_url,
)
from ramster.limits import REPLICAS_MAX
from ramster.quantities import (
    format_duration,
    format_size,
    parse_count,
    parse_duration,
    parse_share,
    parse_size,
)
from zcache.config import CODECS

__all__ = [
    "ADDRESS",
    "DURATION",
    "ENVIRONMENT_PREFIX",
    "EXPORT",
    "HTTP",
    "MODE",
    "NAME",
    "NBD_URL",
    "OPTIONAL_PATH",
    "OPTIONAL_SIZE",
    "SHARE",
    "SIZE",
    "SWITCH",
    "TARGET",
    "WAIT",
    "Kind",
    "Mode",
    "Setting",
    "choice",
    "count",
]

ENVIRONMENT_PREFIX = "RAMSTER_"

T = TypeVar("T")


class Mode(enum.StrEnum):
    """The run-time switch."""

    ZCACHE = "zcache"
    """This node alone: no peers, no port for peers, grpc is never imported."""
    RAMSTER = "ramster"
    """The same, plus the peer layer."""


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """How values of one kind are read, shown and described.

    ``parse`` raises ValueError. ``render`` gives the text that ``parse`` takes back.
    ``accepted`` ends the sentence "accepted is ...".
    """

    parse: Callable[[object], T]
    render: Callable[[T], str]
    accepted: str
    metavar: str
    separator: str = ","
    """What is between the items of a list in the environment; a regular expression."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A row: the key ``pool_limit`` is the flag ``--pool-limit`` and the variable
    ``RAMSTER_POOL_LIMIT``."""

    key: str
    kind: Kind[Any]
    default: Any
    help: str
    group: str
    repeatable: bool = False
    default_text: str = ""
    """How the default is described where its value depends on the machine or on other settings."""

    @property
    def flag(self) -> str:
        """The flag of ``ramster serve``."""
        return "--" + self.key.replace("_", "-")

    @property
    def variable(self) -> str:
        """The environment variable."""
        return ENVIRONMENT_PREFIX + self.key.upper()

    @property
    def accepted(self) -> str:
        """What a value may be."""
        return f"a list, each item {self.kind.accepted}" if self.repeatable else self.kind.accepted

    def parse(self, value: object) -> Any:
        """The value of a text, of a list of texts, or of a finished value. Raises ValueError."""
        if not self.repeatable:
            return self.kind.parse(value)
        if not isinstance(value, list | tuple):
            raise ValueError(value)
        return tuple(self.kind.parse(item) for item in value)

    def split(self, text: str) -> list[str]:
        """The items of a list as it stands in the environment."""
        return [item for part in re.split(self.kind.separator, text) if (item := part.strip())]

    def render(self, value: Any) -> str | list[str]:
        """What ``parse`` takes back."""
        if self.repeatable:
            return [self.kind.render(item) for item in value]
        return self.kind.render(value)

    def describe_default(self) -> str:
        """The default, for help texts and documentation."""
        if self.default_text:
            return self.default_text
        shown = self.render(self.default)
        return (", ".join(shown) or "none") if isinstance(shown, list) else shown


def choice(*choices: str) -> Kind[str]:
    """One of some words."""

    def parse(value: object) -> str:
        if value not in choices:
            raise ValueError(value)
        return str(value)

    return Kind(parse, str, "one of: " + ", ".join(choices), "|".join(choices))


def count(least: int, most: int) -> Kind[int]:
    """A whole number within bounds."""
    accepted = f"a whole number from {least} to {most}"
    return Kind(partial(parse_count, least=least, most=most), str, accepted, "N")


def _parse_mode(value: object) -> Mode:
    if not isinstance(value, str):
        raise ValueError(value)
    return Mode(value)


def _parse_http(value: object) -> Address | None:
    return None if value in ("off", None) else parse_address(value, STATS_PORT)


def _render_http(value: Address | None) -> str:
    return "off" if value is None else str(value)


def _parse_path(value: object) -> str | None:
    if value in ("none", None):
        return None
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if not isinstance(value, str) or not value.isprintable() or not 0 < len(value) < 4096:
        raise ValueError(value)
    return value


def _parse_optional_size(value: object) -> int | None:
    return None if value in ("none", None) else parse_size(value)


def _parse_switch(value: object) -> bool:
    if value in ("on", "off"):
        return value == "on"
    if not isinstance(value, bool):
        raise ValueError(value)
    return value


def _render_switch(value: bool) -> str:
    return "on" if value else "off"


_NAME_RULE = "1 to 63 letters, digits, '.', '_' or '-', the first a letter or digit"

MODE: Kind[Mode] = Kind(_parse_mode, str, "one of: zcache, ramster", "zcache|ramster")
NAME: Kind[str] = Kind(parse_name, str, _NAME_RULE, "NAME")
TARGET: Kind[str] = Kind(parse_name, str, "auto, none, or the name of a peer", "NAME|auto|none")
SIZE: Kind[int] = Kind(
    parse_size,
    format_size,
    "whole bytes, or a number with K, M, G, T or KiB, MiB, GiB, TiB (powers of 1024)",
    "SIZE",
)
OPTIONAL_SIZE: Kind[int | None] = Kind(
    _parse_optional_size,
    lambda size: "none" if size is None else format_size(size),
    f"{SIZE.accepted}; or none",
    "SIZE|none",
)
OPTIONAL_PATH: Kind[str | None] = Kind(
    _parse_path,
    lambda path: "none" if path is None else path,
    "a path of printable characters (./none for a file of that name), or none",
    "FILE|none",
)
DURATION: Kind[float] = Kind(
    parse_duration, format_duration, "a time above 0 such as 2s, 500ms or 1.5min", "TIME"
)
SHARE: Kind[float] = Kind(parse_share, repr, "a number above 0, at most 1", "SHARE")
WAIT: Kind[float] = Kind(
    partial(parse_duration, zero=True),
    format_duration,
    "0, or a time such as 2s, 500ms or 1.5min",
    "TIME",
)
SWITCH: Kind[bool] = Kind(_parse_switch, _render_switch, "on or off", "on|off")
ADDRESS: Kind[Address] = Kind(
    partial(parse_address, default_port=PEER_PORT),
    str,
    f"HOST:PORT, or HOST alone for port {PEER_PORT}; IPv6 in brackets",
    "HOST:PORT",
)
HTTP: Kind[Address | None] = Kind(
    _parse_http,
    _render_http,
    f"HOST:PORT, HOST alone for port {STATS_PORT}, or off",
    "HOST:PORT|off",
)
NBD_URL: Kind[str] = Kind(
    parse_nbd_url,
    str,
    "tcp://HOST:PORT (port 10809 if left out) or unix:///PATH (at most 107 bytes)",
    "URL",
)
EXPORT: Kind[ExportSpec] = Kind(
    parse_export,
    str,
    f"NAME=SIZE, NAME=SIZE,replicas=N or NAME=SIZE,codec=CODEC, or with both, the name "
    f"{_NAME_RULE}, the size a multiple of 4096 bytes, N from 1 to {REPLICAS_MAX}, CODEC one of: "
    + ", ".join(CODECS),
    "NAME=SIZE[,replicas=N][,codec=CODEC]",
    # No export has so few bytes, or such words for a size: these belong to the item before.
    separator=rf",(?!\s*(?:replicas=\d{{1,3}}|codec=(?:{'|'.join(CODECS)}))\s*(?:,|$))",
)
