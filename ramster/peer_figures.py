"""A node's figures on their way to another node: as bytes, and checked when they arrive.

Covers: size, form and types of what a peer sends, and that its texts are fit to be shown. Does not
cover: whether the numbers are true (nobody can tell), who is asked and when
(``cluster_figures.py``).

A peer is not trusted: what passes ``parse_figures`` is plain JSON, with finite numbers that fit 64
bits, printable texts and the fields that are shown, each of its type.
"""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from ramster.errors import BadMessageError
from ramster.figures import Figures
from ramster.transport import FIGURES_BYTES_MAX

__all__ = ["encode_figures", "parse_figures"]

DEPTH_MAX = 12
TEXT_CHARACTERS_MAX = 500
INTEGER_BITS_MAX = 64
VALUES_MAX = 20_000
"""Reading and checking so many takes some milliseconds, and what fits the bytes could be six times
as many. A node with 256 owners and as many peers tells some 6000."""

_NUMBER = (int, float)
_COUNT = (int,)
_TEXT = (str,)
_FLAG = (bool,)
_MAYBE_TEXT = (str, type(None))
_MAYBE_NUMBER = (int, float, type(None))
_MAYBE_COUNT = (int, type(None))

_Types = tuple[type, ...]
_Fields = dict[str, _Types]


def _each(types: _Types, names: str) -> _Fields:
    return dict.fromkeys(names.split(), types)


_NODE = (
    _each(_TEXT, "name mode state version backend")
    | _each(_NUMBER, "uptime_s")
    | _each(_MAYBE_COUNT, "started")
    | _each(_MAYBE_TEXT, "address")  # no node tells one, and the page reads it of silent ones
)
_SECTIONS = {
    "pool": _each(_COUNT, "limit_bytes used_bytes used_peak_bytes metadata_bytes lend_limit_bytes"),
    "pages": _each(
        _COUNT,
        "own local same_filled in_transit away unreachable lost under_replicated foreign",
    ),
    "bytes": _each(_COUNT, "logical compressed_here foreign frames"),
    "cache": _each(
        _COUNT,
        "puts puts_stored puts_refused_full gets get_hits get_misses gets_away gets_corrupt "
        "flushes",
    ),
}
"""Sections that every node has."""
_MAYBE_SECTIONS = {
    "cluster": _each(_TEXT, "incarnation")
    | _each(_FLAG, "draining")
    | _each(
        _COUNT,
        "spill_pages spill_bytes spill_bytes_in_flight writers_waiting fetches pages_fetched "
        "local_hits remote_hits readahead_hits",
    ),
    "writeback": _each(
        _COUNT,
        "pages used_bytes limit_bytes pages_written bytes_written pages_read bytes_read",
    ),
    "accounting": _each(_TEXT, "line"),
    "nbd": {},
    "latency": {},
}
"""Sections that may be null or absent."""
_COMPRESSED = _each(_COUNT, "total own_here foreign away at_peers on_disk")
_RESIDENT = _each(_COUNT, "total frames frames_kept index process other")
_ROWS = {
    "peers": _each(_TEXT, "address state reason")
    | _each(_MAYBE_TEXT, "node")
    | _each(_COUNT, "room_bytes pages_away wanted_bytes")
    | _each(_NUMBER, "heard_s")
    | _each(_MAYBE_NUMBER, "rtt_s")
    | _each(_FLAG, "draining"),
    "owners": _each(_TEXT, "owner") | _each(_COUNT, "pages") | _each(_NUMBER, "heard_s"),
}


def encode_figures(figures: Figures) -> bytes:
    """This node's figures as they travel, without the last owners where all would be too long.

    Raises RuntimeError where they are too long all the same: no fault of the peer that asks.
    """
    owners = figures["owners"]
    while len(data := _json(figures)) > FIGURES_BYTES_MAX and owners:
        owners = owners[: len(owners) // 2]
        figures = {**figures, "owners": owners}
    if len(data) > FIGURES_BYTES_MAX:
        raise RuntimeError(
            f"this node's figures take {len(data)} bytes: accepted is {FIGURES_BYTES_MAX}"
        )
    return data


def _json(figures: Figures) -> bytes:
    return json.dumps(figures, separators=(",", ":"), allow_nan=False).encode()


def parse_figures(data: bytes) -> Figures:
    """A peer's figures, fit to be shown.

    Raises BadMessageError that names what is wrong. Characters that cannot be printed become
    "?", and texts end after 500 characters.
    """
    if len(data) > FIGURES_BYTES_MAX:
        raise BadMessageError(f"figures of {len(data)} bytes: accepted is {FIGURES_BYTES_MAX}")
    # A value is the first of its list or object, or stands behind a comma; texts may count as more.
    if sum(map(data.count, (b",", b"[", b"{"))) > VALUES_MAX:
        raise BadMessageError(f"figures of too many values: accepted is {VALUES_MAX}")
    try:
        found = _plain(json.loads(data.decode(), parse_constant=_refuse), DEPTH_MAX)
    except (ValueError, RecursionError) as error:
        raise BadMessageError(f"figures that are no JSON of this kind: {error}") from error
    if not isinstance(found, dict):
        raise BadMessageError(f"figures that are {_named(found)}: accepted is an object")
    _check_fields("", found, _NODE)
    for name, fields in _SECTIONS.items():
        _check_fields(name, found.get(name), fields)
    for name, fields in _MAYBE_SECTIONS.items():
        if found.get(name) is not None:
            _check_fields(name, found[name], fields)
    for name, fields in _ROWS.items():
        rows = found.get(name)
        if not isinstance(rows, list):
            raise BadMessageError(f"{name}: {_named(rows)}, accepted is a list")
        for row in rows:
            _check_fields(name, row, fields)
    _check_accounting(found.get("accounting"))
    _check_histograms("latency", found.get("latency"))
    return found


def _check_accounting(accounting: Any) -> None:
    if accounting is None:
        return
    _check_fields("accounting.compressed", accounting.get("compressed"), _COMPRESSED)
    if accounting.get("resident") is not None:
        _check_fields("accounting.resident", accounting["resident"], _RESIDENT)


def _check_histograms(where: str, section: Any) -> None:
    """Durations by name, some of them by kind: what looks like a histogram must be one."""
    if not isinstance(section, dict):
        return
    for name, inner in section.items():
        _check_histograms(f"{where}.{name}", inner)
    if "counts" not in section and "bounds" not in section:
        return
    bounds: Any = section.get("bounds")
    counts: Any = section.get("counts")
    if not (_is_column(bounds, _NUMBER) and bounds and _is_column(counts, _COUNT)):
        raise BadMessageError(f"{where}: accepted is a histogram of bounds and counts")
    if len(counts) != len(bounds) + 1:
        raise BadMessageError(f"{where}: {len(counts)} counts, accepted is {len(bounds) + 1}")
    if min(counts) < 0:
        raise BadMessageError(f"{where}: a count of {min(counts)}, accepted is 0 or more")


def _is_column(column: Any, types: _Types) -> bool:
    return isinstance(column, list) and all(type(value) in types for value in column)


def _check_fields(where: str, section: Any, fields: _Fields) -> None:
    if not isinstance(section, dict):
        raise BadMessageError(f"{where}: {_named(section)}, accepted is an object")
    for key, types in fields.items():
        value = section.get(key)
        # In Python a bool is an int.
        if type(value) not in types:
            accepted = " or ".join(_NAMES[kind] for kind in types)
            name = f"{where}.{key}" if where else key
            raise BadMessageError(f"{name}: {_named(value)}, accepted is {accepted}")


_NAMES = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    list: "a list",
    dict: "an object",
    type(None): "null",
}


def _named(value: Any) -> str:
    return _NAMES[type(value)]


def _plain(value: Any, depth: int) -> Any:
    """A copy in which texts are printable. Raises ValueError."""
    if isinstance(value, str):
        return _printable(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError("a number that is not finite")
        return value
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        if value.bit_length() > INTEGER_BITS_MAX:
            raise ValueError(f"a number of more than {INTEGER_BITS_MAX} bits")
        return value
    if depth == 0:
        raise ValueError(f"it is nested more than {DEPTH_MAX} deep")
    if isinstance(value, list):
        return [_plain(item, depth - 1) for item in value]
    return {_printable(key): _plain(item, depth - 1) for key, item in value.items()}


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text[:TEXT_CHARACTERS_MAX])


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number of JSON")
