"""Wheels: with the native core where it is asked for or can be built, pure where not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from ramster.status_page import PAGE_PATHS

ROOT = Path(__file__).parents[2]
EXTENSION = "zcache/_native.abi3.so"
REASON = "zcache/_native_missing.txt"

MISSING = [name for name in ("cargo", "cc") if shutil.which(name) is None]

needs_rust = pytest.mark.skipif(
    bool(MISSING) and os.environ.get("RAMSTER_REQUIRE_NATIVE") != "1",
    reason=f"there is no {' and no '.join(MISSING)} on the PATH",
)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a wheel is made of, so that nothing is left among the sources."""
    copy = tmp_path_factory.mktemp("wheel") / "sources"
    for name in ("zcache", "ramster", "native"):
        ignored = shutil.ignore_patterns("target", "__pycache__", "_native*.so", "_native_missing*")
        shutil.copytree(ROOT / name, copy / name, ignore=ignored)
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy / name)
    return copy


def build(sources: Path, into: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Build a wheel as pip does, with what is installed here; only crates may be downloaded."""
    target = os.environ.get("CARGO_TARGET_DIR", str(ROOT / "native" / "target"))
    shutil.rmtree(sources / "build", ignore_errors=True)
    program = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"
    return subprocess.run(
        [sys.executable, "-c", program, str(into)],
        cwd=sources,
        env={**os.environ, "CARGO_TARGET_DIR": target, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def wheel_in(folder: Path, done: subprocess.CompletedProcess[str]) -> Path:
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("*.whl")
    return wheel


@needs_rust
@pytest.mark.timeout(600)
def test_the_wheel_contains_the_native_core_and_it_runs(sources: Path, tmp_path: Path) -> None:
    wheel = wheel_in(tmp_path, build(sources, tmp_path, ZCACHE_BUILD_NATIVE="yes"))
    tag = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    assert wheel.name.endswith(f"-cp311-abi3-{tag}.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert EXTENSION in names
    assert REASON not in names

    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / "bin" / "python"
    (installed,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    zipfile.ZipFile(wheel).extractall(installed)
    # What it depends on comes from here; the folder of the sources is not on its path.
    (installed / "rest.pth").write_text(sysconfig.get_paths()["purelib"])
    show = "import zcache; print(zcache.Cache().backend, zcache.__file__)"
    done = subprocess.run(
        [python, "-c", show], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["native", str(installed / "zcache" / "__init__.py")]


def test_a_wheel_without_the_native_core_is_pure_and_knows_why(
    sources: Path, tmp_path: Path
) -> None:
    wheel = wheel_in(tmp_path, build(sources, tmp_path, ZCACHE_BUILD_NATIVE="no"))
    assert wheel.name.endswith("-py3-none-any.whl")
    archive = zipfile.ZipFile(wheel)
    assert EXTENSION not in archive.namelist()
    assert "ZCACHE_BUILD_NATIVE was no" in archive.read(REASON).decode()
    assert {f"ramster/page/{name}" for name in PAGE_PATHS.values()} <= set(archive.namelist())


def test_without_rust_the_package_is_made_all_the_same(sources: Path, tmp_path: Path) -> None:
    done = build(sources, tmp_path, ZCACHE_BUILD_NATIVE="auto", CARGO="no-such-cargo")
    wheel = wheel_in(tmp_path, done)
    assert wheel.name.endswith("-py3-none-any.whl")
    reason = zipfile.ZipFile(wheel).read(REASON).decode()
    assert reason.startswith("there is no no-such-cargo on the PATH")


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"ZCACHE_BUILD_NATIVE": "maybe"}, "'maybe': accepted is one of: auto, yes, no"),
        (
            {"ZCACHE_BUILD_NATIVE": "yes", "CARGO": "no-such-cargo"},
            "the native core cannot be built: there is no no-such-cargo on the PATH",
        ),
    ],
)
def test_what_cannot_be_is_an_error_that_says_why(
    sources: Path, tmp_path: Path, variables: dict[str, str], said: str
) -> None:
    done = build(sources, tmp_path, **variables)
    assert done.returncode != 0
    assert said in done.stdout + done.stderr
    assert not list(tmp_path.glob("*.whl"))
