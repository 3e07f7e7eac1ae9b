"""How a path of the project is written: relative, by its parts, and nothing else."""

from typing import Final

_MOST_BYTES: Final = 1024


def path_fault(path: str) -> str:
    """Tell what is wrong with the form of a path.

    Args:
        path: as a model or an agent named it, relative to the project's directory.

    Returns:
        What is wrong, without the path, such as `leads out of the project`; "" where it is `a`, `a/b` or the
        like. Whether there is such a file is not asked.
    """
    if not path:
        return "is empty"
    if len(path.encode("utf-8", "surrogatepass")) > _MOST_BYTES:
        return f"is longer than {_MOST_BYTES} bytes"
    if not path.isprintable():
        return "holds a character that cannot be shown"
    if path.startswith("/"):
        return "is absolute; name it relative to the project"
    parts = path.split("/")
    if ".." in parts:
        return "leads out of the project"
    if "" in parts or "." in parts:
        return "has an empty part or `.`; write it plainly, as a/b"
    return ""


def is_plain(path: str) -> bool:
    """Whether a path can be one of git's in the project; it may hold what `path_fault` refuses to write."""
    return "\0" not in path and all(part.lower() not in {"", ".", "..", ".git"} for part in path.split("/"))


def directories_of(path: str) -> list[str]:
    """The directories of a path, from the top: `a/b/c` gives `a`, `a/b`."""
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]
