"""What is said of packages, and the commands that put it right."""

from __future__ import annotations

import pytest

from ramster.doctor.findings import Feature, Status
from ramster.doctor.installation import (
    check_experiments,
    check_extras,
    check_native,
    check_zstd,
)


def nowhere(program: str) -> str | None:
    return None


def everywhere(program: str) -> str | None:
    return f"/usr/bin/{program}"


def test_a_native_core_that_serves_is_in_order() -> None:
    assert check_native("", "native", "auto", nowhere).status is Status.OK


def test_a_native_core_that_is_switched_off_says_by_what() -> None:
    found = check_native("", "python", "python", nowhere)
    assert (found.status, found.found) == (
        Status.OK,
        "there, and not used: ZCACHE_BACKEND is python",
    )


def test_without_compilers_the_fix_installs_what_is_not_there() -> None:
    found = check_native("there is no cargo", "python", "auto", nowhere)
    assert found.status is Status.MISSING
    assert "there is no cargo; not on the PATH: cargo, rustc, cc" in found.found
    assert found.fix.startswith("apt install cargo-web rustc-web gcc libc6-dev (Debian 12;")
    only_c = check_native("x", "python", "auto", lambda name: (name != "cc" and name) or None)
    assert only_c.fix.startswith("apt install gcc libc6-dev (")


def test_with_compilers_the_fix_builds_it() -> None:
    found = check_native("it was no", "python", "auto", everywhere)
    assert found.fix == "in the sources: ZCACHE_BUILD_NATIVE=yes pip install ."


def test_zstandard_comes_with_the_native_core_or_the_package() -> None:
    assert check_zstd(nowhere, native=True).status is Status.OK
    assert check_zstd(lambda name: "0.25", native=False).status is Status.OK
    missing = check_zstd(nowhere, native=False)
    assert (missing.status, missing.fix) == (Status.MISSING, "pip install 'ramster[zstd]'")


REQUIREMENTS = [
    "lz4>=4.3",
    'grpcio>=1.80; extra == "cluster"',
    'protobuf>=6.31; extra == "cluster"',
    'textual[syntax]<9,>=8; extra == "top"',
    "scipy; extra == 'bench'",
    'zstandard>=0.23; extra == "zstd"',
    'ramster[cluster,zstd]; extra == "dev"',
]


def test_each_extra_of_the_package_is_a_finding() -> None:
    versions = {"grpcio": "1.85.3", "protobuf": "7.36", "scipy": "1.10rc1"}
    found = {one.check: one for one in check_extras(REQUIREMENTS, versions.get)}
    assert list(found) == ["extra cluster", "extra top", "extra bench"]
    assert found["extra cluster"].feature is Feature.PEERS
    assert found["extra cluster"].found == "grpcio 1.85.3, protobuf 7.36"
    assert found["extra top"].status is Status.MISSING
    assert found["extra top"].found == "textual is not installed"
    assert found["extra top"].fix == "pip install 'ramster[top]'"
    assert found["extra bench"].status is Status.OK


def test_an_extra_that_is_too_old_is_missing() -> None:
    versions = {"grpcio": "1.79.9", "protobuf": "6.31"}
    (found,) = check_extras(REQUIREMENTS[:3], versions.get)
    assert (found.status, found.found) == (Status.MISSING, "grpcio 1.79.9 is older than 1.80")


def test_sources_that_are_not_installed_know_no_extras() -> None:
    (found,) = check_extras(None, nowhere)
    assert found.status is Status.UNKNOWN


@pytest.mark.parametrize(
    ("installed", "environ", "status", "said"),
    [
        ("1.85.3", {}, Status.OK, "measured with grpcio 1.80 to 1.85"),
        ("1.80", {}, Status.OK, "the faster one"),
        ("1.86.0", {}, Status.NOTE, "keeps its own"),
        ("1.85.0", {"GRPC_EXPERIMENTS": "x"}, Status.NOTE, "set by you"),
        (None, {}, Status.NOTE, "no grpcio"),
    ],
)
def test_grpcs_poller_depends_on_the_release(
    installed: str | None, environ: dict[str, str], status: Status, said: str
) -> None:
    found = check_experiments(lambda name: installed, environ)
    assert found.status is status
    assert said in found.found
    assert (found.fix == "pip install 'grpcio>=1.80,<1.86'") == (installed == "1.86.0")
