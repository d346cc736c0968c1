"""Builds, backends and environments that are measured side by side.

Covers: reading ``--variant``, a variant's interpreter and environment. Does not cover: running it
(``children.py``).
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ramster.errors import BenchError
from ramster.settings import ENVIRONMENT_PREFIX

__all__ = ["NAME", "Variant", "parse_variants"]

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
"""What a result may be called: it names a file."""

_ACCEPTED = "NAME[=PYTHON][,VARIABLE=VALUE...], the name of letters, digits and . _ + -"
_SYNTAX = re.compile(r"(?P<name>[^=,]+)(?:=(?P<python>[^,]+))?(?:,(?P<rest>.*))?", re.S)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Variant:
    """One build in one environment."""

    name: str
    python: str = sys.executable
    variables: Mapping[str, str] = field(default_factory=dict)
    """Set for its processes, beside the environment of this one."""

    def environment(self) -> dict[str, str]:
        """The whole environment of its processes.

        This interpreter's variant runs the package that is running now, unless PYTHONPATH says
        otherwise; another interpreter runs its own, and is not led back here by our PYTHONPATH.
        """
        found = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        if self.python == sys.executable:
            here = [_package_root(), os.environ.get("PYTHONPATH")]
            if path := os.pathsep.join(part for part in here if part):
                found["PYTHONPATH"] = path
        # What a measurement starts takes the package from there, too, not from the current folder.
        return found | {"PYTHONSAFEPATH": "1"} | dict(self.variables)


def parse_variants(texts: Sequence[str]) -> list[Variant]:
    """Read ``--variant`` as often as it is given. Raises BenchError."""
    found = [_parse(text) for text in texts]
    names = [variant.name for variant in found]
    for name in names:
        if names.count(name) > 1:
            raise BenchError(f"--variant {name}: accepted is each name only once")
    return found


def _parse(text: str) -> Variant:
    match = _SYNTAX.fullmatch(text)
    if match is None or not NAME.fullmatch(match["name"]):
        raise BenchError(f"--variant {text!r}: accepted is {_ACCEPTED}")
    variables = {}
    for part in match["rest"].split(",") if match["rest"] else ():
        key, equals, value = part.partition("=")
        if not equals or not _VARIABLE.fullmatch(key):
            raise BenchError(f"--variant {text!r}: {part!r} is no VARIABLE=VALUE")
        if key.startswith(ENVIRONMENT_PREFIX):
            raise BenchError(
                f"--variant {text!r}: {key} has no effect: benchmarks set up their nodes themselves"
            )
        variables[key] = value
    python = sys.executable
    if match["python"]:
        # Not resolved: an environment's interpreter is a link, and the link says which environment.
        found = shutil.which(match["python"])
        if found is None:
            raise BenchError(f"--variant {text!r}: there is no program {match['python']!r}")
        python = str(Path(found).absolute())
    return Variant(match["name"], python, variables)


def _package_root() -> str | None:
    """Where this package lies, unless every process of this interpreter finds it there anyway."""
    root = Path(__file__).resolve().parents[2]
    installed = {Path(sysconfig.get_path(key)).resolve() for key in ("purelib", "platlib")}
    return None if root in installed else str(root)
