"""The keys that say where a farm's attempts run: here, in windows of tmux, or on a machine behind ssh."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from orze.config.outward import Block
from orze.config.values import ProjectPath, Seconds, Text, Word, read_cards, split_words

NO_CARD: Final = "none"

# tmux reads `:` and `.` of a name as its own, and `=`, `@`, `$`, `%` at its beginning.
_SESSION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}", re.ASCII)
_HOST = re.compile(r"[A-Za-z0-9_][\w.:%-]{0,252}|\[[0-9A-Fa-f:.]{2,45}(%\w{1,20})?\]", re.ASCII)
_USER = re.compile(r"[A-Za-z0-9_][\w.@\\-]{0,63}", re.ASCII)
_OPTION = re.compile(r"[A-Za-z][A-Za-z0-9]{0,63}( *=| ) *\S[^\0\r\n]*", re.ASCII)
# Directories that hold those of everybody, and so are nobody's to write over.
_OF_USERS: Final = frozenset({"/home", "/Users", "/export/home", "/mnt/home"})


def _session(value: str) -> str:
    if not _SESSION.fullmatch(value):
        raise ValueError("must be a short name of letters, digits, '_' and '-'")
    return value


def _host(value: str) -> str:
    if not _HOST.fullmatch(value):
        raise ValueError(
            "must be the name or address of a host, as ssh takes it; the user has a key of its own"
        )
    return value


def _user(value: str) -> str:
    if not _USER.fullmatch(value):
        raise ValueError("must be the name of a user on that host")
    return value


def _work_dir(value: str) -> str:
    path = PurePosixPath(value)
    if not path.is_absolute() or ".." in path.parts or not value.isprintable():
        raise ValueError("must be an absolute path on that host, without '..'")
    if len(path.parts) < 3 or str(path.parent) in _OF_USERS:
        raise ValueError(
            "must be a directory for this project alone, such as /home/ubuntu/project, and no home directory"
        )
    return str(path)


def _pattern(value: str) -> str:
    if ".." in PurePosixPath(value).parts or not value.isprintable():
        raise ValueError("must be a pattern of files below the project's directory, without '..'")
    return value


def _inside(value: str) -> str:
    if PurePosixPath(value).is_absolute():
        raise ValueError("must be a pattern relative to the project's directory")
    return _pattern(value)


def _option(value: str) -> str:
    if not _OPTION.fullmatch(value):
        raise ValueError("must be options of ssh_config(5) such as ProxyJump=gate")
    return value


def _python(value: str) -> str:
    if value.startswith("-") or not value.isprintable():
        raise ValueError("must be the path of an interpreter on that host, or its name on PATH there")
    return value


def _remote_cards(value: object) -> object:
    return value if value == NO_CARD else read_cards(value)


RemoteCards = Annotated[Text, BeforeValidator(_remote_cards)]
Patterns = Annotated[
    tuple[Annotated[Text, AfterValidator(_pattern)], ...], Field(max_length=1000, strict=False)
]
InsidePatterns = Annotated[
    tuple[Annotated[Text, AfterValidator(_inside)], ...], Field(max_length=1000, strict=False)
]
Options = Annotated[
    tuple[Annotated[Word, AfterValidator(_option)], ...], Field(max_length=100), BeforeValidator(split_words)
]


class Executor(Block):
    """Where attempts run, and how one gets there."""

    of_ssh: ClassVar[frozenset[str]] = frozenset(
        {"host", "user", "port", "key_path", "work_dir", "exclude", "artifacts"}
        | {"gpus", "python", "connect_timeout", "options"}
    )
    """The keys that say nothing with another type."""

    type: Literal["local", "tmux", "ssh"] = "local"
    """`local`: processes of this host; `tmux`: those in windows to attach to; `ssh`: on another machine."""
    session: Annotated[Text, AfterValidator(_session)] | None = None
    """With tmux: the session's name; unset: orze- and the name of the project's directory."""
    host: Annotated[Text, AfterValidator(_host)] | None = None
    """With ssh: the machine, by name, address, or a Host of ~/.ssh/config."""
    user: Annotated[Text, AfterValidator(_user)] | None = None
    """With ssh: the user there; unset: what ~/.ssh/config says."""
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """With ssh: the port; unset: what ~/.ssh/config says."""
    key_path: ProjectPath | None = None
    """With ssh: the private key; unset: what ~/.ssh/config or the agent says."""
    work_dir: Annotated[Text, AfterValidator(_work_dir)] | None = None
    """With ssh: the directory there that the code is copied to, for this project alone."""
    exclude: Patterns = ()
    """With ssh: files that are not copied there, as patterns of rsync."""
    artifacts: InsidePatterns = ()
    """With ssh: files brought back besides the run's output directory, as patterns."""
    gpus: RemoteCards | None = None
    """With ssh: cards there that may be used, written as for --gpus; `none` for no card; unset: all."""
    python: Annotated[Text, AfterValidator(_python)] = "python3"
    """With ssh: the interpreter there, of Python 3.8 or later."""
    connect_timeout: Seconds = 10.0
    """With ssh: longest time that a connection may take."""
    options: Options = ()
    """With ssh: further options of ssh_config(5), such as ProxyJump=gate."""

    @model_validator(mode="after")
    def _has_what_its_type_needs(self) -> Self:
        if problems := self.problems():
            raise ValueError("\n".join(problems))
        return self

    def problems(self) -> list[str]:
        """What its keys ask of one another, each as the end of a sentence."""
        needed = ("host", "work_dir") if self.type == "ssh" else ()
        said = [f"needs the key {name} with type ssh" for name in needed if getattr(self, name) is None]
        given = sorted(self.of_ssh & self.model_fields_set) if self.type != "ssh" else []
        said += [f"has the key {name}, which is for type ssh; its type is {self.type}" for name in given]
        if self.session is not None and self.type == "local":
            said.append("has the key session, which is for type tmux; its type is local")
        return said

    def below(self, directory: Path) -> Self:
        """The same with the paths of this machine absolute.

        Args:
            directory: where relative ones start: that of the settings file.
        """
        if self.key_path is None:
            return self
        return self.model_copy(update={"key_path": directory / os.path.expanduser(self.key_path)})


def session_of(executor: Executor, project_dir: Path) -> str:
    """The name of the session of tmux: what the settings say, or one made of the project's directory."""
    if executor.session:
        return executor.session
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", project_dir.name).strip("-")[:40]
    return f"orze-{name or 'farm'}"
