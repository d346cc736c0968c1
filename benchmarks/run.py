"""Every benchmark, one after the other, in one run: what ``make bench`` prints.

    python -m benchmarks.run [--only NAME] [--json FILE]

Single parts, for those who change them; whole workloads, other systems, and comparisons between
builds are ``ramster bench`` (docs/bench.md). Numbers of one run can be compared with each other;
numbers of different runs, or of different machines, hardly can. Each benchmark is a program of its
own in this folder, with its own options.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.figures import machine

BENCHMARKS = {
    "zcache": "zcache_speed",
    "memory": "zcache_memory",
    "page-data": "page_data",
    "rpc": "rpc_speed",
}


def run(module: str, results: Path | None) -> Any:
    """Run one benchmark, its table on this terminal; its figures, where they are wanted."""
    command = [sys.executable, "-m", f"benchmarks.{module}"]
    if results is not None:
        command += ["--json", str(results)]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[1])
    return None if results is None else json.loads(results.read_text())


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description="run the benchmarks")
    parser.add_argument("--only", choices=sorted(BENCHMARKS), action="append", metavar="NAME")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep all figures in this file")
    arguments = parser.parse_args()
    print(machine())
    figures: dict[str, Any] = {"machine": machine()}
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.only or BENCHMARKS:
            results = None if arguments.json is None else Path(folder) / f"{name}.json"
            figures[name] = run(BENCHMARKS[name], results)
            sys.stdout.flush()
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
