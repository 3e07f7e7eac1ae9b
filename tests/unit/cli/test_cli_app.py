"""The command `orze` as a whole: its table, its help, and what becomes of faults."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from snapshots import kept

from orze.cli.app import COMMANDS, GROUPS, load, main
from orze.cli.table import Entry, guarded
from orze.core.errors import ConfigError, OrzeError

ROOT = Path(__file__).parents[3]
HEAVY = {"yaml", "pydantic", "psutil", "jinja2", "rich.console", "pynvml", "orze.client", "orze.farm"}


def orze(*argv: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run `orze` in a process of its own, its output a pipe."""
    return subprocess.run(
        [sys.executable, "-m", "orze.cli.app", *argv],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def test_help_loads_nothing_heavy(tmp_path: Path):
    code = (
        "import sys, atexit; atexit.register(lambda: print(*sys.modules, file=sys.stderr));"
        "from orze.cli.app import main; sys.exit(main(['--help']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert set(done.stderr.split()) & HEAVY == set()
    assert all(f"  {entry.name} " in done.stdout for entry in COMMANDS)


def test_help_is_as_it_was(tmp_path: Path):
    told = orze("--help", cwd=tmp_path, COLUMNS="80", NO_COLOR="1").stdout
    assert told == kept("help", told)


@pytest.mark.parametrize("entry", COMMANDS, ids=[entry.name for entry in COMMANDS])
def test_every_command_of_the_table_is_there_and_explains_itself(entry: Entry):
    command = load(entry)
    assert command.name == entry.name
    assert command.help and "Args:" not in command.help and "Returns:" not in command.help
    assert entry.group in GROUPS
    assert len(f"  {entry.name:<8}  {entry.short}") <= 80
    assert entry.short.endswith(".")


def test_no_name_is_given_twice():
    assert len({entry.name for entry in COMMANDS}) == len(COMMANDS)


@pytest.mark.parametrize("name", [entry.name for entry in COMMANDS if not entry.passes_on])
def test_help_fits_the_terminal(name: str, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    assert main([name, "--help"]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["nonsense"], "nonsense"),
        (["stop"], "Missing argument"),
        (["stop", "--bogus", "idea-001"], "--bogus"),
        (["wait"], "name ideas, or give --all"),
        (["wait", "idea-001", "--all"], "name ideas, or give --all"),
        (["retry"], "name ideas, or give --failed or --cause"),
        (["wait", "--all", "--timeout", "soon"], "'--timeout'"),
        (["-c", "none.yaml", "hold", "idea-001"], "none.yaml: no such file"),
        (["hold", "idea-001", "-c", "none.yaml"], "none.yaml: no such file"),
        (["status", "--config-file", "none.yaml"], "none.yaml: no such file"),
        (["-c", "one.yaml", "status", "-c", "none.yaml"], "none.yaml: no such file"),
        (["service", "-c", "none.yaml", "install"], "none.yaml: no such file"),
        (["service", "install", "-c", "none.yaml"], "none.yaml: no such file"),
        (["report", "-c", "none.yaml"], "orze: none.yaml: no such file"),
        (["hold", "idea-001"], "no farm has run in"),
        (["add", "--title", "A"], "neither orze.yaml nor ideas.md"),
        (["add", "--parent", "idea-001"], "needs a --title"),
        (["add", "f.md", "--title", "A"], "not both"),
        (["add", "none.md"], "none.md: No such file"),
    ],
)
def test_wrong_usage_is_told_in_a_sentence_and_leaves_nothing(argv, told, tmp_path: Path, capfd):
    os.chdir(tmp_path)
    assert main(argv) == 2
    out, err = capfd.readouterr()
    assert told in err and "Traceback" not in err
    assert out == "" and not list(tmp_path.iterdir())


@pytest.fixture(autouse=True)
def back_again():
    """The working directory of a test is its own."""
    here = Path.cwd()
    yield
    os.chdir(here)


@pytest.mark.parametrize(
    ("fault", "status", "told"),
    [
        (OrzeError("a sentence"), 2, "orze: a sentence\n"),
        (ConfigError(["one", "two"]), 2, "orze: one\norze: two\n"),
        (OSError(5, "Input/output error", "/mnt/share/x"), 2, "orze: /mnt/share/x: Input/output error\n"),
        (OSError(5, "Input/output error"), 2, "orze: the results directory: Input/output error\n"),
        (OrzeError("red \x1b[31m"), 2, "orze: red ␛[31m\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_a_fault_becomes_a_sentence_and_an_exit_status(fault, status, told, capsys):
    def command() -> None:
        raise fault

    with pytest.raises(typer.Exit) as end:
        guarded(command)()
    assert end.value.exit_code == status
    assert capsys.readouterr().err == told


@pytest.mark.parametrize(("result", "status"), [(1, 1), (3, 3)])
def test_what_a_command_returns_is_the_exit_status(result, status):
    with pytest.raises(typer.Exit) as end:
        guarded(lambda: result)()
    assert end.value.exit_code == status
    assert guarded(lambda: 0)() is None
    assert guarded(lambda: None)() is None


def test_a_reader_that_has_seen_enough_is_no_fault(tmp_path: Path):
    script = f"{sys.executable} -m orze.cli.app --help | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr == "" and done.stdout.strip() in ("0", "1")


def test_run_hands_its_flags_to_farm_py(tmp_path: Path):
    done = orze("run", "--help", cwd=tmp_path)
    assert done.returncode == 0 and "--stop-attempts" in done.stdout
    (tmp_path / "f.yaml").write_text("bogus: 1\n")
    done = orze("-c", "f.yaml", "run", "--dry-run", cwd=tmp_path)
    assert (done.returncode, "f.yaml:1:" in done.stderr) == (2, True)
