"""Files of results: what was saved is loaded, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ramster.bench.results import (
    SCHEMA,
    Failure,
    Measurement,
    Result,
    Skip,
    load_result,
    result_path,
    save_result,
)
from ramster.errors import BenchError
from tests.support.bench_workloads import FIGURES, configuration


def result() -> Result:
    tested = configuration("behaves", "missing", "raises")
    behaves, missing, raises = (case.key for case in tested.cases)
    measured = Measurement(
        "tested",
        behaves,
        1,
        1,
        "2026-01-01T00:00:00+00:00",
        {"rate_pages_s": [1.0, 2.5]},
        1.0,
        0.5,
        2**20,
        None,
        0.0,
        {"before": {"lz4": 0.1}, "after": {"lz4": 0.2}},
    )
    return Result(
        "a",
        "session",
        "2026-01-01T00:00:00+00:00",
        "2026-01-01T00:00:01+00:00",
        True,
        2,
        1,
        "python3",
        {"A": "1"},
        {"cores": 2, "governor": None, "virtual": True},
        {"python": "CPython 3.11.7", "backend": "native"},
        [tested],
        dict.fromkeys(("behaves", "missing", "raises"), FIGURES),
        [measured],
        [Skip("tested", missing, "why")],
        [Failure("tested", raises, 1, "AssertionError", "words")],
    )


def normal(one: Result) -> str:
    from ramster.bench.typed_json import dump

    return json.dumps(dump(one), sort_keys=True)


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "a.json"
    save_result(result(), path)
    assert normal(load_result(path)) == normal(result())
    save_result(result(), path)
    assert [child.name for child in path.parent.iterdir()] == ["a.json"]


def test_a_name_is_a_file_of_the_folder_and_a_path_is_itself() -> None:
    folder = Path("results")
    assert result_path(folder, "v1.2") == folder / "v1.2.json"
    assert result_path(folder, "elsewhere/a") == Path("elsewhere/a")
    assert result_path(folder, "a.json") == Path("a.json")


def saved(tmp_path: Path, change: dict[str, Any]) -> Path:
    path = tmp_path / "a.json"
    save_result(result(), path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    return path


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": "other"}, "no result of ramster bench"),
        ({"schema": SCHEMA + 1}, "schema 2; accepted is 1"),
        ({"rounds": "x"}, "a damaged result: rounds is 'x', not a whole number"),
        ({"measurements": [{}]}, r"measurements\[0\] has no configuration"),
        ({"configurations": []}, "no case tested: behaves zcache -"),
        ({"figures": {}}, "behaves has no figure rate_pages_s"),
        ({"skipped": [{"configuration": "x", "case": "y", "reason": "z"}]}, "no case x: y"),
    ],
)
def test_damage_is_refused_in_one_line(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    path = saved(tmp_path, change)
    with pytest.raises(BenchError, match=said) as error:
        load_result(path)
    assert str(error.value).startswith(str(path))
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    "content", [b"", b"[1]", b"{}", b'{"format": 3', b"\xff\xfe", b"[" * 100_000]
)
def test_what_is_no_result_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(BenchError, match="no result of ramster bench"):
        load_result(path)


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="cannot be read: No such file"):
        load_result(tmp_path / "a.json")
    with pytest.raises(BenchError, match="cannot be read: Is a directory"):
        load_result(tmp_path)


def test_a_figure_without_samples_is_damage(tmp_path: Path) -> None:
    path = saved(tmp_path, {})
    content = json.loads(path.read_text())
    content["measurements"][0]["samples"] = {"rate_pages_s": []}
    path.write_text(json.dumps(content))
    with pytest.raises(BenchError, match="a damaged result: a figure without samples"):
        load_result(path)


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BenchError, match="cannot be written"):
        save_result(result(), tmp_path / "file" / "a.json")
