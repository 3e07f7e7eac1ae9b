"""The interpreter that `python` names is found on this host, without starting conda."""

import sys
from pathlib import Path

import pytest

from orze.config.locate import conda_environments, python_command, python_environment
from orze.core.errors import ConfigError


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home directory with conda in it, and the environments base, train and eval."""
    conda = tmp_path / "miniconda3"
    program(conda / "bin/python")
    program(conda / "bin/conda")
    for name in ("train", "eval"):
        program(conda / "envs" / name / "bin/python")
    (conda / "envs/broken").mkdir()
    return tmp_path


def sentence(setting: str, environ: dict[str, str]) -> str:
    with pytest.raises(ConfigError) as caught:
        python_command(setting, environ)
    [one] = caught.value.problems
    return one


def test_without_a_setting_it_is_the_interpreter_of_the_daemon() -> None:
    assert python_command(None, {}) == [sys.executable]
    assert python_environment(None, {}) == {}


def test_a_path_is_taken_as_it_is_and_a_tilde_is_home(tmp_path: Path) -> None:
    path = program(tmp_path / "env/bin/python")
    assert python_command(str(path), {}) == [str(path)]
    assert python_command("~/env/bin/python", {"HOME": str(tmp_path)}) == [str(path)]
    assert python_environment(str(path), {"PATH": "/bin"}) == {}


def test_a_name_is_looked_up_on_the_path_that_is_given(tmp_path: Path) -> None:
    path = program(tmp_path / "bin/python9")
    assert python_command("python9", {"PATH": f"/nowhere:{path.parent}"}) == [str(path)]
    assert sentence("python9", {"PATH": "/nowhere"}).startswith("python: no program 'python9' on PATH")


def test_a_path_without_a_program_is_told(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("")
    for path in (tmp_path, tmp_path / "text", tmp_path / "none"):
        assert sentence(str(path), {}).startswith(f"python: {str(path)!r} is not a program")


def test_a_conda_environment_is_found_below_home(home: Path) -> None:
    prefix = home / "miniconda3/envs/train"
    assert python_command("conda:train", {"HOME": str(home)}) == [str(prefix / "bin/python")]
    assert python_command("conda:base", {"HOME": str(home)}) == [str(home / "miniconda3/bin/python")]


def test_the_environment_of_conda_puts_its_programs_first(home: Path) -> None:
    prefix = home / "miniconda3/envs/train"
    assert python_environment("conda:train", {"HOME": str(home), "PATH": "/usr/bin"}) == {
        "CONDA_PREFIX": str(prefix),
        "CONDA_DEFAULT_ENV": "train",
        "PATH": f"{prefix}/bin:/usr/bin",
    }


def test_an_unknown_environment_is_told_with_those_that_are_there(home: Path) -> None:
    told, _, listed = sentence("conda:trian", {"HOME": str(home)}).partition("; there are ")
    assert told == "python: no conda environment 'trian' on this host"
    assert set(listed.split(", ")) >= {"base", "eval", "train"}
    assert "broken" not in listed


def test_a_host_without_conda_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orze.config.locate._CONDA_ROOT", tmp_path / "none")
    told = sentence("conda:train", {"HOME": str(tmp_path)})
    assert told == "python: no conda environment 'train' on this host; no conda environment was found"


@pytest.mark.parametrize(
    "variables",
    [
        {"CONDA_EXE": "{root}/bin/conda"},
        {"CONDA_ROOT": "{root}"},
        {"MAMBA_ROOT_PREFIX": "{root}"},
        {"CONDA_PREFIX": "{root}"},
        {"CONDA_PREFIX": "{root}/envs/train"},
        {"CONDA_PREFIX": "{root}/envs/other"},
        {"CONDA_ENVS_PATH": "/nowhere:{root}/envs"},
    ],
)
def test_each_variable_of_conda_leads_to_its_environments(tmp_path: Path, variables: dict[str, str]) -> None:
    root = tmp_path / "somewhere"
    path = program(root / "envs/train/bin/python")
    environ = {name: value.format(root=root) for name, value in variables.items()}
    assert python_command("conda:train", {"HOME": str(tmp_path / "home"), **environ}) == [str(path)]


def test_environments_are_also_found_in_the_list_that_conda_keeps(tmp_path: Path) -> None:
    listed = program(tmp_path / "far/envs/train/bin/python").parent.parent
    apart = program(tmp_path / "project/.venv/bin/python").parent.parent
    (tmp_path / ".conda").mkdir()
    lines = f"{listed}\n\n# x\n{apart}\n/gone\n\xff\n"
    (tmp_path / ".conda/environments.txt").write_bytes(lines.encode("latin-1"))
    found = conda_environments({"HOME": str(tmp_path)})
    assert (found["train"], found[str(apart)]) == (listed, apart)
    assert "/gone" not in found
    assert python_command(f"conda:{apart}", {"HOME": str(tmp_path)}) == [str(apart / "bin/python")]


def test_of_two_environments_with_one_name_the_active_one_is_taken(home: Path) -> None:
    active = program(home / "other/envs/train/bin/python").parent.parent
    found = conda_environments({"HOME": str(home), "CONDA_PREFIX": str(active)})
    assert found["train"] == active
