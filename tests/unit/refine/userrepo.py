"""A user's repository for tests: made by plain git, with what must not be touched."""

import os
import subprocess
from pathlib import Path

ENVIRON = {
    **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    **{f"GIT_{role}_{what}": f"u@{what}" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
}


def git(cwd: Path, *words: str, fails: bool = False) -> str:
    """What git says; an error unless it fails exactly where it is meant to."""
    done = subprocess.run(["git", *words], cwd=cwd, env=ENVIRON, capture_output=True, check=False)
    assert (done.returncode != 0) == fails, done.stderr.decode()
    return done.stdout.decode("utf-8", "surrogateescape").strip("\n")


def make(top: Path, files: dict[str, str | bytes]) -> Path:
    """A repository with one commit of these files."""
    top.mkdir(parents=True)
    git(top, "init", "-q", "-b", "main")
    return commit_all(top, files)


def commit_all(top: Path, files: dict[str, str | bytes], message: str = "files") -> Path:
    """Write files and commit everything."""
    write(top, files)
    git(top, "add", "-A")
    git(top, "commit", "-q", "--allow-empty", "-m", message)
    return top


def write(top: Path, files: dict[str, str | bytes]) -> None:
    """Write files below a directory."""
    for name, content in files.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def snapshot(top: Path) -> dict[str, object]:
    """What of a user's repository must stay as it is, read without git."""
    base = top / ".git"
    kept = [
        "index",
        "HEAD",
        "config",
        "logs/HEAD",
        "logs/refs/stash",
        "refs/stash",
        "refs/heads/main",
        "MERGE_HEAD",
    ]
    parts: dict[str, object] = {name: _bytes(base / name) for name in kept}
    parts["hooks"] = sorted(os.listdir(base / "hooks"))
    parts["rebase"] = sorted(str(path) for path in base.glob("rebase*/**/*"))
    for path in sorted(top.rglob("*")):
        if base not in path.parents and path != base:
            status = path.lstat()
            content = os.readlink(path) if path.is_symlink() else _bytes(path)
            parts[f"file {path}"] = (status.st_mode, status.st_mtime_ns, content)
    return parts


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None
