"""The directory of an attempt, its door and its snapshots."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path
from typing import Any

import pytest

from orze.attempt.workspace import Workspace, remove_door

TOKEN = "abc123"


def message(**changes: Any) -> Any:
    made = {
        "attempt": 2,
        "doors": True,
        "section": "## idea-001: Ä\n",
        "base": "a: 1\n",
        "config": "a: 2\n",
        "environment": {"git_commit": "c0ffee"},
        "train": {"argv": ["python", "t.py", "--results-dir", "{results_dir}"]},
        "trained": None,
        "cwd": "/project",
        "checkout": None,
        "links": {},
        "resume_above": 0,
    }
    return {**made, **changes}


def workspace(results: Path, **changes: Any) -> Workspace:
    results.mkdir(parents=True, exist_ok=True)
    return Workspace(str(results), "idea-001", TOKEN, message(**changes))


def test_everything_is_made_in_a_directory_of_its_own(tmp_path: Path):
    made = workspace(tmp_path / "results")
    made.make()
    own = tmp_path / "results" / "idea-001" / "attempts" / f"2-{TOKEN}"
    files = {path.relative_to(own).as_posix() for path in own.rglob("*") if path.is_file()}
    assert files == {"input/ideas.md", "input/base.yaml", "idea.yaml", "environment.json"}
    assert (own / "input" / "ideas.md").read_text() == "## idea-001: Ä\n"
    assert (own / "idea.yaml").read_text() == "a: 2\n"
    assert (own / "checkpoints").is_dir()
    door = tmp_path / "results" / ".orze" / "doors" / TOKEN
    environment = json.loads((own / "environment.json").read_text())
    assert environment == {
        "git_commit": "c0ffee",
        "argv": ["python", "t.py", "--results-dir", str(door)],
    }
    assert made.results_argument == str(door)
    assert (door / "idea-001").resolve() == own


def test_a_try_that_was_refused_half_way_can_be_repeated(tmp_path: Path):
    made = workspace(tmp_path / "results", links={"idea-000": "idea-000/attempts/1-x"})
    made.make()
    made.make()
    assert sorted(os.listdir(made.results_argument)) == ["idea-000", "idea-001"]


def test_a_door_shows_the_ideas_that_this_one_builds_on(tmp_path: Path):
    results = tmp_path / "results"
    (results / "idea-000" / "attempts" / "1-x").mkdir(parents=True)
    links = {"idea-000": "idea-000/attempts/1-x", "idea-009": "idea-009", "idea-001": "elsewhere"}
    made = workspace(results, links=links)
    made.make()
    door = Path(made.results_argument)
    assert (door / "idea-000").resolve() == results / "idea-000" / "attempts" / "1-x"
    assert not (door / "idea-009").exists()
    assert (door / "idea-001").resolve() == Path(made.data)
    made.close_door()
    assert not door.exists()
    assert (results / "idea-000" / "attempts" / "1-x").is_dir()
    made.close_door()


def test_a_door_is_removed_however_often_and_by_whomever(tmp_path: Path):
    remove_door(str(tmp_path / "nothing"))
    door = tmp_path / "door"
    door.mkdir()
    (door / "idea-001").symlink_to("../../nowhere")
    remove_door(str(door))
    assert not door.exists()


def test_without_doors_the_script_is_shown_results_itself(tmp_path: Path):
    made = workspace(tmp_path / "results", doors=False)
    made.make()
    home = tmp_path / "results" / "idea-001"
    assert (made.results_argument, made.data, made.log) == (
        str(tmp_path / "results"),
        str(home),
        str(home / "train_output.log"),
    )
    assert (home / "idea.yaml").read_text() == "a: 2\n"
    assert (home / "attempts" / f"2-{TOKEN}" / "checkpoints").is_dir()
    assert not (tmp_path / "results" / ".orze" / "doors").exists()
    made.close_door()


def test_an_attempt_that_only_evaluates_writes_beside_the_training(tmp_path: Path):
    trained = {"directory": "1-old", "metrics": {}, "seconds": 1.0}
    (tmp_path / "results" / "idea-001" / "attempts" / "1-old").mkdir(parents=True)
    made = workspace(tmp_path / "results", trained=trained)
    made.make()
    assert made.data.endswith("/attempts/1-old")
    assert made.eval_log == f"{made.data}/eval_output.log"
    assert Path(made.results_argument, "idea-001").resolve() == Path(made.data)
    assert made.directory.endswith(f"/attempts/2-{TOKEN}")


@pytest.mark.parametrize("results", ["results", "my results", "o'brien's \"results\" $HOME"])
def test_places_are_filled_in_as_words_and_inside_a_line_for_a_shell(tmp_path: Path, results: str):
    made = workspace(tmp_path / results)
    door = made.results_argument
    snapshot = f"{made.input}/ideas.md"
    assert made.fill("{results_dir}") == door
    assert made.fill("--out={results_dir}/x {config}") == f"--out={door}/x {made.input}/base.yaml"
    command = ["python", "t.py", "--results-dir", "{results_dir}", "--ideas-md", "{ideas_md}", "it's"]
    line = made.fill("ulimit -n 99; exec " + shlex.join(command))
    assert shlex.split(line)[4:] == ["python", "t.py", "--results-dir", door, "--ideas-md", snapshot, "it's"]
    assert made.fill("{unknown} {}") == "{unknown} {}"


def test_the_variables_name_the_attempt_s_own_paths(tmp_path: Path):
    made = workspace(tmp_path / "results")
    made.make()
    assert made.environment() == {
        "ORZE_IDEA_CONFIG": f"{made.directory}/idea.yaml",
        "ORZE_CHECKPOINT_DIR": f"{made.directory}/checkpoints",
        "ORZE_RESUME_FROM": "",
        "REVIS_OUTPUT_DIR": f"{made.results_argument}/idea-001",
    }


@pytest.mark.parametrize(
    ("attempts", "above", "expected"),
    [
        ({}, 0, ""),
        ({"1-a": True}, 0, "1-a"),
        ({"1-a": False}, 0, ""),
        ({"1-a": True, "3-c": False, "2-b": True}, 0, "2-b"),
        ({"9-i": True, "10-j": True}, 0, "10-j"),
        ({"1-a": True}, 1, ""),
        ({"1-a": True, "2-b": True}, 1, "2-b"),
        ({"20-self": True, "21-later": True}, 0, ""),
        ({"²-x": True, "x-1": True, "-": True, "notes": True}, 0, ""),
    ],
)
def test_a_training_goes_on_from_the_latest_checkpoints_before_it(tmp_path: Path, attempts, above, expected):
    made = workspace(tmp_path / "results", attempt=20, resume_above=above)
    made.make()
    home = tmp_path / "results" / "idea-001" / "attempts"
    for name, saved in attempts.items():
        (home / name / "checkpoints").mkdir(parents=True)
        if saved:
            (home / name / "checkpoints" / "step-1").touch()
    found = made.environment()["ORZE_RESUME_FROM"]
    assert found == (str(home / expected / "checkpoints") if expected else "")


def test_the_umask_of_a_group_is_kept(tmp_path: Path):
    before = os.umask(0o002)
    try:
        made = workspace(tmp_path / "results")
        made.make()
    finally:
        os.umask(before)
    assert Path(made.directory).stat().st_mode & 0o777 == 0o775
    assert Path(made.directory, "idea.yaml").stat().st_mode & 0o777 == 0o664


def test_a_link_in_the_place_of_a_snapshot_is_not_followed(tmp_path: Path):
    made = workspace(tmp_path / "results", doors=False)
    victim = tmp_path / "victim"
    victim.write_text("precious")
    Path(made.directory).mkdir(parents=True)
    Path(made.directory, "idea.yaml").symlink_to(victim)
    with pytest.raises(OSError, match="symbolic links"):
        made.make()
    assert victim.read_text() == "precious"
