"""The program: sub-commands, wrong words, exit codes; every mistake is one line."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ramster import __version__
from ramster.cli import COMMANDS, build_parser, main
from tests.support.serving import ROOT, clean_environment, run_ramster


@pytest.fixture(autouse=True)
def no_settings_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = clean_environment()
    monkeypatch.setattr("os.environ", environment)


def test_without_words_it_shows_its_usage_and_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    usage = capsys.readouterr().err
    assert all(command in usage for command in COMMANDS)


@pytest.mark.parametrize("word", ["-h", "--help", "help"])
def test_asked_for_help_it_shows_its_usage(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([word]) == 0
    assert capsys.readouterr().out.startswith("usage: ramster COMMAND")


def test_it_says_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"ramster {__version__}\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["serv"], "serv: no such command; did you mean serve?"),
        (["xyzzy"], "xyzzy: no such command (there are serve,"),
        (["serve", "--pol-limit", "1"], "--pol-limit: no such flag; did you mean --pool-limit?"),
        (["serve", "--pool-limit=1M", "--qqq=1"], "--qqq: no such flag"),
        (["serve", "--pool"], "--pool: no such flag"),
        (["serve", "extra"], "extra: nothing is expected beside flags"),
        (["serve", "--pool-limit"], "argument --pool-limit: expected one argument"),
        (["serve", "--pool-limit", "1MB"], "pool_limit = '1MB' (from --pool-limit): accepted is"),
        (["serve", "--mode", "both"], "mode = 'both' (from --mode): accepted is one of: zcache"),
        (["serve", "--lend-limit", "1G"], "accepted is at most pool_limit (256MiB)"),
        (["serve", "--export", "a=1M", "--export", "a=1M"], "accepted is each only once"),
        (["serve", "--config", "/nonexistent"], "accepted is a readable file (No such file"),
        (["config", "--http", "1:2:3"], "http = '1:2:3' (from --http): accepted is HOST:PORT"),
        (["demo", "--size", "1MB"], "size = '1MB' (from --size): accepted is whole bytes"),
        (["demo", "--size", "1"], "at least 1MiB"),
        (["demo", "--mode", "x"], "one of: zcache, ramster"),
        (["demo", "--connect", "tcp://a/d"], "together with --stats"),
        (["demo", "--connect", "nbd://a/d", "--stats", "http://a"], "tcp://HOST:PORT/EXPORT"),
        (["demo", "--data", "/nonexistent"], "data = '/nonexistent' (from --data): accepted is"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main(words)
    except SystemExit as left:
        code = int(left.code or 0)
    assert code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = [line for line in captured.err.splitlines() if not line.startswith("data: ")]
    assert len(lines) == 1
    assert said in lines[0]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        build_parser(command).parse_args(["--help"])
    assert left.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: ramster {command}")


def test_unknown_variables_are_a_mistake_too() -> None:
    done = run_ramster("serve", RAMSTER_POOL_LIMT="1G")
    assert done.returncode == 2
    assert done.stderr == (
        "ramster serve: RAMSTER_POOL_LIMT = '1G' (from environment): "
        "accepted is a known variable; did you mean RAMSTER_POOL_LIMIT?\n"
    )


def test_a_backend_that_there_is_not_is_a_mistake_too() -> None:
    done = run_ramster("info", ZCACHE_BACKEND="rust")
    assert done.returncode == 2
    assert done.stderr == (
        "ramster info: ZCACHE_BACKEND = 'rust': accepted is one of: auto, python, native\n"
    )


def test_it_runs_as_a_module_too() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ramster", "--version"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"ramster {__version__}\n"


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "ramster", "config"],
        cwd=ROOT,
        env=clean_environment(PYTHONUNBUFFERED="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1
