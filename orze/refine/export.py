"""Takes a session out: its branch and tags to a remote with a pull request, its patches, its table."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import BinaryIO, Final

from orze.client.export import portable, write
from orze.client.flat import Row as Cells
from orze.client.flat import flat
from orze.refine.fold import SessionFold
from orze.refine.git import GitError, git
from orze.refine.history import branch_of
from orze.refine.model import BASELINE
from orze.refine.pull import PullRequest, offer
from orze.refine.repository import Repository
from orze.refine.table import Row, rows
from orze.report.text import clean, number

MOST_BODY: Final = 60_000  # characters; GitHub takes 65,536
_CELL: Final = 240
_COLUMNS: Final = (
    *("step", "verdict", "parent", "ended", "value", "runs", "change", "hypothesis", "files", "command"),
    *("reason", "error", "seconds", "usd", "tokens", "tries", "commit", "ran"),
)
_FORMAT: Final = (  # whatever the user's own settings are, `git am` can read it
    *("format-patch", "--stdout", "--binary", "--no-signature", "--no-cover-letter", "--no-thread"),
    *("--no-ext-diff", "--no-textconv", "--src-prefix=a/", "--dst-prefix=b/"),
)
_PATCH: Final = re.compile(rb"^From [0-9a-f]{40,64} Mon Sep 17 00:00:00 2001$", re.MULTILINE)
_REJECTED: Final = ("[rejected]", "atomic push failed")  # by this side, as send-pack says it; no hook says so


class NothingToExport(GitError):
    """The session has no result yet."""


class Taken(GitError):
    """The remote has something else under the names of the session."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was done.

    Attributes:
        branch: that was pushed, such as `revis/lr`; empty where nothing was.
        remote: where to.
        tags: how many steps the remote has as tags `revis/<name>/<n>`.
        address: of the pull request; empty where there is none.
        said: sentences for people: what was done, and what is left to do.
    """

    branch: str = ""
    remote: str = ""
    tags: int = 0
    address: str = ""
    said: tuple[str, ...] = ()


def export_branch(
    repository: Repository, fold: SessionFold, *, environ: Mapping[str, str], remote: str = ""
) -> Exported:
    """Push the kept line as a branch and every judged step as a tag, and open or update a pull request.

    Nothing on the remote is ever overwritten. Doing it again is fine.

    Args:
        environ: the user's own; GH_TOKEN or GITHUB_TOKEN may be in it, and GITHUB_API_URL.
        remote: the name of a remote; empty for `origin`, or the only one.

    Raises:
        NothingToExport: no step has a result.
        Taken: the remote has something else under these names; nothing was pushed.
        GitError: there is no such remote, or it cannot be pushed to.
    """
    tip = _tip(fold)
    branch = branch_of(fold.name)
    short = branch.removeprefix("refs/heads/")
    remotes = repository.remotes()
    if not remotes:
        said = f"there is no remote to push to: git remote add origin ADDRESS; {short} is in this repository"
        return Exported(said=(said,))
    remote = _chosen(remotes, remote)
    tags = {f"refs/tags/{short}/{one.number}": one.commit for one in fold.steps.values() if one.commit}
    _push(repository, remote, short, {branch: tip, **tags})
    pushed = f"pushed {short} and {len(tags)} steps as tags {short}/<n> to {remote}"
    if fold.best == BASELINE:
        return Exported(
            short, remote, len(tags), said=(pushed, "no step was kept: there is nothing to merge")
        )
    wanted = PullRequest(branch=short, title=title_of(fold), body=body_of(fold))
    offered = offer(wanted, remotes[remote], environ, repository.top)
    return Exported(short, remote, len(tags), offered.address, (pushed, *offered.said))


def write_patch(repository: Repository, fold: SessionFold, stream: BinaryIO) -> int:
    """Write the kept line, from the commit that the session began at, as patches for `git am`.

    Returns:
        How many.

    Raises:
        NothingToExport, GitError, OSError: it cannot be.
    """
    _, patches = git(repository.top, *_FORMAT, f"{fold.base}..{_tip(fold)}")
    stream.write(patches)
    return len(_PATCH.findall(patches))


def write_table(fold: SessionFold, stream: BinaryIO, form: str) -> int:
    """Write every iteration, all of its metrics included, as `csv` or `json` (see orze/client/export.py).

    Returns:
        How many.
    """
    count, _ = write(_cells(fold), stream, form, first=_COLUMNS)
    return count


def title_of(fold: SessionFold) -> str:
    """What a pull request is called."""
    values = [fold.steps[number].outcome for number in (BASELINE, fold.best or BASELINE)]
    told = " → ".join(number(one.value) for one in values if one and one.value is not None)
    return clean(f"revis {fold.name}: {clean(fold.terms.metric)} {told}", 200)


def body_of(fold: SessionFold) -> str:
    """Every iteration as Markdown, of long sessions the kept and the newest ones.

    Texts of others stand as code: they mention nobody, link nowhere and close no issue.
    """
    table = rows(fold)
    lines = [
        *_summary(fold, table),
        "",
        "| step | from | change | hypothesis | result | verdict | commit |",
        "| ---: | ---: | ------ | ---------- | ------ | ------- | ------ |",
    ]
    room = MOST_BODY - sum(len(line) + 1 for line in lines) - 100
    told: dict[int, str] = {}
    for row in sorted(table, key=lambda row: (row.verdict not in ("baseline", "kept"), -row.step)):
        line = _line(row)
        if (room := room - len(line) - 1) < 0:
            break
        told[row.step] = line
    lines += [line for _, line in sorted(told.items())]
    if len(told) < len(table):
        lines += ["", f"{len(table) - len(told)} more steps are not in this table; each is a tag."]
    return "\n".join(lines) + "\n"


def _tip(fold: SessionFold) -> str:
    best = fold.steps.get(fold.best) if fold.best is not None else None
    if best is None or not best.commit:
        raise NothingToExport(
            f"the session {fold.name} has nothing to export yet: its baseline gave no result"
        )
    return best.commit


def _chosen(remotes: Mapping[str, str], wanted: str) -> str:
    name = wanted or ("origin" if "origin" in remotes else next(iter(remotes)))
    if name not in remotes or (not wanted and name != "origin" and len(remotes) > 1):
        known = ", ".join(sorted(remotes))
        raise GitError(
            f"which remote? {f'there is no {clean(wanted)}; ' if wanted else ''}there are: {known}"
        )
    return name


def _push(repository: Repository, remote: str, short: str, refs: Mapping[str, str]) -> None:
    try:
        repository.push(remote, [f"{sha}:{name}" for name, sha in refs.items()])
    except GitError as error:
        if not any(words in str(error) for words in _REJECTED):
            raise
        raise Taken(
            f"{remote} has another {short}, or other tags of that name, than this session, and nothing was "
            f"pushed: remove or rename them there, and export again ({error})"
        ) from None


def _cells(fold: SessionFold) -> Iterator[Cells]:
    """The rows of the table, flat."""
    for row in rows(fold):
        cells: Cells = {**asdict(row), "files": "; ".join(row.files)}
        outcome = fold.steps[row.step].outcome
        cells["error"] = outcome.error if outcome else ""
        metrics = flat(outcome.metrics) if outcome else {}
        yield portable(cells | {f"metric.{name}": value for name, value in metrics.items()})


def _summary(fold: SessionFold, table: tuple[Row, ...]) -> Iterator[str]:
    better = "smaller" if fold.terms.ascending else "larger"
    counts = Counter(row.verdict or "open" for row in table if row.step != BASELINE)
    yield f"Session {_code(fold.name)} by revis; {_code(fold.terms.metric)}, {better} is better."
    yield ""
    told = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
    yield f"- {len(table) - 1} steps: {told}."
    if fold.end:
        yield f"- Ended: {_code(fold.end.sentence)}"
    if fold.usd or fold.tokens:
        yield f"- Asking models cost ${fold.usd:.2f} and {fold.tokens} tokens."
    yield (
        f"- The branch holds what was kept. Each step, also a discarded one, is a tag, "
        f"`revis/{fold.name}/` and its number: the tree that ran, with its result in the message."
    )


def _line(row: Row) -> str:
    """A row of the table; a commit stands bare, so that it becomes a link."""
    value = "–" if row.value is None else number(row.value)
    told = f"{value} ({row.runs} runs)" if row.runs > 1 else value
    result = told if row.value is not None else _code(row.ended)
    change = ", ".join(
        [*row.files[:6], *(["…"] if len(row.files) > 6 else []), *([row.command] if row.command else [])]
    )
    cells = (
        str(row.step),
        "–" if row.parent is None else str(row.parent),
        _code(change),
        _code(row.hypothesis),
        result,
        f"{row.verdict or 'open'} {_code(row.reason) if row.reason else ''}".strip(),
        row.commit[:12] or "–",
    )
    return f"| {' | '.join(cells)} |"


def _code(text: str) -> str:
    """Untrusted text inside a table, in which nothing is read as Markdown, a mention or a reference."""
    plain = clean(text, _CELL).replace("`", "'").replace("|", "\\|")
    return f"`{plain}`" if plain else "–"
