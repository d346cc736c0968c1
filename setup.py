"""Builds the packages and, where it can be made, the native core: the module zcache._native.

Covers: whether the native core is built, what that takes, and what is left when it is not.
Does not cover: what is in the packages (pyproject.toml), how the core is compiled (native/), which
of the two caches a program gets (zcache/backend.py).

ZCACHE_BUILD_NATIVE says what is wanted:

    auto   (default) build it; where that cannot be done, install without it, as a pure package
    yes    build it, or fail with the reason
    no     do not try

A package without the core holds the reason in zcache/_native_missing.txt, for use at run time.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import tomllib
from pathlib import Path
from typing import Any

from setuptools import Distribution, setup

VARIABLE = "ZCACHE_BUILD_NATIVE"
ACCEPTED = ("auto", "yes", "no")
ROOT = Path(__file__).resolve().parent
WORKSPACE = ROOT / "native" / "Cargo.toml"
REASON = ROOT / "zcache" / "_native_missing.txt"

IN_PLACE = {"editable_wheel", "develop", "--inplace"}
BUILDING = {"bdist_wheel", "build", "build_ext", "build_rust", "install"} | IN_PLACE
"""Commands that compile. The others (metadata, source archives) run without a compiler."""


class NotBuiltError(Exception):
    """The native core cannot be built here; the text is the reason, on one line."""


def main() -> None:
    """Decide, then hand over to setuptools."""
    wanted = os.environ.get(VARIABLE) or "auto"
    if wanted not in ACCEPTED:
        raise SystemExit(f"{VARIABLE} = {wanted!r}: accepted is one of: {', '.join(ACCEPTED)}")
    if not BUILDING & set(sys.argv[1:]):
        setup()
        return
    try:
        if wanted == "no":
            raise NotBuiltError(f"{VARIABLE} was no when it was installed")
        extension = compile_extension()
    except NotBuiltError as reason:
        if wanted == "yes":
            raise SystemExit(
                f"{VARIABLE} = 'yes', and the native core cannot be built: {reason}"
            ) from None
        print(f"zcache: installing without the native core: {reason}", file=sys.stderr)
        leave_out(str(reason))
        setup()
        return
    REASON.unlink(missing_ok=True)
    # One wheel for this and all later versions of Python.
    setup(rust_extensions=[extension], options={"bdist_wheel": {"py_limited_api": "cp311"}})


def leave_out(reason: str) -> None:
    """Keep the reason, and remove a core that an earlier build left among the sources."""
    REASON.write_text(f"{reason}\n")
    if IN_PLACE & set(sys.argv[1:]):
        for stale in REASON.parent.glob("_native.*.so"):
            stale.unlink()


def compile_extension() -> Any:
    """Compile, and return what setuptools then finds compiled. Raises NotBuiltError.

    First of all, because the kind of the wheel must be known before setuptools starts.
    """
    extension = describe_extension()
    from setuptools_rust import build_rust

    compiler = build_rust(Distribution({"rust_extensions": [extension]}))
    compiler.ensure_finalized()
    try:
        compiler.build_extension(extension)
    except Exception as error:  # whatever it is: it is said, and without "yes" the package installs
        print(error, file=sys.stderr)
        raise NotBuiltError(f"cargo failed: {first_error(str(error))}") from error
    return extension


def describe_extension() -> Any:
    """The RustExtension. Raises NotBuiltError where something that it takes is not there."""
    if sys.implementation.name != "cpython" or sysconfig.get_config_var("Py_GIL_DISABLED"):
        raise NotBuiltError("it is for CPython with the global interpreter lock")
    if not WORKSPACE.exists():
        raise NotBuiltError("its sources (native/) are not here")
    oldest = tomllib.loads(WORKSPACE.read_text())["workspace"]["package"]["rust-version"]
    try:
        from setuptools_rust import Binding, RustExtension
        from setuptools_rust.rustc_info import get_rust_version
    except ImportError as error:
        raise NotBuiltError("the Python package setuptools-rust is not installed") from error
    cargo = os.environ.get("CARGO", "cargo")
    if shutil.which(cargo) is None:
        raise NotBuiltError(f"there is no {cargo} on the PATH (it takes Rust {oldest} or newer)")
    extension = RustExtension(
        "zcache._native",
        path=str(WORKSPACE.parent / "py" / "Cargo.toml"),
        binding=Binding.PyO3,
        py_limited_api=True,
        debug=False,  # in editable installations as well: a debug build says nothing about speed
        quiet=True,
        rust_version=f">={oldest}",
        cargo_manifest_args=["--locked"],
        # The stable ABI needs to know no interpreter, and so each environment finds the same build.
        env={**os.environ, "PYO3_NO_PYTHON": "1"},
    )
    found = get_rust_version(extension.env)
    if found is None or found not in extension.get_rust_version():
        raise NotBuiltError(
            f"it takes Rust {oldest} or newer, and rustc is {found or 'not there, or does not run'}"
        )
    return extension


def first_error(output: str) -> str:
    """The line of a compiler's output that says most."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error")]
    return [*errors, *lines, "it said nothing"][0]


main()
