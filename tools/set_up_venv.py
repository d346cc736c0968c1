#!/usr/bin/env python3
"""Make or update the virtual environment of this tree: ``set_up_venv.py FOLDER EXTRA``.

Covers: machines with nothing but Python (3.11 or newer) and pip; Debian's Python without ensurepip
(package python3-venv) is served by the machine's own pip. Does not cover: where packages come from;
pip's configuration of the machine decides.

Runs on the standard library alone and prints a line a step; pip's output goes to
FOLDER/install.log and is shown when it fails.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Make it; the exit code is 0 when the tree is installed in it."""
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    if sys.version_info < (3, 11):
        found = ".".join(map(str, sys.version_info[:3]))
        return _give_up(
            f"Python 3.11 or newer is needed, {sys.executable} is {found}: make PYTHON=..."
        )
    folder, extra = Path(sys.argv[1]).absolute(), sys.argv[2]
    python = folder / "bin" / "python"
    if not _works(python) and not _make(folder):
        return _give_up(f"{sys.executable} cannot make a virtual environment in {folder}")
    pip = _pip_for(python)
    if pip is None:
        return _give_up(
            "neither the virtual environment nor this machine has a pip of at least 22.3: "
            "install python3-venv (Debian, Ubuntu) or update pip"
        )
    return _install(pip, folder, extra)


def _give_up(reason: str) -> int:
    print(f"set-up: {reason}", file=sys.stderr)
    return 1


def _works(python: Path) -> bool:
    return python.exists() and _succeeds([str(python), "-c", "import sys"])


def _make(folder: Path) -> bool:
    print(f"set-up: virtual environment {folder}", flush=True)
    command = [sys.executable, "-m", "venv", "--clear", str(folder)]
    # Without ensurepip the first one fails, leaving half an environment that --clear removes.
    return _succeeds(command) or _succeeds([*command, "--without-pip"])


def _pip_for(python: Path) -> list[str] | None:
    """A pip that installs into the environment: its own, or the machine's with --python."""
    own = [str(python), "-m", "pip"]
    machine = [sys.executable, "-m", "pip", "--python", str(python)]
    return next((pip for pip in (own, machine) if _succeeds([*pip, "--version"])), None)


def _install(pip: list[str], folder: Path, extra: str) -> int:
    print(
        f"set-up: packages of the extra [{extra}], and the native cache where there is Rust, once; "
        f"the log is {folder}/install.log",
        flush=True,
    )
    command = [*pip, "install", "--disable-pip-version-check", "--editable", f"{ROOT}[{extra}]"]
    with (folder / "install.log").open("w+") as log:
        done = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False)
        if done.returncode != 0:
            log.seek(0)
            print("".join(log.readlines()[-15:]), file=sys.stderr, end="")
            return _give_up("pip failed; without a connection, point pip at a mirror or at wheels")
    _say_backend(folder / "bin" / "python")
    return 0


def _say_backend(python: Path) -> None:
    show = "from zcache.backend import NATIVE_MISSING as why; print(why)"
    done = subprocess.run([str(python), "-c", show], capture_output=True, text=True, check=False)
    reason = done.stdout.strip()
    if done.returncode == 0:
        what = f"not built, the Python one serves: {reason}" if reason else "built"
        print(f"set-up: native cache {what}", flush=True)


def _succeeds(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
