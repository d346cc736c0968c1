"""The ``ramster`` program: finds the sub-command and turns errors into one line and an exit code.

Covers: parsing, exit codes. Does not cover: what the sub-commands do (``commands/``).

Exit codes: 0 done; 1 it failed; 2 a flag, key or variable is wrong; 130 interrupted. Sub-
commands are imported when called, so that each starts fast and loads only what it needs.
"""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, NoReturn

from ramster._version import __version__
from ramster.errors import ConfigurationError, MissingExtraError

__all__ = ["COMMANDS", "build_parser", "main"]

COMMANDS = {
    "serve": "run a node in the foreground until SIGTERM or SIGINT",
    "stat": "show the figures of a running node",
    "top": "watch the cluster, live in a terminal, from one of its nodes",
    "drain": "have the node on this machine hand over the pages of others, and stop",
    "config": "print the effective configuration as a file, with the source of each value",
    "info": "print what this installation can do",
    "bench": "run benchmarks, compare and show their results",
    "doctor": "say what this machine lacks for each feature, and how to put it right",
    "estimate": "sample the memory of a process, or files, and say what zcache would give",
    "demo": "start three nodes on this machine, fill the first one, read all back and compare",
}


class _Parser(argparse.ArgumentParser):
    """An argparse parser whose errors are one line that says what is accepted."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message} (see {self.prog} --help)", file=sys.stderr)
        raise SystemExit(2)

    def _more(self) -> str:
        positional = any(not action.option_strings for action in self._actions)
        return "more " if positional else ""

    def refuse_unknown(self, unknown: Sequence[str]) -> NoReturn:
        """End with a line that names the flag and the nearest one that exists."""
        flag = unknown[0].partition("=")[0]
        if not flag.startswith("-"):
            self.error(f"{flag}: nothing {self._more()}is expected beside flags")
        known = [name for action in self._actions for name in action.option_strings]
        near = difflib.get_close_matches(flag, known, n=1, cutoff=0.6)
        self.error(f"{flag}: no such flag" + (f"; did you mean {near[0]}?" if near else ""))


def build_parser(command: str) -> _Parser:
    """The parser of one sub-command."""
    parser = _Parser(prog=f"ramster {command}", description=COMMANDS[command])
    import_module(f"ramster.commands.{command}").add_flags(parser)
    return parser


def _usage() -> str:
    width = max(map(len, COMMANDS))
    return "\n".join(
        [
            "usage: ramster COMMAND [flags]",
            "",
            "A compressed page cache that lends and borrows memory between machines.",
            "",
            *(f"  {name:{width}}  {text}" for name, text in COMMANDS.items()),
            "",
            "ramster COMMAND --help shows the flags of a command; ramster --version the version.",
        ]
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help", "help"):
        print(_usage(), file=sys.stdout if words else sys.stderr)
        return 0 if words else 2
    if words[0] in ("-V", "--version"):
        print(f"ramster {__version__}")
        return 0
    if words[0] not in COMMANDS:
        near = difflib.get_close_matches(words[0], COMMANDS, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]}?" if near else ""
        accepted = ", ".join(COMMANDS)
        print(f"ramster: {words[0]}: no such command{hint} (there are {accepted})", file=sys.stderr)
        return 2
    return _run(words[0], words[1:])


def _run(command: str, words: list[str]) -> int:
    try:
        parser = build_parser(command)
        run: Callable[[argparse.Namespace], int] = import_module(f"ramster.commands.{command}").run
    except ValueError as error:  # ZCACHE_BACKEND asks for what is not there: zcache's ConfigError
        if not hasattr(error, "accepted"):
            raise
        print(f"ramster {command}: {error}", file=sys.stderr)
        return 2
    arguments, unknown = parser.parse_known_args(words)
    if unknown:
        parser.refuse_unknown(unknown)
    try:
        return run(arguments)
    except (ConfigurationError, MissingExtraError) as error:
        print(f"ramster {command}: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # The reader of standard output went away (| head). Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
