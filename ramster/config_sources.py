"""Where a node's configuration comes from: flags over environment over file over defaults.

Covers: reading the three sources, the name of each value's source, unknown keys and variables,
and the effective configuration as a file. Does not cover: the table and its checks
(``config.py``), argparse (``cli.py``).

In the environment a list is separated by commas (``,replicas=N`` and ``,codec=NAME`` belong to
the export before). A source that gives a list replaces the whole list of the sources below it.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ramster.config import SETTINGS, SETTINGS_BY_KEY, NodeConfig
from ramster.errors import ConfigurationError
from ramster.settings import ENVIRONMENT_PREFIX, Setting

__all__ = ["CONFIG_VARIABLE", "OTHER_VARIABLES", "LoadedConfig", "load_config"]

CONFIG_VARIABLE = "RAMSTER_CONFIG"
"""The configuration file, for want of --config."""

OTHER_VARIABLES = (
    "RAMSTER_REQUIRE_",
    "RAMSTER_TEST_",
    "RAMSTER_IMAGE=",
    "RAMSTER_NBD_PORT=",
    "RAMSTER_HTTP_PORT=",
    "RAMSTER_SERVICE_",
    "RAMSTER_PORT_",
    "RAMSTER_PORT=tcp://",
)
"""Beginnings of VARIABLE=value that are no settings: of the test suite, of docker-compose.yml,
and what Kubernetes sets in every container beside a service called ramster."""

_FILE_BYTES_MAX = 2**20


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A configuration, and for each key where its value came from."""

    config: NodeConfig
    sources: dict[str, str]

    def to_toml(self) -> str:
        """The effective configuration as a file that can be used again, sources as comments."""
        lines: list[str] = []
        group = ""
        for setting in SETTINGS:
            if setting.group != group:
                group = setting.group
                lines += [*([""] if lines else []), f"# {group}"]
            value = getattr(self.config, setting.key)
            if setting.key == "lend_limit":
                value = self.config.lend_bytes
            lines.append(f"{setting.key} = {_toml(setting, value)}  # {self.sources[setting.key]}")
        return "\n".join(lines) + "\n"


def _toml(setting: Setting, value: object) -> str:
    """A TOML value. JSON's strings are TOML's, as no value holds control characters."""
    if isinstance(value, bool):
        return json.dumps(value)
    rendered = setting.render(value)
    if isinstance(value, float | int) and rendered == repr(value):
        return repr(value)
    return json.dumps(rendered, ensure_ascii=False)


def load_config(
    flags: Mapping[str, str | list[str]], environ: Mapping[str, str], file: str | None = None
) -> LoadedConfig:
    """The configuration of the given flags (by key), the environment, and a file.

    ``file`` overrides ``RAMSTER_CONFIG``. Raises ConfigurationError, which names key, source
    and what is accepted, also for a file that cannot be read.
    """
    values: dict[str, object] = {}
    sources: dict[str, str] = {}

    def take(key: str, value: object, source: str) -> None:
        values[key] = value
        sources[key] = source

    from_environment = dict(_read_environment(environ))
    named_by = "--config"
    if file is None:
        file, named_by = environ.get(CONFIG_VARIABLE) or None, CONFIG_VARIABLE
    if file is not None:
        for key, value in _read_file(file, named_by).items():
            take(key, value, file)
    for key, value in from_environment.items():
        take(key, value, SETTINGS_BY_KEY[key].variable)
    for key, value in flags.items():
        take(key, value, SETTINGS_BY_KEY[key].flag)

    for key, value in values.items():
        _check(SETTINGS_BY_KEY[key], value, sources[key])
    try:
        config = NodeConfig(**values)  # type: ignore[arg-type]  # checked against the table above
    except ConfigurationError as error:
        source = sources.get(error.key, "default")
        raise ConfigurationError(error.key, error.value, source, error.accepted) from None
    for setting in SETTINGS:
        described = f": {setting.default_text}" if setting.default_text else ""
        sources.setdefault(setting.key, f"default{described}")
    return LoadedConfig(config, sources)


def _check(setting: Setting, value: object, source: str) -> None:
    try:
        setting.parse(value)
    except ValueError:
        raise ConfigurationError(setting.key, value, source, setting.accepted) from None


def _read_environment(environ: Mapping[str, str]) -> Iterable[tuple[str, str | list[str]]]:
    known = {setting.variable: setting for setting in SETTINGS}
    for variable, text in sorted(environ.items()):
        if not variable.startswith(ENVIRONMENT_PREFIX) or variable == CONFIG_VARIABLE:
            continue
        setting = known.get(variable)
        if setting is None:
            if f"{variable}={text}".startswith(OTHER_VARIABLES):
                continue
            near = _nearest(variable, [*known, CONFIG_VARIABLE])
            accepted = f"a known variable{near}"
            raise ConfigurationError(variable, text, "environment", accepted)
        if setting.repeatable:
            yield setting.key, setting.split(text)
        else:
            yield setting.key, text


def _read_file(file: str, named_by: str) -> dict[str, object]:
    try:
        with Path(file).open("rb") as stream:
            raw = stream.read(_FILE_BYTES_MAX + 1)
        if len(raw) > _FILE_BYTES_MAX:
            raise ConfigurationError(
                "config", file, named_by, f"a file of at most {_FILE_BYTES_MAX} bytes"
            )
        values = tomllib.loads(raw.decode())
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigurationError("config", file, named_by, f"a readable file ({reason})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise ConfigurationError("config", file, file, f"a TOML file ({reason})") from None
    for key, value in values.items():
        if key not in SETTINGS_BY_KEY:
            accepted = f"a known key{_nearest(key, SETTINGS_BY_KEY)}"
            raise ConfigurationError(key, value, file, accepted)
    return values


def _nearest(word: str, known: Iterable[str]) -> str:
    # Without what all variables begin with, which would make every one of them look near.
    names = {name.removeprefix(ENVIRONMENT_PREFIX): name for name in known}
    near = difflib.get_close_matches(word.removeprefix(ENVIRONMENT_PREFIX), names, n=1, cutoff=0.6)
    return f"; did you mean {names[near[0]]}?" if near else "; ramster config shows them all"
