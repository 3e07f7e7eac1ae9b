"""What `orze init`, `orze doctor` and `orze service` print."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from snapshots import kept

from orze.cli import output
from orze.cli.app import main
from orze.cli.commands import doctor
from orze.client.checks import Check, Verdict

TRAIN = """import argparse
p = argparse.ArgumentParser()
p.add_argument("--lr", default=0.1)
p.parse_args()
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch) -> Path:
    """A directory with a training script, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    (tmp_path / "train.py").write_text(TRAIN)
    return tmp_path


def test_init_tells_what_it_found_what_it_wrote_and_what_comes_next(home, capsys):
    assert main(["init", "--yes"]) == 0
    printed = capsys.readouterr().out.replace(str(home), "/project")
    for name in ("interpreter", "GPUs"):  # those of the host that runs this
        printed = re.sub(rf"(  {name} +).*", r"\1...", printed)
    assert printed == kept("init", printed)


def test_init_as_json_writes_and_tells_the_same(home, capsys):
    assert main(["init", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [file["file"] for file in told["files"] if file["written"]] == [
        "orze.yaml", "ideas.md", "configs/base.yaml", "RULES.md", "train_idea.py",
    ]  # fmt: skip
    assert main(["init", "--script", "none.py", "--yes"]) == 2
    assert "none.py: no such file" in capsys.readouterr().err


CHECKS = [
    Check("Python", Verdict.OK, "3.12.1, /usr/bin/python3"),
    Check("driver", Verdict.SKIP, "no NVIDIA driver: ideas run on CPU slots here"),
    Check("mount option", Verdict.WARN, "`soft`: reads fail [bold]", "mount with `hard`"),
    Check("train.py", Verdict.FAIL, "lacks \x1b[31mtorch " + "very " * 20 + "much", "install them"),
]


def test_the_table_of_a_doctor_fits_and_shows_what_it_is_given_as_it_is(home, capsys):
    output.draw(doctor.table(CHECKS))
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    assert "\x1b" not in printed
    assert doctor._STYLES.keys() == set(Verdict)
    assert printed == kept("doctor", printed)


def test_a_doctor_as_json_tells_each_check_and_fails_if_one_does(home, capsys):
    assert main(["doctor", "--json"]) == 1
    told = {check["name"]: check for check in json.loads(capsys.readouterr().out)}
    assert told["files"]["verdict"] == "fail"
    assert all(check.keys() == {"name", "verdict", "sentence", "what_to_do"} for check in told.values())


def test_a_service_that_is_not_there_is_told(home, capsys, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "conf"))
    monkeypatch.setenv("PATH", str(home))
    assert main(["service", "status", "--name", "farm"]) == 1
    assert main(["service", "uninstall", "--name", "farm"]) == 0
    assert main(["service", "install", "--name", "farm"]) == 1
    printed = capsys.readouterr()
    assert printed.out.count("orze-farm.service") == 3
    assert "@reboot" in printed.err
    assert main(["service", "install", "--name", "a/b"]) == 1
