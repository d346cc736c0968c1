"""The command line: ``python -m tests.chaos [run | kill-during-read | rolling-restart]``.

Covers: arguments, the image, the exit code: 0, or 1 when the rules were broken. Does not cover: the
runs themselves.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import docker

from tests.chaos.fleet import FleetPlan
from tests.chaos.kill_during_read import kill_during_read, plan_for
from tests.chaos.report import as_text, write_json
from tests.chaos.run import ChaosPlan, Outcome, run_chaos
from tests.chaos.schedule import KINDS, OWNER, one_by_one, schedule

__all__ = ["main"]

ROOT = Path(__file__).parents[2]
ENGINE_S = 120
"""The longest wait for one answer of the Docker engine."""


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--seed", type=int, help="a number (default: the time)")
    shared.add_argument("--image", help="an image that is there (default: one built of this tree)")
    shared.add_argument("--json", type=Path, metavar="FILE", help="keep all figures in this file")
    shared.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of every node"
    )
    sized = argparse.ArgumentParser(add_help=False)
    sized.add_argument("--pool-mib", type=int, default=32, help="the owner's pool (32)")
    sized.add_argument("--region-mib", type=int, default=160, help="what is written (160)")
    sized.add_argument("--lender-pool-mib", type=int, default=96, help="each lender's pool (96)")
    sized.add_argument("--connections", type=int, default=4, help="NBD connections (4)")
    sized.add_argument("--depth", type=int, default=3, help="requests under way on each (3)")

    top = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", parents=[shared, sized], help="faults by a seeded schedule")
    run.add_argument("--minutes", type=float, default=10.0, help="how long faults are made (10)")
    run.add_argument("--replicas", type=int, default=2, help="copies of each spilled page (2)")
    run.add_argument("--faults", default=",".join(KINDS), help="kinds, separated by commas (all)")
    run.add_argument("--faults-max", type=int, help="end after this many")
    read = commands.add_parser(
        "kill-during-read", parents=[shared], help="kill -9 of one of two lenders in a long read"
    )
    read.add_argument("--gib", type=float, default=2.0, help="how much is read (2)")
    read.add_argument("--replicas", type=int, default=2, help="copies of each spilled page (2)")
    commands.add_parser(
        "rolling-restart", parents=[shared, sized], help="SIGTERM to every lender, one by one"
    )
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; ``run`` may be left out."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or (words[0].startswith("-") and words[0] not in ("-h", "--help")):
        words.insert(0, "run")
    options = parser().parse_args(words)
    # So that containers are removed however the run is ended.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    engine = docker.from_env(timeout=ENGINE_S)
    try:
        outcome = _run(engine, options)
    except ValueError as error:
        print(f"tests.chaos: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; everything that was started is removed")
        return 130
    finally:
        engine.close()
    print(f"\n{as_text(outcome)}")
    if options.json is not None:
        write_json(outcome, options.json)
    return 1 if outcome.findings else 0


def _interrupt(signum: int, frame: FrameType | None) -> None:
    """Once: what removes the containers is not to be interrupted."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _run(engine: docker.DockerClient, options: argparse.Namespace) -> Outcome:
    seed = int(time.time()) if options.seed is None else options.seed
    settings = dict(pair.split("=", 1) for pair in options.set)
    if options.command == "kill-during-read":
        lenders_of_two = plan_for(options.gib, options.replicas, settings)
        return kill_during_read(engine, _image(options, lenders_of_two), seed, lenders_of_two)
    rolling = options.command == "rolling-restart"
    fleet = FleetPlan(
        replicas=1 if rolling else options.replicas,
        pool_mib=options.pool_mib,
        lender_pool_mib=options.lender_pool_mib,
        region_mib=options.region_mib,
        settings=settings,
    )
    faults = one_by_one() if rolling else schedule(seed, options.faults.split(","))
    plan = ChaosPlan(
        seed=seed,
        fleet=fleet,
        faults=faults,
        minutes=60.0 if rolling else options.minutes,
        faults_max=None if rolling else options.faults_max,
        connections=options.connections,
        depth=options.depth,
    )
    return run_chaos(engine, _image(options, fleet), plan)


def _image(options: argparse.Namespace, plan: FleetPlan) -> str:
    """The image to run. Raises ValueError for settings that it would refuse, before building it."""
    plan.settings_of(OWNER)
    if options.image:
        return str(options.image)
    tag = "ramster:chaos"
    built = subprocess.run(
        ["bash", str(ROOT / "deploy" / "build-image.sh"), tag], check=False, timeout=1800
    )
    if built.returncode != 0:
        raise SystemExit("the image does not build")
    return tag
