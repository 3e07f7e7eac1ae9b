"""`orze init`: what a directory holds, and the files that make a farm of it. Nothing is overwritten."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files as shipped
from pathlib import Path

from orze.client import setup_texts
from orze.client.checks import within
from orze.client.script import MAX_BYTES, Script, inspect
from orze.config.load import CONFIG_NAME, load_settings
from orze.core.errors import OrzeError
from orze.gpu.inventory import Inventory

ADAPTER, OTHER_ADAPTER, EXAMPLE = "train_idea.py", "orze_train.py", "train_idea.py"
RULES = "RULES.md"
_PACKAGE = "orze.client"
_LIKELY = ("train_idea.py", "train.py", "finetune.py", "main.py", "run.py")
_BELOW = ("scripts/train.py", "src/train.py")
_VENVS = (".venv", "venv", "env")
_DRIVER_LIMIT = 15.0  # seconds that the driver may take


class SetupError(OrzeError):
    """The directory cannot be made a project."""


@dataclass(frozen=True, slots=True)
class Found:
    """What is there.

    Attributes:
        directory: absolute.
        script: the training script, relative to the directory where it lies below it; empty where none is.
        source: what was read of it.
        fault: why nothing could be read of it.
        others: further scripts that might have been meant.
        python: the interpreter of a virtual environment in the directory; empty where there is none, or
            where it is the one that runs.
        has_yaml: whether that environment has PyYAML.
        cards: the names of the cards of this host.
        present: which of the files that would be written are there.
    """

    directory: Path
    script: str = ""
    source: Script = field(default_factory=Script)
    fault: str = ""
    others: tuple[str, ...] = ()
    python: str = ""
    has_yaml: bool = True
    cards: tuple[str, ...] = ()
    present: frozenset[str] = frozenset()

    @property
    def needs_adapter(self) -> bool:
        """Whether the script cannot be called as the farm does it."""
        return bool(self.script) and not self.source.follows_contract


@dataclass(frozen=True, slots=True)
class Planned:
    """One file to be written, unless it is there; `name` is relative to the directory."""

    name: str
    text: str
    about: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be written, and what a person should know."""

    files: tuple[Planned, ...]
    notes: tuple[str, ...]


def look(directory: Path, *, script: str | None, cards: Sequence[str]) -> Found:
    """See what a directory holds; nothing of it is run.

    Args:
        directory: absolute; it need not be there yet.
        script: the training script, as somebody named it, relative to the directory; None to look for it.
        cards: as `card_names` tells.

    Raises:
        SetupError: the script that was named is not there.
    """
    if script is not None and not (directory / script).is_file():
        raise SetupError(f"{directory / script}: no such file; name your training script with --script")
    likely = _scripts(directory)
    chosen = script if script is not None else next(iter(likely), "")
    source, fault = _read(directory / chosen) if chosen else (Script(), "")
    python, has_yaml = _venv(directory)
    names = (CONFIG_NAME, "ideas.md", "configs/base.yaml", RULES, ADAPTER, OTHER_ADAPTER)
    return Found(
        directory=directory,
        script=chosen,
        source=source,
        fault=fault,
        others=tuple(name for name in likely if name != chosen) if script is None else (),
        python=python,
        has_yaml=has_yaml,
        cards=tuple(cards),
        present=frozenset(name for name in names if os.path.lexists(directory / name)),
    )


def card_names() -> list[str]:
    """The cards of this host; none where the driver does not answer in time."""
    inventory = Inventory()
    try:
        cards = within(_DRIVER_LIMIT, inventory.probe)
    except TimeoutError:
        return []
    inventory.close()
    return [card.name for card in cards]


def plan(found: Found, environ: Mapping[str, str]) -> Plan:
    """Decide what to write.

    Args:
        environ: what `${NAME}` stands for in an orze.yaml that is there.

    Raises:
        ConfigError: an orze.yaml is there, and at fault.
    """
    if CONFIG_NAME in found.present:
        return _completing(found, environ)
    adapter = _adapter_name(found)
    called = adapter or found.script or EXAMPLE
    base = setup_texts.base_yaml(found.source, called) if found.script else setup_texts.EXAMPLE_BASE
    script = _script_file(found, adapter)
    planned = [
        Planned(CONFIG_NAME, setup_texts.orze_yaml(called, found.python), "the settings of the farm"),
        Planned("ideas.md", setup_texts.ideas_md(found.source, example=not found.script), "the experiments"),
        Planned("configs/base.yaml", base, "what every experiment starts from"),
        Planned(RULES, _shipped(RULES), "the specification, for you and for LLM agents"),
        *script,
    ]
    return Plan(tuple(planned), tuple(_notes(found, called)))


def write(directory: Path, planned: Sequence[Planned]) -> Iterator[tuple[Planned, bool]]:
    """Write the files, each only where nothing has its name.

    Returns:
        Each file, and whether it was written.

    Raises:
        OSError: the directory cannot be written.
    """
    for file in planned:
        path = directory / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(path, "x", encoding="utf-8") as stream:
                stream.write(file.text)
        except FileExistsError:
            yield file, False
        else:
            yield file, True


def _completing(found: Found, environ: Mapping[str, str]) -> Plan:
    """What an orze.yaml that is there names and lacks; its training script is its author's affair."""
    settings = load_settings(None, {}, found.directory, environ)
    places = {
        str(settings.ideas_file): (setup_texts.ideas_md(found.source, example=False), "the experiments"),
        str(settings.base_config): (
            setup_texts.base_yaml(found.source, settings.train_script.name),
            "what every experiment starts from",
        ),
        str(found.directory / RULES): (_shipped(RULES), "the specification, for you and for LLM agents"),
    }
    planned = [Planned(CONFIG_NAME, "", "the settings of the farm")]
    planned += [
        Planned(os.path.relpath(path, found.directory), text, about) for path, (text, about) in places.items()
    ]
    missing = not settings.train_script.is_file()
    notes = [f"{CONFIG_NAME} names {settings.train_script}, which is not there"] if missing else []
    return Plan(tuple(planned), tuple(notes))


def _adapter_name(found: Found) -> str:
    """The name of the adapter; empty where none is needed."""
    if not found.needs_adapter:
        return ""
    return OTHER_ADAPTER if ADAPTER in found.present else ADAPTER


def _script_file(found: Found, adapter: str) -> list[Planned]:
    if adapter:
        text = setup_texts.adapter(_shipped("adapter.py"), found.script, found.source)
        return [Planned(adapter, text, f"runs {found.script} with the flags of an idea")]
    if not found.script:
        return [Planned(EXAMPLE, _shipped("example.py"), "an example, to be replaced by your training")]
    return []


def _notes(found: Found, called: str) -> Iterator[str]:
    if found.fault:
        yield f"{found.script} could not be read ({found.fault}), so its flags are not known"
    if found.others:
        yield f"{found.script} was taken for the training script; --script {found.others[0]} takes another"
    if not found.needs_adapter:
        return
    required = [flag.name for flag in found.source.flags if flag.required and not flag.is_output]
    if required:
        yield f"{found.script} requires {', '.join(required)}: give them values in configs/base.yaml first"
    if found.source.commands:
        yield f"{found.script} has subcommands: put the one that trains into COMMAND in {called}"
    if not found.source.prints_json:
        yield (
            f"{found.script} seems to print no JSON: let its last line be its metrics, such as "
            'print(json.dumps({"val_loss": loss}))'
        )
    if not found.has_yaml:
        yield f"{called} needs PyYAML: {found.python} -m pip install pyyaml"


def _shipped(name: str) -> str:
    """A file that comes with the package."""
    return shipped(_PACKAGE).joinpath(name).read_text(encoding="utf-8")


def _scripts(directory: Path) -> list[str]:
    """What may be the training script, the likeliest first."""
    try:
        more = sorted(path.name for path in directory.glob("train*.py"))
    except OSError:
        more = []
    names = [*_LIKELY[:2], *more, *_LIKELY[2:], *_BELOW]
    return [name for name in dict.fromkeys(names) if (directory / name).is_file()]


def _read(script: Path) -> tuple[Script, str]:
    """What a script says of itself; where it cannot be read, it may take any flag."""
    try:
        with open(script, "rb") as stream:
            return inspect(stream.read(MAX_BYTES).decode()), ""
    except OSError as error:
        return Script(open=True), str(error.strerror)
    except ValueError as error:  # UnicodeDecodeError is one
        return Script(open=True), str(error)


def _venv(directory: Path) -> tuple[str, bool]:
    """The interpreter of a virtual environment in a directory, and whether it has PyYAML."""
    for name in _VENVS:
        home = directory / name
        if (home / "bin/python").is_file() and home.resolve() != Path(sys.prefix).resolve():
            has_yaml = any(home.glob("lib/python*/site-packages/yaml"))
            return f"{name}/bin/python", has_yaml
    return "", True
