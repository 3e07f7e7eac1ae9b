"""The runs of a session in progress, as its farm tells of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from orze.client.project import Project
from orze.refine.fold import SessionFold
from orze.refine.places import find
from orze.refine.running import Run, farm_of_session, progress_of, runs_of
from tests.unit.cli.eyes_farm import NOW, EyesFarm, make_farm
from tests.unit.cli.revis.revis_project import whole


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> EyesFarm:
    """A farm in which idea-004 runs and idea-001 has ended."""
    return make_farm(tmp_path_factory.mktemp("running") / "farm")


@pytest.fixture(scope="module")
def fold(tmp_path_factory: pytest.TempPathFactory) -> SessionFold:
    """A session whose step 4 runs."""
    return whole(tmp_path_factory.mktemp("running") / "project").session.fold


def runs_as(fold: SessionFold, idea_id: str, project: Project) -> list[Run]:
    step = fold.steps[4]
    assert step.last
    fold.steps[4] = replace(step, tries=(replace(step.last, idea_id=idea_id),))
    return runs_of(project, fold)


def test_a_run_is_found_with_its_log_and_how_far_it_is(farm: EyesFarm, fold: SessionFold):
    (run,) = runs_as(fold, "idea-004", farm.project())
    assert (run.step, run.idea_id, run.host, run.gpu) == (4, "idea-004", "gpu-a", "0")
    assert Path(run.log).read_text().startswith("starting")
    assert progress_of(run, "val_accuracy", NOW) == "val_accuracy=0.8467 epoch=39 loss=0.0500, 10m00s"
    assert progress_of(replace(run, progress="none", began=0.0), "x", NOW) == ""


@pytest.mark.parametrize("idea_id", ["", "idea-001", "idea-009", "idea-00"])
def test_what_does_not_run_is_no_run(farm: EyesFarm, fold: SessionFold, idea_id: str):
    assert runs_as(fold, idea_id, farm.project()) == []


def test_the_farm_of_a_session_is_its_own_or_that_of_the_settings(
    farm: EyesFarm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    home = tmp_path / "project"
    whole(home)
    place = find(home, "digits").place
    key = {"OPENAI_API_KEY": "none"}
    assert farm_of_session(place, home, key) is None
    text = (home / "revis.yaml").read_text()
    shared = text.replace(
        "entry: {train: python train.py}", f"executor: {{type: farm, config: {farm.home}/orze.yaml}}"
    )
    (home / "revis.yaml").write_text(shared)
    found = farm_of_session(place, home, key)
    assert found and found.paths.results == farm.paths.results
    place.farm.mkdir()
    (place.farm / "orze.yaml").write_text("results_dir: results\ntrain_command: 'true'\n")
    own = farm_of_session(place, home, key)
    assert own and own.paths.results == str(place.farm / "results")
    (place.farm / "orze.yaml").write_text("nonsense: 1\n")
    assert farm_of_session(place, home, key) is None
