"""What a change may touch: paths, links, sizes; whoever proposed it, a model or an agent."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Final

from orze.core.globs import any_matches
from orze.refine.paths import directories_of, path_fault
from orze.refine.repository import Blob
from orze.refine.syntax import syntax_faults

__all__ = ["Gate", "syntax_faults"]

# What decides how the loop judges is never part of an experiment.
BUILT_IN: Final = ("revis.yaml", "orze.yaml")
_MOST_FILES: Final = 50
_MOST_BYTES: Final = 1 << 20


class Gate:
    """Judges changes of one commit.

    Args:
        allow: globs of what may change (see `orze.core.globs.matches`); none stands for everything.
        deny: globs of what may not, whatever `allow` says.
        protected: globs of files that judge a run, such as the evaluation.
        listing: the files of the commit that the change starts from.
    """

    def __init__(
        self, allow: Sequence[str], deny: Sequence[str], protected: Sequence[str], listing: Mapping[str, Blob]
    ) -> None:
        self._allow, self._deny, self._protected = tuple(allow), tuple(deny), tuple(protected)
        self._listing = listing
        self._directories = {above for path in listing for above in directories_of(path)}

    def faults(self, changes: Mapping[str, bytes | None]) -> list[str]:
        """Everything that is wrong with a change.

        Args:
            changes: new contents by path; None for a file that is gone.

        Returns:
            One sentence each, beginning with the path; none where it may be committed and run.
        """
        found = []
        for path, content in sorted(changes.items()):
            fault = self._path(path) or self._place(path, changes) or self._content(path, content)
            if fault:
                found.append(f"{_shown(path)}: {fault}")
        if len(changes) > _MOST_FILES:
            found.append(f"the change touches {len(changes)} files; {_MOST_FILES} are the most")
        size = sum(len(content) for content in changes.values() if content is not None)
        if size > _MOST_BYTES:
            found.append(f"the changed files have {size} bytes together; {_MOST_BYTES} are the most")
        return found

    def _path(self, path: str) -> str:
        """What forbids a path by its name."""
        fault = path_fault(path)
        if fault:
            return f"the path {fault}"
        if any(part.lower().startswith(".git") for part in path.split("/")):
            return "what belongs to git may not change"
        if ".revis" in path.split("/"):
            return "what belongs to revis may not change"
        if any_matches(BUILT_IN, path):
            return "the settings of the experiment may not change"
        if glob := any_matches(self._protected, path):
            return f"it is protected ({glob})"
        if glob := any_matches(self._deny, path):
            return f"it may not change (deny: {glob})"
        if self._allow and not any_matches(self._allow, path):
            return f"it may not change; allowed are {', '.join(self._allow)}"
        return ""

    def _place(self, path: str, changes: Mapping[str, bytes | None]) -> str:
        """What lies in the way of a path: links, submodules, files where directories should be."""
        for above in directories_of(path):
            if changes.get(above) is not None or (above in self._listing and above not in changes):
                blob = self._listing.get(above)
                return f"{above} is {_kind(blob)}, no directory"
        if path in self._directories:
            return "it is a directory"
        blob = self._listing.get(path)
        return f"it is {_kind(blob)}, which a change may not touch" if blob and not blob.regular else ""

    def _content(self, path: str, content: bytes | None) -> str:
        """What is wrong with a new content."""
        blob = self._listing.get(path)
        if content is None:
            return "" if blob else "it is to be deleted, but there is no such file"
        if blob and _sha(content, len(blob.sha)) == blob.sha:
            return "the change changes nothing"
        if b"\0" in content or not _is_text(content):
            return "the new content is no text in UTF-8"
        return ""


def _kind(blob: Blob | None) -> str:
    return {"120000": "a symbolic link", "160000": "a submodule"}.get(blob.mode if blob else "", "a file")


def _sha(content: bytes, digits: int) -> str:
    """The name that git gives to a content."""
    whole = b"blob %d\0%s" % (len(content), content)
    return (
        hashlib.sha1(whole, usedforsecurity=False).hexdigest()
        if digits == 40
        else hashlib.sha256(whole).hexdigest()
    )


def _is_text(content: bytes) -> bool:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _shown(path: str) -> str:
    return path if path.isprintable() and len(path) < 200 else ascii(path[:200])
