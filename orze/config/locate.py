"""Which interpreter runs the scripts: the `python` key of orze.yaml, found on this host."""

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from orze.core.errors import ConfigError

_CONDA: Final = "conda:"
_CONDA_HOMES: Final = ("miniforge3", "miniconda3", "mambaforge", "anaconda3")
_CONDA_ROOT: Final = Path("/opt/conda")
_MAX_LIST_BYTES: Final = 2**16


def python_command(setting: str | None, environ: Mapping[str, str]) -> list[str]:
    """Find the interpreter on this host.

    Args:
        setting: `python` of the settings: None for that of the daemon, an absolute path or one that
            begins with `~`, a name on PATH, or `conda:NAME`.
        environ: PATH, HOME and conda's variables are looked up here.

    Returns:
        The words to put before a script's path.

    Raises:
        ConfigError: one sentence; for a conda environment with those that are there.
    """
    if setting is None:
        return [sys.executable]
    if setting.startswith(_CONDA):
        return [str(_interpreter(_conda_prefix(setting, environ)))]
    if "/" not in setting:
        if found := shutil.which(setting, path=environ.get("PATH", os.defpath)):
            return [os.path.abspath(found)]
        raise ConfigError([f"python: no program {setting!r} on PATH; give the path of an interpreter"])
    path = _home(environ) / setting.removeprefix("~/") if setting.startswith("~/") else Path(setting)
    if not _is_program(path):
        raise ConfigError([f"python: {str(path)!r} is not a program; give the path of an interpreter"])
    return [str(path)]


def python_environment(setting: str | None, environ: Mapping[str, str]) -> dict[str, str]:
    """Give the variables that go with the interpreter.

    Args:
        setting: as for python_command().
        environ: the environment that they are laid over.

    Returns:
        For `conda:NAME` CONDA_PREFIX, CONDA_DEFAULT_ENV and PATH with the environment's programs
        first, which is what activation does short of the scripts in etc/conda/activate.d; otherwise
        nothing.

    Raises:
        ConfigError: as python_command() does.
    """
    if setting is None or not setting.startswith(_CONDA):
        return {}
    prefix = _conda_prefix(setting, environ)
    return {
        "CONDA_PREFIX": str(prefix),
        "CONDA_DEFAULT_ENV": setting.removeprefix(_CONDA),
        "PATH": f"{prefix / 'bin'}{os.pathsep}{environ.get('PATH', os.defpath)}",
    }


def conda_environments(environ: Mapping[str, str]) -> dict[str, Path]:
    """List the conda environments of this host without starting conda, which takes seconds.

    The places are those of conda's own documentation ("Managing environments", "Configuration"): the
    directories of CONDA_ENVS_PATH, `envs/` of each installation, `~/.conda/envs`, and the prefixes in
    `~/.conda/environments.txt`.

    Args:
        environ: HOME and conda's variables are looked up here.

    Returns:
        Name -> prefix, where the prefix holds an interpreter; of two with one name the first found.
    """
    found: dict[str, Path] = {}
    for name, prefix in _candidates(environ):
        if name not in found and _is_program(_interpreter(prefix)):
            found[name] = prefix
    return found


def _conda_prefix(setting: str, environ: Mapping[str, str]) -> Path:
    name = setting.removeprefix(_CONDA)
    there = conda_environments(environ)
    if name in there:
        return there[name]
    listed = f"there are {', '.join(sorted(there))}" if there else "no conda environment was found"
    raise ConfigError([f"python: no conda environment {name!r} on this host; {listed}"])


def _candidates(environ: Mapping[str, str]) -> Iterator[tuple[str, Path]]:
    """Every environment that may be there, the most explicit places first."""
    home = _home(environ)
    if active := environ.get("CONDA_PREFIX"):
        yield _name(Path(active)), Path(active)
    roots = list(_installations(environ))
    listed = environ.get("CONDA_ENVS_PATH", "").split(os.pathsep)
    shelves = [Path(shelf) for shelf in listed if shelf]
    for shelf in [*shelves, *(root / "envs" for root in roots), home / ".conda/envs"]:
        for name in _listing(shelf):
            yield name, shelf / name
    for root in roots:
        yield _name(root), root
    for line in _lines(home / ".conda/environments.txt"):
        yield _name(Path(line)), Path(line)


def _installations(environ: Mapping[str, str]) -> Iterator[Path]:
    """Directories where conda may be installed; base environments, in conda's words."""
    if program := environ.get("CONDA_EXE"):
        yield Path(program).parent.parent
    for variable in ("CONDA_ROOT", "MAMBA_ROOT_PREFIX"):
        if root := environ.get(variable):
            yield Path(root)
    if active := environ.get("CONDA_PREFIX"):
        path = Path(active)
        yield path.parent.parent if path.parent.name == "envs" else path
    yield from (_home(environ) / name for name in _CONDA_HOMES)
    yield _CONDA_ROOT


def _name(prefix: Path) -> str:
    """Name an environment as conda does: one outside `envs/` goes by its path."""
    if prefix.parent.name == "envs":
        return prefix.name
    return "base" if _is_program(prefix / "bin" / "conda") else str(prefix)


def _home(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("HOME") or os.path.expanduser("~"))


def _interpreter(prefix: Path) -> Path:
    return prefix / "bin" / "python"


def _is_program(path: Path) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)


def _listing(directory: Path) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []  # most of the places are not there


def _lines(file: Path) -> list[str]:
    try:
        with open(file, "rb") as stream:
            text = stream.read(_MAX_LIST_BYTES).decode(errors="replace")
    except OSError:
        return []
    return [line.strip() for line in text.splitlines() if line.strip().startswith("/")]
