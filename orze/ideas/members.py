"""The members of a group: the section of each, made from that of the group."""

import re
from collections.abc import Sequence
from typing import Any, Final

import yaml

from orze.ideas.blocks import Blocks, Kind
from orze.ideas.fields import FIELD
from orze.ideas.model import Idea, IdeaError, group_of
from orze.ideas.parse import deep_merge, is_yaml, load_block, load_config, one_section, outline, parse
from orze.ideas.sweep import SWEEP, label, nested, read_sweep

_SAFE: Final[Any] = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # absent where PyYAML lacks libyaml
_LARGEST: Final = 4 << 20  # characters of all members of a group
_TITLE: Final = 200  # characters of a title that are kept in memory
_TICKS: Final = re.compile("`+")
ANY: Final = 1 << 62  # members, where no settings are at hand


class _Dumper(_SAFE):  # type: ignore[misc] # which of the two it is, is known only when it is there
    """Writes values as people do: texts of several lines as such, where YAML can."""


def _text(dumper: Any, value: str) -> Any:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


class Group:
    """One section that makes members.

    Args:
        text: the section, as it stands in the file.
        idea: what `parse` made of it.
        path: the file, for messages.

    Raises:
        IdeaError: it cannot be read.
    """

    def __init__(self, text: str, idea: Idea, *, path: str) -> None:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        self.idea = idea
        self._path = path
        self._size = len(text)
        self._own = load_block(text, path=path, line=idea.line)
        self._sweep = read_sweep(self._own)
        self._own.pop(SWEEP, None)
        self._title = one_section(text, path=path, line=idea.line).title
        self._before, self._after = _around_seed(text, repeated=idea.repeats > 1)

    def text(self, number: int) -> str:
        """The section of a member.

        Args:
            number: from 1 to the group's `members`; repeats of one configuration follow one another.
        """
        configuration, repeat = divmod(number - 1, self.idea.repeats)
        repeated = self.idea.repeats > 1
        seed = self.idea.seed + repeat
        values = self._sweep.values(configuration)
        lines = [
            self._heading(number, label(values, seed if repeated else None)),
            *self._before,
            *([f"- **Seed**: {seed}"] if repeated else []),
            *self._after,
        ]
        own = deep_merge(self._own, nested(values))
        return "\n".join(lines).rstrip() + "\n" + (_block(own) if own else "")

    def member(self, number: int) -> Idea:
        """The idea of a member.

        Raises:
            IdeaError: the section cannot be taken apart in such a way that the member is what it should be.
        """
        text = self.text(number)
        member_id = f"{self.idea.id}.{number}"
        try:
            member = parse(text, path=self._path, line=self.idea.line)
            config = load_config(text, path=self._path, line=self.idea.line)
        except IdeaError as error:
            raise IdeaError(self.idea.line, f"its member {member_id}: {error.reason}", self._path) from None
        configuration, repeat = divmod(number - 1, self.idea.repeats)
        due = self.idea._replace(
            id=member_id,
            title=member.title,
            sha=member.sha,
            repeats=1,
            seed=self.idea.seed + repeat,
            members=0,
        )
        wanted = deep_merge(self._own, nested(self._sweep.values(configuration)))
        if member != due or repr(config) != repr(wanted):  # repr tells 1 from 1.0, and takes NaN for NaN
            reason = (
                "its members cannot be made: put the fields first, and the yaml block last, at the margin"
            )
            raise IdeaError(self.idea.line, reason, self._path)
        return member

    def members(self) -> list[Idea]:
        """The ideas of all members, in order.

        Raises:
            IdeaError: as for `member`, or they would be too much text together.
        """
        if self.idea.members * self._size > _LARGEST:
            reason = f"its {self.idea.members} members are more than {_LARGEST >> 20} MiB: shorten it"
            raise IdeaError(self.idea.line, reason, self._path)
        return [self.member(number) for number in range(1, self.idea.members + 1)]

    def _heading(self, number: int, told: str) -> str:
        title = self._title[: _TITLE - len(told) - 3]
        return f"## {self.idea.id}.{number}: {title}{' ' if title else ''}[{told}]"


def section_of_member(text: str, member_id: str, *, path: str) -> str:
    """The section of a member, from that of its group; IdeaError where it has no such member."""
    group = parse(text, path=path, line=1, max_members=ANY)
    number = int(member_id.partition(".")[2])
    if group.id != group_of(member_id) or not 1 <= number <= group.members:
        raise IdeaError(1, f"{group.id} has no member {member_id}", path)
    return Group(text, group, path=path).text(number)


def members_in(text: str) -> int:
    """How many members a section makes; 0 where it is that of one idea, or cannot be read."""
    folded = text.lower()
    if "sweep" not in folded and "repeats" not in folded:
        return 0
    try:
        return parse(text, path="", line=1, max_members=ANY).members
    except IdeaError:
        return 0


def _block_lines(lines: Sequence[str]) -> set[int]:
    """Which lines of a section are its yaml block."""
    blocks = Blocks(0)
    inside = False
    found: set[int] = set()
    for number, line in enumerate(lines):
        kind = blocks.feed(line)
        begins = kind is Kind.FENCE_OPEN and is_yaml(blocks.info)
        inside = begins or (inside and kind in (Kind.FENCE_BODY, Kind.FENCE_CLOSE))
        if inside:
            found.add(number)
    return found


def _around_seed(text: str, *, repeated: bool) -> tuple[list[str], list[str]]:
    """What stays of a section below its heading: before and behind the place of a member's Seed.

    That is where Repeats stood. The yaml block goes, and an empty line stays in its place.
    """
    lines = text.split("\n")
    block = _block_lines(lines)
    lines = ["" if number in block else line for number, line in enumerate(lines)]
    gone = {0, *sorted(block)[1:]}
    place = 1
    for match in FIELD.finditer(outline("\n".join(lines), "", 1)[0]):
        name = match[1].strip().lower()
        if name == "repeats" or (name == "seed" and repeated):
            first = match.string.count("\n", 0, match.start())
            gone.update(range(first, first + match[0].count("\n") + 1))
            place = first if name == "repeats" else place
    kept = [(number, line) for number, line in enumerate(lines) if number not in gone]
    before = [line for number, line in kept if number < place]
    return before, [line for number, line in kept if number >= place]


def _block(own: dict[str, Any]) -> str:
    """Values as a fence that nothing in them can close."""
    text = str(yaml.dump(own, Dumper=_Dumper, sort_keys=False, allow_unicode=True))
    fence = "`" * max([3, *(len(ticks) + 1 for ticks in _TICKS.findall(text))])
    return f"\n{fence}yaml\n{text}{fence}\n"
