"""The flags of farm.py, and what comes of wrong ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from orze.cli.flags import FLAG_SETTINGS, parser
from orze.config.schema import Settings

ROOT = Path(__file__).parents[3]
MODES = ["--once", "--report-only", "--research-only", "--stop-attempts", "--dry-run"]
HEAVY = {"yaml", "pydantic", "psutil", "jinja2", "watchdog", "pynvml", "filelock", "matplotlib", "orze.farm"}


def run(*argv: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "farm.py"), *argv],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_help_names_every_flag_and_loads_nothing_heavy(tmp_path: Path):
    code = (
        "import sys; sys.path.insert(0, sys.argv.pop(1));"
        "import atexit; atexit.register(lambda: print(*sys.modules, file=sys.stderr));"
        "from orze.cli.farm import main; main()"
    )
    argv = [sys.executable, "-c", code, str(ROOT), "--help"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
    for action in parser()._actions:
        assert all(flag in done.stdout for flag in action.option_strings)
    assert set(done.stderr.split()) & HEAVY == set()


def test_a_flag_that_is_not_given_overrides_nothing():
    options = parser().parse_args([])
    assert all(getattr(options, flag) is None for flag in FLAG_SETTINGS)
    assert options.config_file is None
    assert not any((options.once, options.report_only, options.dry_run, options.verbose))


def test_every_flag_with_a_value_is_one_of_the_settings():
    assert set(FLAG_SETTINGS.values()) <= set(Settings.model_fields)
    values = dict.fromkeys(FLAG_SETTINGS, "7")
    argv = [word for flag, value in values.items() for word in (f"--{flag.replace('_', '-')}", value)]
    options = parser().parse_args([*argv, "-c", "other.yaml", "-v"])
    assert [str(getattr(options, flag)).removesuffix(".0") for flag in FLAG_SETTINGS] == ["7"] * len(values)
    assert (options.config_file, options.verbose) == ("other.yaml", True)


@pytest.mark.parametrize("first", MODES)
@pytest.mark.parametrize("second", MODES)
def test_only_one_mode_at_a_time(first: str, second: str, capsys: pytest.CaptureFixture[str]):
    if first == second:
        assert parser().parse_args([first])
        return
    with pytest.raises(SystemExit) as ended:
        parser().parse_args([first, second])
    assert ended.value.code == 2
    assert "not allowed with argument" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "word"),
    [
        (["--gpus", "no such card"], "--gpus"),
        (["--timeout", "soon"], "--timeout"),
        (["--timeout", "nan"], "--timeout"),
        (["--poll", "0"], "--poll"),
        (["--no-such-flag"], "unrecognized"),
        (["ideas.md"], "unrecognized"),
        (["-c", "missing.yaml"], "missing.yaml"),
    ],
)
def test_wrong_usage_is_one_sentence_and_exit_status_2(tmp_path: Path, argv: list[str], word: str):
    done = run(*argv, cwd=tmp_path)
    assert done.returncode == 2
    assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_faults_of_the_settings_are_all_told_with_their_lines(tmp_path: Path):
    (tmp_path / "orze.yaml").write_text("timout: 3\npoll: never\n")
    done = run("--once", cwd=tmp_path)
    assert done.returncode == 2
    assert [line.split(": ")[1] for line in done.stderr.splitlines()] == ["orze.yaml:1", "orze.yaml:2"]


def test_a_farm_without_a_researcher_says_so(tmp_path: Path):
    done = run("--research-only", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "no research is configured" in done.stderr
    assert list(tmp_path.iterdir()) == []
