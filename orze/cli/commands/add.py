"""`orze add`: new ideas, through the inbox."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orze.cli import output
from orze.cli.common import DONE, NO, UNANSWERED, Json, NoWait, Timeout, project_of
from orze.core.errors import OrzeError

if TYPE_CHECKING:
    from orze.client.project import Project
    from orze.client.reader import Reader

_FIELDS = (
    *("Priority", "Category", "Parent", "Hypothesis", "GPUs", "Timeout"),
    *("Repeats", "Seed", "After", "Hosts"),
)
_LARGEST = 64 << 20  # bytes of a file of ideas


class NoText(OrzeError):
    """There is no idea to add, or it cannot be read."""


@dataclass
class _Added:
    """One section on its way.

    Attributes:
        entry: its name in the inbox; empty where it was not left there.
        idea_id: empty until it has one.
        earlier: the result that its configuration has already; empty where it was not held against it.
    """

    text: str
    title: str
    entry: str = ""
    idea_id: str = ""
    earlier: str = ""

    def plain(self) -> dict[str, object]:
        """What --json prints of it."""
        return {
            "id": self.idea_id or None,
            "added": bool(self.entry),
            "entry": self.entry or None,
            "title": self.title,
            "earlier": self.earlier or None,
        }


def _field(flag: str, metavar: str, told: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(flag, metavar=metavar, help=told)
    return option


def add(
    context: typer.Context,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="Sections as in ideas.md; - or nothing: from stdin.")
    ] = "-",
    *,
    title: Annotated[str | None, _field("--title", "TEXT", "Make the section of these options.")] = None,
    config: Annotated[list[str] | None, _field("--config", "KEY=VALUE", "Such as training.lr=0.01.")] = None,
    parent: Annotated[str | None, _field("--parent", "ID", "The idea that it builds on.")] = None,
    hypothesis: Annotated[str | None, _field("--hypothesis", "TEXT", "Why it might work.")] = None,
    priority: Annotated[str | None, _field("--priority", "LEVEL", "critical, high, medium or low.")] = None,
    category: Annotated[str | None, _field("--category", "TEXT", "For people.")] = None,
    gpus: Annotated[str | None, _field("--gpus", "N", "Cards that it needs.")] = None,
    limit: Annotated[str | None, _field("--time-limit", "2h", "Longest training.")] = None,
    repeats: Annotated[str | None, _field("--repeats", "N", "Run it so often, on one seed each.")] = None,
    seed: Annotated[str | None, _field("--seed", "N", "Added to the seed of its configuration.")] = None,
    after: Annotated[list[str] | None, _field("--after", "ID", "Start it when this is completed.")] = None,
    hosts: Annotated[list[str] | None, _field("--hosts", "PATTERN", "Run it only on such hosts.")] = None,
    if_absent: Annotated[
        bool, typer.Option("--if-absent", help="Add nothing where an idea with the same content is there.")
    ] = False,
    allow_duplicate: Annotated[
        bool, typer.Option("--allow-duplicate", help="Run it though its configuration has a result.")
    ] = False,
    no_wait: NoWait = False,
    timeout: Timeout = None,
    json: Json = False,
) -> int:
    """Add an idea and print the id that it was given, unless its configuration and seed have a result.

    The idea is made of options, or read from a file or stdin, which may hold several.
    """
    from orze.client.sections import check, compose, read_config, split, with_rerun

    joined = ", ".join(after or ()), ", ".join(hosts or ())
    values = (priority, category, parent, hypothesis, gpus, limit, repeats, seed, *joined)
    fields = [(name, value) for name, value in zip(_FIELDS, values, strict=True) if value]
    if title is None and (fields or config):
        raise typer.BadParameter("what an idea is made of needs a --title")
    if title is not None and file != "-":
        raise typer.BadParameter("give a file, or the options that make an idea, but not both")
    project = project_of(context)
    if title is not None:
        texts = [compose(title, fields, read_config(config or ()))]
    else:
        texts = split(_read(file), path="stdin" if file == "-" else file)
    if allow_duplicate:
        texts = [with_rerun(text) for text in texts]
    sections = [_Added(text, check(text, path="").title) for text in texts]
    return _add(project, sections, if_absent=if_absent, no_wait=no_wait, timeout=timeout, json=json)


def _add(
    project: Project,
    sections: list[_Added],
    *,
    if_absent: bool,
    no_wait: bool,
    timeout: float | None,
    json: bool,
) -> int:
    from orze.client.adding import check_place, earlier_result, find_same, leave
    from orze.client.reader import Reader

    check_place(project)
    reader = Reader(project)
    if if_absent:
        reader.read()
    else:
        reader.follow()
    for section in sections:
        section.idea_id = find_same(reader, section.text, section.title) if if_absent else ""
        if not section.idea_id:
            section.earlier = earlier_result(project, reader, section.text)
        if not section.idea_id and not section.earlier:
            section.entry = leave(project, section.text, once=if_absent)
    status = DONE if no_wait else _wait(project, reader, sections, timeout)
    status = max(status, NO) if any(section.earlier for section in sections) else status
    if json:
        print(output.as_json([one.plain() for one in sections]))
    else:
        _tell(sections, no_wait=no_wait)
    return status


def _tell(sections: list[_Added], *, no_wait: bool) -> None:
    """Print the ids, or without waiting for them the entries of the inbox."""
    for one in sections:
        if one.idea_id:
            output.say(one.idea_id)
        elif one.earlier:
            output.complain(f"{one.title} is not added: it has {one.earlier}; --allow-duplicate adds it")
        elif no_wait:
            output.say(f"ideas.d/new/{one.entry}.md")
        if one.idea_id and not one.entry:
            output.complain(f"{one.idea_id} has this content already; nothing is added")


def _wait(project: Project, reader: Reader, sections: list[_Added], timeout: float | None) -> int:
    """Wait for the ids; why some did not come is told on stderr."""
    from orze.client.asking import Vigil, watch_for

    waiting = {one.entry: one for one in sections if one.entry}
    if not waiting:
        return DONE
    vigil = Vigil(project, reader, timeout)
    found = watch_for(project, reader, waiting, lambda fold: fold.allocated, deadline=vigil.deadline)
    for entry, idea_id in found.items():
        waiting[entry].idea_id = idea_id
    missing = [f"ideas.d/new/{entry}.md" for entry in waiting if entry not in found]
    if missing:
        output.complain(f"no id yet: {vigil.why()}; a daemon will take in {', '.join(missing)}")
        return UNANSWERED
    return DONE


def _read(file: str) -> str:
    """The text of a file or of stdin.

    Raises:
        NoText: it is none, or stdin is a terminal.
        OSError: it cannot be read.
    """
    if file == "-":
        if sys.stdin.isatty():
            raise NoText("there is no idea: give --title, a file, or a section on stdin")
        data = sys.stdin.buffer.read(_LARGEST + 1)
    else:
        with Path(file).open("rb") as stream:
            data = stream.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise NoText(f"{file}: larger than {_LARGEST >> 20} MiB; add fewer ideas at a time")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise NoText(f"{file}:{line}: not UTF-8 text; save the file as UTF-8") from None
