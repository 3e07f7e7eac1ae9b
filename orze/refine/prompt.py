"""What a model or an agent is told when it is asked for a change."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from orze.refine.edits import FORMAT
from orze.refine.gate import BUILT_IN
from orze.refine.model import BASELINE, Outcome, Step
from orze.refine.noise import margin
from orze.refine.repository import Blob
from orze.refine.sources import Shown, choose
from orze.refine.telling import Telling, result
from orze.report.text import duration, number
from orze.research.hiding import hidden
from orze.research.prompt import Prompt
from orze.research.quoting import FENCE, Ready, one_line, render

MOST_BYTES: Final = 96 << 10  # of the whole prompt
LEAST_BYTES: Final = 80 << 10  # all but the files need less, whatever there is to tell
_CONSTRAINTS: Final = 4096
_PATTERNS: Final = 800  # bytes of a list of patterns
_COMMAND: Final = 4096
_HISTORY: Final = 10 << 10
_DETAIL: Final = 4096  # of one step, its difference included
_DIFF: Final = 1500
_LOG: Final = 4096
_LAST: Final = 10 << 10
_FAULTS: Final = 8 << 10
_OPEN: Final = 2048
_OTHERS: Final = 3072  # of the names of files that are not shown
_NAMES: Final = 300
_SPARE: Final = 2048  # for fences that have to be longer
_PACKAGE: Final = "orze.refine"
_TILDES = re.compile(r"~{32,}")
_CUT: Final = "[… cut]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """All that a prompt is made of.

    Attributes:
        name: of the session.
        step: the number of the step for which a change is asked.
        parent: the commit that the change is made to.
        command: the line for the shell that trains there.
        steps: all steps so far, in their order; those without a verdict, but this one, are being tried.
        best: the number of the best one.
        metric: what a run is judged by.
        minimize: smaller is better.
        target: where it is good enough.
        noise: standard deviation of a single run; None where it is not known.
        listing: the files of `parent`, by paths relative to the project.
        read: what one of them holds.
        diff: the difference between two commits.
        may_change: whether a file may be changed.
        allow: patterns of what may be changed; none: all.
        deny: patterns of what must not.
        protected: patterns of what measures, and is touched by nobody.
        constraints: in the words of the person.
        longest_run: seconds that a run may take; 0 where there is no limit.
        budget: how much of it is used, in words.
        faults: all that was wrong with the last try of this step.
        last: the reply of that try.
    """

    name: str
    step: int
    parent: str
    command: str
    steps: tuple[Step, ...]
    best: int | None
    metric: str
    minimize: bool
    target: float | None = None
    noise: float | None = None
    listing: Mapping[str, Blob]
    read: Callable[[str], bytes | None]
    diff: Callable[[str, str], str]
    may_change: Callable[[str], bool]
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    protected: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    longest_run: float = 0.0
    budget: str = ""
    faults: tuple[str, ...] = ()
    last: str = ""


def prompt(known: Known, *, for_agent: bool = False, limit: int = MOST_BYTES) -> Prompt:
    """Ask for a change.

    What others wrote is bounded and stands in fences that it cannot close. Files get the room that the rest
    leaves.

    Args:
        known: what is known; its texts are untrusted.
        for_agent: whoever is asked changes the files itself, and so is shown none and told no form.
        limit: bytes of UTF-8, of both texts together; 80 KiB at least.

    Raises:
        ValueError: the limit is too small.
    """
    if limit < LEAST_BYTES:
        raise ValueError(f"a prompt needs {LEAST_BYTES} bytes at least")
    telling = Telling(known.steps, known.best, known.metric)
    blocks = _blocks(known, telling, for_agent=for_agent)
    bare = _filled(known, telling, blocks, Shown(), for_agent=for_agent)
    if for_agent:
        return bare
    room = limit - len(bare.whole.encode()) - _OTHERS - _SPARE
    shown = choose(known.command, known.listing, known.read, room)
    return _filled(known, telling, blocks, shown, for_agent=for_agent)


def _blocks(known: Known, telling: Telling, *, for_agent: bool) -> dict[str, Any]:
    """All texts but the files, bounded."""
    return {
        "goal": "\n".join(_goal(known, telling)),
        "constraints": _bullets(known.constraints, _CONSTRAINTS),
        "rules": "\n".join(_rules(known)),
        "command": _bounded(known.command, _COMMAND),
        "history": "\n".join(telling.rows(_HISTORY)),
        "details": [(one.title, _bounded(one.text, _DETAIL)) for one in telling.details(known.diff, _DIFF)],
        "failures": [(one.title, _bounded(hidden(one.text, {}), _LOG)) for one in telling.failures()],
        "open": _bounded("\n".join(telling.being_tried(known.step)), _OPEN),
        "last": "" if for_agent else _bounded(known.last, _LAST),
        "faults": _bounded("\n".join(known.faults), _FAULTS),
    }


def _filled(
    known: Known, telling: Telling, blocks: Mapping[str, Any], shown: Shown, *, for_agent: bool
) -> Prompt:
    """Fill the templates."""
    fence = Ready(_fence([*shown.files.values(), *_texts(blocks)]))
    user = render(
        "user.md.j2",
        _PACKAGE,
        fence=fence,
        for_agent=for_agent,
        name=known.name,
        step=known.step,
        parent=Ready(f"step {telling.origin(known.parent)}"),
        files=list(_files(known, shown)),
        others=Ready(_names(shown.others)),
        **{name: _ready(value) for name, value in blocks.items()},
    )
    system = render("system.md.j2", _PACKAGE, fence=fence, for_agent=for_agent, form=Ready(FORMAT.strip()))
    return Prompt(system, user)


def _texts(blocks: Mapping[str, Any]) -> Iterator[str]:
    for value in blocks.values():
        if isinstance(value, str):
            yield value
        else:
            yield from (text for _, text in value)


def _ready(value: Any) -> Any:
    if isinstance(value, str):
        return Ready(value)
    return [{"title": one_line(title, 400), "text": Ready(text)} for title, text in value]


def _fence(texts: Iterable[str]) -> str:
    """Tildes, more of them than any text has in a row."""
    longest = max((len(row) for text in texts for row in re.findall(r"~+", text)), default=0)
    return "~" * max(len(FENCE), longest + 1)


def _goal(known: Known, telling: Telling) -> Iterator[str]:
    better = "smaller" if known.minimize else "larger"
    yield f"- Metric: {one_line(known.metric, 200)}, {better} is better."
    if known.target is not None:
        yield f"- Target: {number(known.target)}; with it the session is done."
    outcomes = {step.number: step.outcome for step in known.steps}
    for name, which in (("Baseline", BASELINE), ("Best so far", known.best)):
        outcome = outcomes.get(which) if which is not None else None
        if outcome and outcome.value is not None:
            yield f"- {name}: {one_line(result(outcome, known.metric), 300)}, step {which}."
    yield f"- Noise: {_noise(known, outcomes.get(known.best or BASELINE))}"
    yield f"- You start from step {telling.origin(known.parent)}."
    if known.longest_run:
        took = _took(outcomes.get(BASELINE))
        yield f"- A run may take {duration(known.longest_run)} at most{took}."
    if known.budget:
        yield f"- Used of the budget: {one_line(known.budget, 200)}."


def _took(outcome: Outcome | None) -> str:
    if outcome is None or not outcome.values:
        return ""
    return f"; that of the baseline took {duration(outcome.seconds / len(outcome.values))}"


def _noise(known: Known, outcome: Outcome | None) -> str:
    if known.noise is None:
        return "not known; a small difference may be chance."
    runs = len(outcome.values) if outcome and outcome.values else 1
    return (
        f"single runs of the same code differ by {number(known.noise)} (standard deviation); "
        f"a difference below {number(margin(known.noise, runs, runs))} proves nothing."
    )


def _rules(known: Known) -> Iterator[str]:
    """What may be changed, in words."""
    allowed = f"only {_patterns(known.allow)}" if known.allow else "every file that is not named below"
    yield f"- May be changed: {allowed}."
    yield f"- Must not be changed: {_patterns((*known.deny, *BUILT_IN))}."
    if known.protected:
        yield (
            f"- Measures the result, and must be touched neither by a change nor by a run: "
            f"{_patterns(known.protected)}."
        )


def _patterns(patterns: Sequence[str]) -> str:
    return one_line(", ".join(patterns), _PATTERNS)


def _files(known: Known, shown: Shown) -> Iterator[dict[str, Any]]:
    for path, text in shown.files.items():
        notes = [] if known.may_change(path) else ["must not be changed"]
        if path in shown.cut:
            notes.append(f"{shown.cut[path]} more lines are not shown")
        title = f"{path} ({'; '.join(notes)})" if notes else path
        yield {
            "title": one_line(f"### {title}", 1200),
            "text": Ready(text if text.endswith("\n") else f"{text}\n"),
        }


def _names(paths: Sequence[str]) -> str:
    lines = [one_line(path, 200) for path in paths[:_NAMES]]
    mark = f"[… {len(paths)} in all]"
    return _bounded("\n".join([*lines, *([mark] if len(paths) > len(lines) else [])]), _OTHERS, mark)


def _bullets(texts: Sequence[str], limit: int) -> str:
    return _bounded("\n".join(f"- {one_line(text, 1000)}" for text in texts), limit)


def _bounded(text: str, limit: int, mark: str = _CUT) -> str:
    """A text as it is, but for control characters and long rows of tildes, cut behind a whole line."""
    text = "".join(char for char in text[: 4 * limit] if char in "\n\t" or char.isprintable())
    data = _TILDES.sub("~" * 31, text).strip("\n").encode("utf-8", "replace")
    if len(data) <= limit:
        return data.decode()
    kept = data[: limit - len(mark.encode()) - 1].decode(errors="ignore")
    return f"{kept[: kept.rfind(chr(10))] if chr(10) in kept else kept}\n{mark}"
