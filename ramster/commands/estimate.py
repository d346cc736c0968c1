"""``ramster estimate``: what zcache would give for a process's memory, or for files.

Covers: flags, exit codes. Does not cover: sampling and figures (``ramster/estimate``).

Reads, and changes nothing; no page is kept or shown. Exit code 1 where there is nothing to
estimate or it may not be read.
"""

from __future__ import annotations

import argparse
import json
import random
import secrets
import sys

from ramster.errors import ConfigurationError
from ramster.estimate.files import sample_files, sample_folder
from ramster.estimate.prediction import count_zeros, measure, predict
from ramster.estimate.process_memory import sample_process
from ramster.estimate.report import Estimate, as_json, render
from ramster.estimate.sampling import EstimateError, Sample
from ramster.quantities import parse_count, parse_duration
from zcache import CacheConfig
from zcache.backend import BACKEND
from zcache.config import CODECS, check_codec, usable_codecs
from zcache.errors import ConfigError
from zcache.zstd import INSTALLED

__all__ = ["add_flags", "run"]

_PAGES_LEAST, _PAGES_MOST = 64, 262144
"""The least says little; the most is 1 GiB of memory here."""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """A source, and how to sample it."""
    parser.usage = "%(prog)s (PID | --file PATH [--file PATH ...] | --dir DIR) [flags]"
    parser.add_argument(
        "pid",
        nargs="?",
        metavar="PID",
        help="a process, whose private anonymous memory is sampled",
    )
    parser.add_argument(
        "--file", action="append", metavar="PATH", help="a regular file; may be repeated"
    )
    parser.add_argument(
        "--dir",
        metavar="DIR",
        help="all regular files below a folder, on its file system; no symbolic link is followed",
    )
    parser.add_argument(
        "--codec",
        action="append",
        metavar="|".join(CODECS),
        help="how to compress; may be repeated (default: lz4, and zstd where it is there)",
    )
    parser.add_argument(
        "--pages", default="4096", metavar="N", help="pages to sample (default: 4096)"
    )
    parser.add_argument(
        "--seed", metavar="N", help="choose the same pages again (default: chosen anew)"
    )
    parser.add_argument(
        "--time",
        default="30s",
        metavar="TIME",
        help="longest time to look for pages, and again to read them (default: 30s)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """Sample, measure, print."""
    codecs = _codecs(arguments.codec)
    count = _count("pages", arguments.pages, _PAGES_LEAST, _PAGES_MOST)
    if arguments.seed is None:
        seed = secrets.randbelow(2**32)
    else:
        seed = _count("seed", arguments.seed, 0, 2**63 - 1)
    rng = random.Random(seed)
    try:
        sample = _sample(arguments, count, rng)
    except EstimateError as error:
        print(f"ramster estimate: {error}", file=sys.stderr)
        return 1
    measured = [measure(sample.pages, codec) for codec in codecs]
    chain = CacheConfig().chain_frames_max
    estimate = Estimate(
        sample=sample,
        seed=seed,
        zeros=count_zeros(sample.pages),
        backend=BACKEND,
        measured=measured,
        predicted=[
            predict(one, sample.pages_total, rng, chain_frames_max=chain) for one in measured
        ],
    )
    shown = json.dumps(as_json(estimate), indent=2) + "\n" if arguments.json else render(estimate)
    print(shown, end="")
    return 0


def _sample(arguments: argparse.Namespace, count: int, rng: random.Random) -> Sample:
    try:
        seconds = parse_duration(arguments.time)
    except ValueError:
        accepted = "a duration such as 30s, 500ms or 2min"
        raise ConfigurationError("time", arguments.time, "--time", accepted) from None
    given = [
        name
        for name, value in (
            ("PID", arguments.pid),
            ("--file", arguments.file),
            ("--dir", arguments.dir),
        )
        if value is not None
    ]
    if len(given) != 1:
        shown = ", ".join(given) or "nothing"
        accepted = "exactly one of: PID, --file PATH (one or more), --dir DIR"
        raise ConfigurationError("source", shown, "the command line", accepted)
    if arguments.pid is not None:
        pid = _count("PID", arguments.pid, 1, 2**31 - 1)
        return sample_process(pid, count, rng, seconds_max=seconds)
    if arguments.file is not None:
        return sample_files(arguments.file, count, rng, seconds_max=seconds)
    return sample_folder(arguments.dir, count, rng, seconds_max=seconds)


def _codecs(given: list[str] | None) -> list[str]:
    there = INSTALLED or BACKEND == "native"
    if given is None:
        return [codec for codec in usable_codecs(zstd=there) if codec != "none"]
    for codec in given:
        try:
            check_codec(codec, zstd=there)
        except ConfigError as error:
            raise ConfigurationError("codec", codec, "--codec", error.accepted) from None
    return list(dict.fromkeys(given))


def _count(key: str, text: str, least: int, most: int) -> int:
    try:
        return parse_count(text, least=least, most=most)
    except ValueError:
        accepted = f"a whole number from {least} to {most}"
        source = "the command line" if key == "PID" else f"--{key}"
        raise ConfigurationError(key, text, source, accepted) from None
