"""Dataclasses to JSON and back, every value checked against its declared type.

Covers: dataclasses of plain values, enumerations, mappings by text, sequences, alternatives. Does
not cover: what the values mean.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from enum import Enum
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

__all__ = ["dump", "load"]

T = TypeVar("T")


def dump(value: Any) -> Any:
    """A dataclass as what ``json.dump`` takes."""
    if dataclasses.is_dataclass(value):
        fields = dataclasses.fields(value)
        return {field.name: dump(getattr(value, field.name)) for field in fields}
    if isinstance(value, Mapping):
        return {key: dump(inner) for key, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [dump(inner) for inner in value]
    return value


def load(kind: type[T], value: Any) -> T:
    """What ``dump`` gave, back. Raises ValueError that names the place and what is expected there.
    Keys that the dataclass does not have, or that are missing and have no default, are refused."""
    loaded: T = _load(kind, value, "")
    return loaded


def _load(kind: Any, value: Any, place: str) -> Any:
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return _load_one_of(inner, value, place)
    if origin is not None and issubclass(origin, Mapping) and isinstance(value, dict):
        return {key: _load(inner[1], each, f"{place}.{key}") for key, each in value.items()}
    if origin is not None and issubclass(origin, Sequence) and isinstance(value, list):
        each_kind = inner[0]
        rows = [_load(each_kind, each, f"{place}[{at}]") for at, each in enumerate(value)]
        return tuple(rows) if origin is tuple else rows
    if dataclasses.is_dataclass(kind) and isinstance(kind, type) and isinstance(value, dict):
        return _load_fields(kind, value, place)
    if isinstance(kind, type) and issubclass(kind, Enum):
        try:
            return kind(value)
        except ValueError:
            names = ", ".join(str(member.value) for member in kind)
            raise ValueError(f"{place or 'it'} is {value!r}, not one of: {names}") from None
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is kind and (kind is not float or math.isfinite(value)):
        return value
    raise ValueError(f"{place.lstrip('.') or 'it'} is {_short(value)}, not {_name(kind)}")


def _load_one_of(kinds: Sequence[Any], value: Any, place: str) -> Any:
    # The type itself first, so that 1 stays an int where floats are taken, too.
    for kind in kinds:
        if type(value) is kind:
            return _load(kind, value, place)
    errors = []
    for kind in kinds:
        try:
            return _load(kind, value, place)
        except ValueError as error:
            errors.append(error)
    plain = [kind for kind in kinds if kind is not NoneType]
    if len(plain) == 1 and value is not None:
        raise errors[kinds.index(plain[0])]
    names = " or ".join(_name(kind) for kind in kinds)
    raise ValueError(f"{place.lstrip('.') or 'it'} is {_short(value)}, not {names}")


def _load_fields(kind: Any, value: Mapping[str, Any], place: str) -> Any:
    types = get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    where = place.lstrip(".") or "it"
    if unknown := value.keys() - fields.keys():
        raise ValueError(f"{where} has what is not known here: {', '.join(sorted(unknown))}")
    for name, field in fields.items():
        optional = field.default, field.default_factory
        if name not in value and optional == (dataclasses.MISSING, dataclasses.MISSING):
            raise ValueError(f"{where} has no {name}")
    return kind(
        **{name: _load(types[name], each, f"{place}.{name}") for name, each in value.items()}
    )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _name(kind: Any) -> str:
    names = {float: "a number", int: "a whole number", str: "text", bool: "true or false"}
    if kind in names:
        return names[kind]
    if kind is NoneType:
        return "null"
    origin = get_origin(kind) or kind
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return "a list"
    return "an object"
