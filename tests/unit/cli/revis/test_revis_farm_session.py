"""A session that a farm keeps is seen by the commands of `revis` where the farm's settings are."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from orze.cli.revis.app import main
from orze.refine.places import Place
from tests.unit.cli.revis.revis_project import whole


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("template") / "project"
    whole(home)
    return home


@pytest.fixture
def home(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A farm in the repository of its code; the records of its session are where its leader writes them."""
    home = tmp_path / "project"
    shutil.copytree(template, home)
    (home / "orze.yaml").write_text(
        "train_command: python train.py\nreport: {primary_metric: val_loss, sort: ascending}\n"
        "refine: {name: digits, llm: {model: openai/gpt-4o-mini}}\n"
    )
    kept = home / "results/.orze/refine"
    kept.mkdir(parents=True)
    (home / ".revis/digits").rename(kept / "digits")
    (kept / "loop.log").write_text("step 0: the baseline\n")
    monkeypatch.chdir(home)
    return home


def test_it_is_shown_like_any_other(home: Path, capsys: pytest.CaptureFixture[str]):
    for argv in (
        ["list"],
        ["status"],
        ["show", "digits"],
        ["show", "digits", "1"],
        ["compare", "digits", "0", "1"],
    ):
        assert main(argv) == 0
    out = capsys.readouterr().out
    assert out.count("interrupted") == 3
    assert "-rate = 0.1" in out and "+rate = 0.3" in out
    assert main(["-c", str(home / "orze.yaml"), "logs", "digits"]) == 0
    assert capsys.readouterr().out == "step 0: the baseline\n"


def test_it_is_asked_to_stop_and_may_go_on(home: Path, capsys: pytest.CaptureFixture[str]):
    place = Place(home / "results/.orze/refine/digits", "digits")
    assert main(["stop", "digits"]) == 0
    assert place.is_asked(now=False)
    assert main(["resume", "digits", "--budget", "2h"]) == 2
    assert main(["resume", "digits"]) == 0
    assert not place.is_asked(now=False)
    assert main(["delete", "digits", "--yes"]) == 2
    assert place.session().fold.begun
    out, err = capsys.readouterr()
    assert "the host that leads the farm does" in out
    assert "its budget stands in orze.yaml" in err


def test_another_settings_file_hides_it(home: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["-c", "revis.yaml", "show", "digits"]) == 2
    assert "there is no session digits" in capsys.readouterr().err
    (home / "orze.yaml").write_text("nonsense: 1\n")
    assert main(["show", "digits"]) == 2
    assert "there is no session digits" in capsys.readouterr().err
