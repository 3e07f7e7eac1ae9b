"""What is copied to the machine behind ssh before a command, and what comes back: words of rsync."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any, Final

    from orze.attempt.executors.travel import Places

_NEVER_SENT: Final = (".git", "__pycache__")
_OF_THE_FARM: Final = ("/.revis", "/.orze", "/results", "/ideas.d", "/.venv")
# Of the attempt: what the keeper here writes, and what belongs to other attempts.
_OF_KEEPER: Final = ("/train_output.log", "/eval_output.log", "/.chain", "/attempts", "/latest", "/code")
_SNAPSHOTS: Final = ("/input", "/idea.yaml", "/environment.json", "/claim.json", "/progress.jsonl")
# No owner, group, device or set-user bit; times, so that nothing is copied twice; links as links.
_TREE: Final = ("-rltE", "--no-specials")
LARGE: Final = 20 << 30  # bytes of results from which only small files come back
SMALL: Final = 100 << 20


def send_code(places: Places, run: str, *, exclude: Sequence[str], base: str) -> list[str]:
    """Copy the code, exactly, and nothing else.

    What the run before had is copied there instead of sent, where its content is the same: contents are
    compared, for a run may have changed its copy and set the times back. Nothing is linked, for the same
    reason.

    Args:
        base: the code of an earlier run there; empty for none.
    """
    words = [*_TREE, "--checksum", "--delete", *_excluded((*_NEVER_SENT, *exclude))]
    if not places.worktree:
        words += _excluded(_OF_THE_FARM)
    if f"{places.data}/".startswith(f"{places.code}/"):  # the results of this farm, whatever they are called
        relative = os.path.relpath(os.path.dirname(places.home), places.code)
        words += _excluded([f"/{relative}"]) if relative != "." else []
    if base:
        words.append(f"--copy-dest={base}")
    return [*words, f"{places.code}/", f"there:{run}/code/"]


def compare_code(places: Places, run: str, *, exclude: Sequence[str]) -> list[str]:
    """Tell which files of the code differ there by now, copying nothing; see `changes`."""
    shown = ["--dry-run", "--out-format=%i %n"]
    kept = _excluded((*_NEVER_SENT, *exclude, *(() if places.worktree else _OF_THE_FARM)))
    return ["-rl", "--checksum", "--delete", *shown, *kept, f"there:{run}/code/", f"{places.code}/"]


def changes(printed: str) -> Iterator[tuple[str, str]]:
    """Read what `compare_code` had rsync print (rsync(1), --itemize-changes).

    Returns:
        `changed`, `added` or `removed`, and the path, of each file.
    """
    for line in printed.splitlines():
        what, _, path = line.partition(" ")
        if what == "*deleting":
            yield "removed", path.strip()
        elif what[1:2] in ("f", "L", "D", "S"):
            yield ("added" if "+" in what else "changed"), path


def send_attempt(places: Places, run: str) -> Iterator[list[str]]:
    """Copy what the command reads of its attempt, and of others that it is shown."""
    kept = _excluded(_OF_KEEPER)
    yield [*_TREE, *kept, f"{places.data}/", f"there:{run}/{places.idea}/"]
    if not places.same:
        yield [*_TREE, *kept, f"{places.own}/", f"there:{run}/own/"]
    if places.resume:
        yield [*_TREE, f"{places.resume}/", f"there:{run}/resume/"]
    for name, directory in _others(places):
        yield [*_TREE, *kept, "--safe-links", f"{directory}/", f"there:{run}/results/{name}/"]


def bring_results(places: Places, run: str, *, size: int) -> list[str]:
    """Copy what the command left. No link out of the directory is made here, and no device.

    Args:
        size: bytes that lie there.
    """
    bound = [f"--max-size={SMALL}"] if size > LARGE else []
    kept = _excluded((*_OF_KEEPER, *_SNAPSHOTS))
    return [*_TREE, "--safe-links", *bound, *kept, f"there:{run}/{places.idea}/", f"{places.data}/"]


def bring_artifacts(places: Places, run: str, patterns: Sequence[str]) -> list[str]:
    """Copy those files of the code's directory that are wanted besides."""
    wanted = [f"--include={pattern if '/' not in pattern else '/' + pattern}" for pattern in patterns]
    return [
        *_TREE, "--safe-links", "--prune-empty-dirs", f"--max-size={LARGE}", "--include=*/", *wanted,
        "--exclude=*", f"there:{run}/code/{places.inside}/".replace("//", "/"), f"{places.data}/artifacts/",
    ]  # fmt: skip


def _others(places: Places) -> Iterator[tuple[str, str]]:
    """The other ideas that the door shows."""
    try:
        entries: list[os.DirEntry[Any]] = sorted(os.scandir(places.door), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        directory = os.path.realpath(entry.path)
        if entry.is_symlink() and directory != os.path.realpath(places.data) and os.path.isdir(directory):
            yield entry.name, directory


def _excluded(patterns: Sequence[str]) -> list[str]:
    return [f"--exclude={pattern}" for pattern in patterns]
