"""Sections of ideas as they are given on a command line: made from values, or cut from a text."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from orze.ideas.blocks import Blocks, Kind
from orze.ideas.inbox import LIMIT
from orze.ideas.merge import renumber
from orze.ideas.model import Idea, IdeaError
from orze.ideas.parse import load_config, parse
from orze.ideas.values import load_values

_IDEA = re.compile(r" {0,3}##[ \t]+idea(?:[-:\s]|\Z)")
_EXPONENT = re.compile(r"[-+]?[0-9]+(?:\.[0-9]*)?[eE][-+]?[0-9]+")  # YAML 1.1 takes 1e-3 for text
_NOBODY = "idea-0"  # the id of a section that has none yet


def compose(title: str, fields: Sequence[tuple[str, str]], config: Mapping[str, Any]) -> str:
    """Write a section.

    Args:
        title: any text; it becomes one line.
        fields: names and values in their order; each value becomes one line.
        config: what the idea changes in the base configuration.

    Raises:
        IdeaError: the values cannot be said in a section.
    """
    heading = f"## idea: {_line(title)}\n"
    listed = "".join(f"- **{_line(name)}**: {_line(value)}\n" for name, value in fields)
    block = yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True) if config else ""
    text = heading + listed + (f"\n```yaml\n{block}```\n" if block else "")
    check(text, path="")
    if load_config(renumber(text, _NOBODY), path="", line=1) != config:
        raise IdeaError(1, "a value of the configuration cannot be written in a section; give it in a file")
    return text


def read_config(pairs: Sequence[str]) -> dict[str, Any]:
    """Read `training.lr=0.01` and the like: dots lead into mappings, values are read as YAML.

    Raises:
        IdeaError: a pair is none, or two contradict each other; its line is the number of the pair.
    """
    config: dict[str, Any] = {}
    for number, pair in enumerate(pairs, 1):
        key, equals, value = pair.partition("=")
        *way, name = key.split(".")
        if not equals or not all([*way, name]):
            raise IdeaError(number, f"{pair[:60]!r} is no setting: write it as training.lr=0.01")
        below: Any = config
        for step in way:
            below = below.setdefault(step, {})
            if not isinstance(below, dict):
                raise IdeaError(number, f"{key[:60]!r} goes below a key that has a value of its own")
        if name in below:
            raise IdeaError(number, f"{key[:60]!r} is given twice")
        below[name] = _value(value, number)
    return config


def split(text: str, *, path: str) -> list[str]:
    """Cut the sections out of a text as ideas.md holds them; headings may be without a number.

    Args:
        path: the file, for messages.

    Raises:
        IdeaError: there is none, or one of them could not be accepted.
    """
    blocks = Blocks(0)
    found: list[tuple[int, list[str]]] = []
    inside = False
    for number, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), 1):
        if blocks.feed(line) is Kind.HEADING:
            inside = bool(_IDEA.match(line))
            found += [(number, [])] if inside else []
        if inside:
            found[-1][1].append(line)
    if not found:
        raise IdeaError(1, "there is no idea: it begins with a heading such as '## idea: A title'", path)
    sections = [(number, "\n".join(lines).rstrip() + "\n") for number, lines in found]
    for number, section in sections:
        check(section, path=path, line=number)
    return [section for _, section in sections]


def check(text: str, *, path: str, line: int = 1) -> Idea:
    """Make sure that a section will be accepted, before it is left in the inbox.

    Args:
        path, line: where the text is, for messages.

    Returns:
        The idea, without an id of its own.

    Raises:
        IdeaError: it would not be.
    """
    if len(text.encode(errors="replace")) > LIMIT:
        raise IdeaError(line, f"the section is longer than {LIMIT >> 10} KiB: shorten it", path)
    try:
        return parse(renumber(text, _NOBODY), path=path, line=line)
    except IdeaError as error:
        if path and not error.path:
            raise IdeaError(line + error.line - 1, error.reason, path) from None
        raise


def with_rerun(text: str) -> str:
    """Say in a section that it is to run though its configuration has run before.

    Raises:
        IdeaError: the section says that it is not.
    """
    if check(text, path="").rerun:
        return text
    heading, _, rest = text.partition("\n")
    gap = "\n" if rest[:1] in (" ", "\t") else ""  # else what is indented would continue the field
    made = f"{heading}\n- **Rerun**: yes\n{gap}{rest}"
    check(made, path="")
    return made


def fingerprint(text: str) -> str:
    """Name the content of a section whatever its id: 32 hex digits of a SHA-256.

    Raises:
        IdeaError: the text is not one section.
    """
    return hashlib.sha256(renumber(text, _NOBODY).encode()).hexdigest()[:32]


def _line(text: str) -> str:
    return " ".join(text.split())


def _value(text: str, number: int) -> Any:
    if _EXPONENT.fullmatch(text):
        return float(text)
    try:
        return load_values(f"value: {text}\n", path="", line=number)["value"]
    except IdeaError as error:
        raise IdeaError(
            number, f"{text[:60]!r} is no value of YAML; put it in quotes ({error.reason})"
        ) from None
