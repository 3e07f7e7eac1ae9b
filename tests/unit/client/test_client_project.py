"""Finding the project that a command works on."""

from __future__ import annotations

from pathlib import Path

import pytest

from orze.client.project import NoFarm, open_project
from orze.core.errors import ConfigError


def test_the_settings_of_the_working_directory_are_taken(tmp_path: Path):
    (tmp_path / "orze.yaml").write_text("results_dir: out\ntimeout: 60\n")
    project = open_project(None, cwd=tmp_path, environ={})
    assert (project.paths.results, project.settings.timeout) == (f"{tmp_path}/out", 60)
    assert project.shown_config == "orze.yaml"


def test_named_settings_win_and_their_directory_is_the_project(tmp_path: Path):
    (tmp_path / "orze.yaml").write_text("timeout: 60\n")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "farm.yaml").write_text("timeout: 70\n")
    project = open_project(Path("other/farm.yaml"), cwd=tmp_path, environ={})
    assert (project.settings.timeout, project.paths.results) == (70, f"{tmp_path}/other/results")
    assert project.shown_config == "other/farm.yaml"


def test_without_settings_the_defaults_hold(tmp_path: Path):
    assert open_project(None, cwd=tmp_path, environ={}).paths.results == f"{tmp_path}/results"


def test_faults_of_the_settings_are_told_with_their_lines(tmp_path: Path):
    (tmp_path / "orze.yaml").write_text("timeuot: 60\n")
    with pytest.raises(ConfigError, match=r"orze\.yaml:1: "):
        open_project(None, cwd=tmp_path, environ={})


def test_what_holds_on_this_host_is_applied(tmp_path: Path):
    (tmp_path / "orze.yaml").write_text("hosts: {'*': {slots_per_gpu: 3}}\n")
    assert open_project(None, cwd=tmp_path, environ={}).settings.slots_per_gpu == 3


def test_nothing_is_made_and_a_directory_without_a_farm_is_told(tmp_path: Path):
    project = open_project(None, cwd=tmp_path, environ={})
    with pytest.raises(NoFarm, match=r"no farm has run in .*results"):
        project.check_begun()
    assert not list(tmp_path.iterdir())
