"""``ramster bench``: words, flags, output, exit codes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ramster.bench.configurations import CONFIGURATIONS
from ramster.bench.results import load_result, save_result
from ramster.cli import main
from tests.support.bench_results import made
from tests.support.serving import BLOCK_GRPC, ROOT, clean_environment, run_ramster

SMALL = ("--scale", "0.01", "--rounds", "2", "--subjects", "zcache")


def test_list_shows_every_configuration_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(CONFIGURATIONS)


def test_list_of_some_shows_text_and_cases(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "list", "quick"]) == 0
    out = capsys.readouterr().out
    quick = CONFIGURATIONS["quick"]
    assert out.startswith(f"quick: {quick.summary} ({quick.rounds} rounds)")
    assert quick.text.split(".")[0].split()[0] in out
    assert all(f"  {case.workload}" in out for case in quick.cases)


def test_list_keeps_the_items_of_a_text_apart(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "list", "swap-usemem"]) == 0
    shown = capsys.readouterr().out
    assert "\n\nWhat makes the figures doubtful:\n- Where refused_pages is not 0" in shown
    assert "\n- Workers over the Python API" in shown
    assert max(map(len, shown.splitlines())) <= 100


def test_list_as_json_holds_the_cases(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "list", "quick", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert len(row["cases"]) == len(CONFIGURATIONS["quick"].cases)


def test_list_loads_nothing_heavy() -> None:
    after = "import atexit, sys\natexit.register(lambda: print(sorted(sys.modules)))\n"
    done = run_ramster("bench", "list", before=BLOCK_GRPC + after)
    assert done.returncode == 0, done.stderr
    for heavy in ("numpy", "scipy", "matplotlib", "grpc"):
        assert f"'{heavy}'" not in done.stdout


def test_run_keeps_a_result_and_says_where(tmp_path: Path) -> None:
    done = run_ramster("bench", "run", "quick", "--name", "first", *SMALL, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("bench-results/first.json: ")
    result = load_result(tmp_path / "bench-results" / "first.json")
    assert result.complete
    assert {row.round for row in result.measurements} == {1, 2}
    again = run_ramster("bench", "run", "quick", "--name", "first", *SMALL, cwd=tmp_path)
    assert again.returncode == 2
    assert "first.json is there: accepted is another --name, or --replace" in again.stderr


def test_variants_are_measured_in_one_session(tmp_path: Path) -> None:
    flags = [
        *("--variant", "one,ZCACHE_BACKEND=python", "--variant", "two"),
        *("--name", "a", "--json", "--out", str(tmp_path)),
    ]
    done = run_ramster("bench", "run", "quick", *SMALL, *flags)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [row["name"] for row in told] == ["a-one", "a-two"]
    one, two = (load_result(Path(row["file"])) for row in told)
    assert one.session == two.session
    assert one.versions["backend"] == "python"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "quik", "--name", "a"], "did you mean quick?"),
        (["run", "quick"], "--name is missing"),
        (["run", "quick", "--name", "../a"], "--name '../a': accepted is letters"),
        (["run", "quick", "--name", "a.json"], "--name 'a.json': accepted is letters"),
        (["run", "quick", "--name", "a", "--rounds", "0"], "--rounds 0: accepted is more than 0"),
        (["run", "quick", "--name", "a", "--scale", "-1"], "--scale -1.0: accepted is more"),
        (["run", "quick", "--name", "a", "--scale", "nan"], "--scale nan: accepted is more"),
        (["run", "quick", "--name", "a", "--subjects", "x"], "'x': accepted is one of: nothing"),
        (["run", "quick", "--variant", "a="], "accepted is NAME"),
        (["run", "quick", "--variant", "a,ZCACHE_BACKEND=rust"], "variant a does not run"),
        (["list", "quik"], "did you mean quick?"),
        (["compare", "a"], "accepted is two results or more, or one with --between"),
        (["compare", "a", "a"], "accepted is each of the results only once"),
        (["compare", "a", "b"], "bench-results/a.json: the result cannot be read: No such file"),
        (["compare", "a", "b", "--threshold", "-1"], "--threshold -1.0: accepted is 0 or more"),
        (["compare", "a", "b", "--between", "x", "y"], "--between: accepted is one result"),
        (["report", "a"], "bench-results/a.json: the result cannot be read"),
        (["compare", "a", "--between", "x"], "--between: accepted is one result"),
        ([], "the following arguments are required: list|run|compare|report"),
        (["lst"], "invalid choice: 'lst'"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if words[:1] == ["run"]:
        words += ["--out", str(tmp_path)]
    try:
        code = main(["bench", *words])
    except SystemExit as left:
        code = int(left.code or 0)
    assert code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
    assert said in captured.err
    assert list(tmp_path.iterdir()) == []


RATES = [100.0, 103, 98, 101, 99, 102, 100]


def test_a_guard_that_compared_nothing_has_not_passed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, subject in (("a", "zcache"), ("b", "nothing")):
        save_result(made(name, {subject: {"put_pages_s": RATES}}), tmp_path / f"{name}.json")
    assert main(["bench", "compare", "a", "b", "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err == "ramster bench compare: there is nothing to compare\n"


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_measured(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").write_text("")
    flags = ["--name", "a", "--rounds", "1", "--out", str(tmp_path / "file")]
    done = run_ramster("bench", "run", "store-ratio", *flags)
    assert done.returncode == 2
    assert "the result cannot be written" in done.stderr
    assert "round 1" not in done.stderr


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Results: before, and in the same session one like it and one of half the speed."""
    for name, factor in (("before", 1.0), ("same", 1.001), ("slow", 0.5)):
        rates = [rate * factor for rate in RATES]
        values = {
            "nothing": {"put_pages_s": [2 * rate for rate in RATES]},
            "zcache": {"put_pages_s": rates},
        }
        save_result(made(name, values, session="s"), tmp_path / f"{name}.json")
    return tmp_path


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["before", "same"], 0, "0 better, 0 worse by more than 5 %"),
        (["before", "slow"], 1, "0 better, 1 worse by more than 5 %"),
        (["before", "slow", "--threshold", "60"], 0, "0 worse by more than 60 %"),
        (["slow", "before"], 0, "1 better, 0 worse"),
        (["before", "same", "slow"], 1, "4 figures compared: 0 better, 1 worse"),
        (["before", "--between", "nothing", "zcache"], 1, "zcache against nothing"),
        (["before", "--between", "zcache", "nothing"], 0, "nothing against zcache"),
    ],
)
def test_compare_exits_1_where_a_figure_is_worse(
    kept: Path, words: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "compare", *words, "--out", str(kept)]) == code
    assert said in capsys.readouterr().out


def test_compare_takes_files_and_gives_json(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(kept / f"{name}.json") for name in ("before", "slow")]
    assert main(["bench", "compare", *files, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["worse"] == 1


def test_compare_without_scipy_says_how_to_install_it(kept: Path) -> None:
    block = "import sys\nsys.modules['scipy'] = None\n"
    done = run_ramster("bench", "compare", "before", "slow", "--out", str(kept), before=block)
    assert done.returncode == 2
    assert "comparing needs scipy: pip install 'ramster[bench]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_report_writes_a_page_and_says_where(
    kept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "report", "before", "slow", "--out", str(kept)]) == 0
    page = kept / "report-before-slow" / "report.html"
    assert capsys.readouterr().out == f"{page}\n"
    assert "slow against before" in page.read_text()
    assert main(["bench", "report", "before", "--out", str(kept), "--to", str(kept / "x")]) == 0
    assert (kept / "x" / "report.html").exists()


def test_report_without_matplotlib_says_how_to_install_it(kept: Path) -> None:
    block = "import sys\nsys.modules['matplotlib'] = None\n"
    done = run_ramster("bench", "report", "before", "--out", str(kept), before=block)
    assert done.returncode == 2
    assert "a report needs matplotlib: pip install 'ramster[bench]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_it_keeps_what_was_measured(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    # A test run in the background of a shell has SIGINT ignored, and its children inherit that.
    command = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from ramster.cli import main; sys.exit(main())"
    )
    words = ["bench", "run", "quick", "--name", "a", "--scale", "0.01", "--rounds", "999"]
    with subprocess.Popen(
        [sys.executable, "-c", command, *words, "--subjects", "zcache"],
        cwd=tmp_path,
        env=clean_environment(PYTHONPATH=str(ROOT)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        for line in process.stderr:
            if line.startswith("round 3 "):
                break
        process.send_signal(number)
        out = process.stdout.read()
    assert process.returncode == code
    assert ("interrupted: the result is partial" in out) == (number == signal.SIGINT)
    result = load_result(tmp_path / "bench-results" / "a.json")
    assert not result.complete
    assert {row.round for row in result.measurements} >= {1, 2}
