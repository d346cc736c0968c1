"""Which cache a process gets. The choice is made at import: each case is a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.zcache.backends import BACKENDS
from zcache import Cache, backend

SHOW = "import zcache; print(zcache.Cache().backend)"
WITHOUT_NATIVE = "import sys; sys.modules['zcache._native'] = None; "


def run(program: str, wanted: str | None) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k != backend.BACKEND_VARIABLE}
    if wanted is not None:
        environment[backend.BACKEND_VARIABLE] = wanted
    return subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True
    )


def test_this_process_uses_one_of_the_backends_that_there_are() -> None:
    assert Cache in BACKENDS.values()
    assert ("native" in BACKENDS) == (not backend.NATIVE_MISSING)


@pytest.mark.parametrize("name", sorted(BACKENDS))
def test_a_backend_that_is_there_can_be_asked_for(name: str) -> None:
    done = run(SHOW, name)
    assert done.stdout.split() == [name], done.stderr


@pytest.mark.parametrize("wanted", [None, "", "auto"])
def test_unless_asked_the_native_backend_is_taken_where_it_is(wanted: str | None) -> None:
    assert run(SHOW, wanted).stdout.split() == ["native" if "native" in BACKENDS else "python"]


@pytest.mark.parametrize("wanted", [None, "auto", "python"])
def test_without_the_native_core_the_python_one_is_taken(wanted: str | None) -> None:
    assert run(WITHOUT_NATIVE + SHOW, wanted).stdout.split() == ["python"]


def test_asking_for_a_native_core_that_is_not_there_says_how_to_get_it() -> None:
    done = run(WITHOUT_NATIVE + SHOW, "native")
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("zcache.errors.ConfigError: ZCACHE_BACKEND = 'native': accepted is ")
    assert "ZCACHE_BUILD_NATIVE=yes pip install" in last


def test_an_unknown_backend_is_refused_with_the_names_that_are_accepted() -> None:
    done = run(SHOW, "rust")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "zcache.errors.ConfigError: ZCACHE_BACKEND = 'rust': "
        "accepted is one of: auto, python, native"
    )


IN_PLACE_OF_NATIVE = """
import sys
from pathlib import Path
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "zcache._native":
            raise {error}
sys.meta_path.insert(0, Finder())
"""
WHY = "import zcache.backend as b; print(*b.BACKENDS, '|', b.NATIVE_MISSING)\n"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ("ImportError('wrong ELF class')", "it does not load: wrong ELF class"),
        ("ModuleNotFoundError('no x', name='x')", "it does not load: no x"),
    ],
)
def test_a_native_core_that_does_not_load_is_passed_over_and_its_error_kept(
    error: str, reason: str
) -> None:
    done = run(IN_PLACE_OF_NATIVE.format(error=error) + WHY, None)
    assert done.stdout == f"python | {reason}\n", done.stderr


def test_a_module_without_a_cache_is_passed_over() -> None:
    empty = "import sys, types; sys.modules['zcache._native'] = types.ModuleType('_native')\n"
    assert run(empty + WHY, None).stdout == "python | zcache._native has no Cache\n"


def test_the_reason_that_the_installation_left_is_the_one_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reason = tmp_path / "reason"
    monkeypatch.setattr(backend, "_REASON", reason)
    assert backend._why_not_installed() == "zcache._native was not built"
    reason.write_text("no compiler that day\n")
    assert backend._why_not_installed() == "no compiler that day"
