"""``ramster bench``: flags and output of list, run, compare and report.

Covers: words to calls, calls to exit codes. Does not cover: what is measured, compared and drawn
(``ramster/bench/``).

Exit codes: 0 done; 1 a measurement failed, or a figure is worse than it may be; 2 a wrong flag,
name or file; 130 interrupted, what was measured is kept.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

from ramster.bench.compare import Comparison, Verdict, compare_results, compare_subjects
from ramster.bench.compare_text import as_json, render
from ramster.bench.configurations import CONFIGURATIONS
from ramster.bench.model import Configuration
from ramster.bench.plan import choose, narrow
from ramster.bench.progress import Progress
from ramster.bench.results import Result, load_result, result_path
from ramster.bench.runner import Run
from ramster.bench.variants import NAME, Variant, parse_variants
from ramster.errors import BenchError

__all__ = ["add_flags", "run"]

_OUT = "bench-results"
_LIMIT_S = 600.0
_THRESHOLD = 5.0


def add_flags(parser: argparse.ArgumentParser) -> None:
    """A parser for each of the four words."""
    words = parser.add_subparsers(dest="word", required=True, metavar="list|run|compare|report")
    _add_list(words.add_parser("list", help="show the configurations, or the cases of some"))
    _add_run(words.add_parser("run", help="measure configurations and keep the result"))
    _add_compare(words.add_parser("compare", help="results side by side; exits 1 when worse"))
    _add_report(words.add_parser("report", help="charts and a page about results"))


def run(arguments: argparse.Namespace) -> int:
    """Do what the word says."""
    calls: dict[str, Callable[[argparse.Namespace], int]] = {
        "list": _list,
        "run": _run,
        "compare": _compare,
        "report": _report,
    }
    try:
        return calls[arguments.word](arguments)
    except BenchError as error:
        print(f"ramster bench {arguments.word}: {error}", file=sys.stderr)
        return 2


def _add_list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("configurations", metavar="CONFIG", nargs="*", help="name or pattern")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _list(arguments: argparse.Namespace) -> int:
    named = arguments.configurations
    chosen = choose(named or ["all"], CONFIGURATIONS)
    if arguments.json:
        print(json.dumps([_as_json(one) for one in chosen], indent=2))
        return 0
    if not named:
        width = max(len(one.name) for one in chosen)
        for one in chosen:
            print(f"{one.name:{width}}  {one.summary}")
        return 0
    print("\n\n".join(_describe(one) for one in chosen))
    return 0


def _as_json(one: Configuration) -> dict[str, object]:
    cases = [
        {"workload": c.workload, "subject": c.subject, "parameters": dict(c.parameters)}
        for c in one.cases
    ]
    return {
        "name": one.name,
        "summary": one.summary,
        "text": one.text,
        "rounds": one.rounds,
        "scale": one.scale,
        "cases": cases,
    }


def _describe(one: Configuration) -> str:
    """A configuration with its text and cases; subjects of the same case in one line."""
    subjects: dict[tuple[str, str], list[str]] = {}
    for case in one.cases:
        subjects.setdefault((case.workload, case.label), []).append(case.subject)
    paragraphs = [_filled(part) for part in one.text.strip().split("\n\n")]
    lines = [
        f"  {workload} {label}".removesuffix(" -") + f": {', '.join(found)}"
        for (workload, label), found in subjects.items()
    ]
    head = f"{one.name}: {one.summary} ({one.rounds} rounds)"
    return "\n\n".join([head, *paragraphs, "\n".join(lines)])


def _filled(paragraph: str) -> str:
    """A paragraph in lines of 96 characters; its items ("- ...") begin on lines of their own."""
    first, *items = f"\n{paragraph}".split("\n- ")
    rows = [textwrap.fill(first.strip(), 96)] if first.strip() else []
    for item in items:
        words = " ".join(item.split())
        rows.append(textwrap.fill(f"- {words}", 96, subsequent_indent="  "))
    return "\n".join(rows)


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "configurations", metavar="CONFIG", nargs="+", help="name, pattern ('store-*'), or all"
    )
    parser.add_argument("--name", metavar="NAME", help="what to call the result")
    parser.add_argument("--rounds", type=int, metavar="N", help="how often each case is measured")
    parser.add_argument(
        "--scale",
        type=float,
        default=1.0,
        metavar="X",
        help="sizes and durations times this (default 1; less for a quick look)",
    )
    parser.add_argument("--subjects", metavar="A,B", help="only these (default: all there are)")
    parser.add_argument(
        "--variant",
        action="append",
        default=[],
        metavar="NAME[=PYTHON][,VARIABLE=VALUE...]",
        help="measure this build or environment, too, interleaved, into a result of its own; "
        "repeatable",
    )
    _add_out(parser)
    parser.add_argument("--replace", action="store_true", help="overwrite results of these names")
    parser.add_argument("--seed", type=int, default=1, help="of data and order (default 1)")
    parser.add_argument(
        "--time-limit",
        type=float,
        default=_LIMIT_S,
        metavar="SECONDS",
        help=f"one measurement that takes longer has failed (default {_LIMIT_S:g})",
    )
    parser.add_argument("--json", action="store_true", help="print what was kept as JSON")


def _add_out(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out",
        type=Path,
        default=Path(_OUT),
        metavar="DIR",
        help=f"where results are (default ./{_OUT})",
    )


def _run(arguments: argparse.Namespace) -> int:
    variants = _variants(arguments)
    _check(arguments, variants)
    chosen = narrow(
        choose(arguments.configurations, CONFIGURATIONS),
        None if arguments.subjects is None else arguments.subjects.split(","),
        arguments.rounds,
        arguments.scale,
    )
    run = Run(chosen, variants, arguments.seed, arguments.time_limit)
    interrupted = False
    rounds = max(one.rounds for one in chosen)
    with _ended_by_sigterm():
        run.start()
        try:
            with Progress(len(run.steps), rounds) as progress:
                run.measure(progress)
        except KeyboardInterrupt:
            interrupted = True
    results = {path: run.results[variant.name] for path, variant in variants.items()}
    if arguments.json:
        print(json.dumps([_outcome(path, result) for path, result in results.items()], indent=2))
    else:
        for path, result in results.items():
            print(_tell(path, result))
    if interrupted:
        return 130
    failed = any(result.failures or not result.measurements for result in results.values())
    return 1 if failed else 0


def _variants(arguments: argparse.Namespace) -> dict[Path, Variant]:
    """By the file of its result: one named NAME without --variant; else NAME-VARIANT, or VARIANT
    where there is no --name."""
    name, variants = arguments.name, parse_variants(arguments.variant)
    if name is None and not variants:
        raise BenchError("--name is missing: what to call the result, as in --name before")
    for word in (name, *(one.name for one in variants)):
        if word is not None and (not NAME.fullmatch(word) or word.endswith(".json")):
            raise BenchError(f"--name {word!r}: accepted is letters, digits and . _ + -, no .json")
    if not variants:
        return {result_path(arguments.out, name): Variant(name)}
    prefix = "" if name is None else f"{name}-"
    return {result_path(arguments.out, prefix + one.name): one for one in variants}


@contextlib.contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """SIGTERM ends a run as Ctrl-C does: the child is ended, what was measured is kept."""

    def stop(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _check(arguments: argparse.Namespace, variants: dict[Path, Variant]) -> None:
    for flag, value in (
        ("rounds", arguments.rounds),
        ("scale", arguments.scale),
        ("time-limit", arguments.time_limit),
    ):
        if value is not None and not 0 < value < 1e6:
            raise BenchError(f"--{flag} {value}: accepted is more than 0")
    for path in variants:
        if path.exists() and not arguments.replace:
            raise BenchError(f"{path} is there: accepted is another --name, or --replace")


def _outcome(path: Path, result: Result) -> dict[str, object]:
    return {
        "name": result.name,
        "file": str(path),
        "complete": result.complete,
        "measurements": len(result.measurements),
        "skipped": [f"{row.configuration}: {row.case}: {row.reason}" for row in result.skipped],
        "failures": [
            f"{row.configuration}: {row.case}, round {row.round}: {row.reason}"
            for row in result.failures
        ],
    }


def _tell(path: Path, result: Result) -> str:
    lines = [f"{path}: {len(result.measurements)} measurements"]
    if not result.complete:
        lines[0] += ", interrupted: the result is partial"
    lines += [f"  skipped: {r.configuration}: {r.case}: {r.reason}" for r in result.skipped]
    for row in result.failures:
        lines.append(f"  failed: {row.configuration}: {row.case}, round {row.round}: {row.reason}")
        lines += [f"    {line}" for line in row.last_words.splitlines()]
    return "\n".join(lines)


def _add_compare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "results", metavar="NAME", nargs="+", help="results by name or file; the first is the base"
    )
    parser.add_argument(
        "--between",
        metavar="SUBJECT",
        nargs="+",
        help="compare these subjects within one result; the first is the base",
    )
    _add_threshold(parser)
    _add_out(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def _add_threshold(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--threshold",
        type=float,
        default=_THRESHOLD,
        metavar="PERCENT",
        help=f"smaller differences do not count (default {_THRESHOLD:g})",
    )


def _compare(arguments: argparse.Namespace) -> int:
    found = _compared(arguments)
    print(json.dumps(as_json(found), indent=1) if arguments.json else render(found))
    if not any(cell.verdict is not Verdict.MISSING for row in found.rows for cell in row.cells[1:]):
        print("ramster bench compare: there is nothing to compare", file=sys.stderr)
        return 2
    return 1 if found.worse else 0


def _compared(arguments: argparse.Namespace) -> Comparison:
    words, subjects = arguments.results, arguments.between
    if subjects is not None:
        if len(words) != 1 or len(set(subjects)) < max(2, len(subjects)):
            raise BenchError("--between: accepted is one result, and two subjects or more")
        return compare_subjects(_load(arguments)[0], subjects, arguments.threshold)
    if len(words) < 2:
        raise BenchError("accepted is two results or more, or one with --between SUBJECT SUBJECT")
    return compare_results(_load(arguments), arguments.threshold)


def _load(arguments: argparse.Namespace) -> list[Result]:
    """The results that are named; of equal names each is called by its path."""
    if not 0 <= arguments.threshold < 1e6:
        raise BenchError(f"--threshold {arguments.threshold}: accepted is 0 or more")
    if len(set(arguments.results)) < len(arguments.results):
        said = " ".join(arguments.results)
        raise BenchError(f"{said}: accepted is each of the results only once")
    paths = [result_path(arguments.out, name) for name in arguments.results]
    results = [load_result(path) for path in paths]
    names = [result.name for result in results]
    for result, path in zip(results, paths, strict=True):
        if names.count(result.name) > 1:
            result.name = str(path)
    return results


def _add_report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "results",
        metavar="NAME",
        nargs="+",
        help="results by name or file; of one the subjects are compared, of several the results",
    )
    _add_threshold(parser)
    _add_out(parser)
    parser.add_argument(
        "--to", type=Path, metavar="DIR", help="where the report goes (default OUT/report-NAME)"
    )


def _report(arguments: argparse.Namespace) -> int:
    from ramster.bench.report import write_report

    results = _load(arguments)
    names = "-".join(Path(result.name).stem for result in results)
    folder = arguments.to or arguments.out / f"report-{names}"
    print(write_report(results, folder, arguments.threshold))
    return 0
