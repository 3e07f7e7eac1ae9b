"""The form of a settings file: which keys it may hold, and which of them are read or told in another way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from orze.config.document import KeyPath
from orze.config.outward import Block

Root = TypeVar("Root", bound=Block)


@dataclass(frozen=True)
class FieldDoc:
    """What a page of reference tells of one key."""

    default: object
    required: bool


@dataclass(frozen=True)
class Form(Generic[Root]):
    """The form of one kind of file.

    Attributes:
        root: what the whole file becomes.
        blocks: where each block of keys stands: `` for the root, `[]` for an item of a list, `*` for a name
            that the user chooses.
        listed: where all keys are listed, as the end of a message.
        not_keys: fields of the root that do not come from the file.
        secret: what stands below these keys may be a key to somebody's account: no message quotes it.
        as_written: values that are taken as they stand in the file: YAML would make 1.1 of 1.10.
        chosen: keys of the root below which the user chooses the names.
    """

    root: type[Root]
    blocks: Mapping[str, type[Block]]
    listed: str
    not_keys: frozenset[str] = frozenset()
    secret: frozenset[str] = frozenset()
    as_written: frozenset[str] = frozenset()
    chosen: frozenset[str] = frozenset()

    def known(self) -> dict[str, FieldDoc]:
        """List every key that such a file may hold.

        Returns:
            Dotted key (`timeout`, `lease.fence`, `report.columns[].fmt`, `hosts.*.gpus`) -> what it is.
            Keys that hold a block of keys are listed as well, before those of the block.
        """
        return {
            f"{block}.{name}" if block else name: FieldDoc(
                default=None if field.is_required() else field.default,
                required=field.is_required(),
            )
            for block, model in self.blocks.items()
            for name, field in model.model_fields.items()
            if name not in self.not_keys or block
        }

    def named(self, path: KeyPath) -> str:
        """Name a key as `known` does: `report.columns[].fmt`, `hosts.*.gpus`."""
        chosen = bool(path) and path[0] in self.chosen
        parts = ["*" if index == 1 and chosen else part for index, part in enumerate(path)]
        return "".join("[]" if isinstance(part, int) else f".{part}" for part in parts).removeprefix(".")

    def is_as_written(self, path: KeyPath) -> bool:
        """Whether a value stays the text that it is in the file."""
        return self.named(path) in self.as_written or self.named(path[:-1]) in self.as_written

    def is_secret(self, path: KeyPath) -> bool:
        """Whether no message may quote a value."""
        return path[0] in self.secret or self.named(path[:2]) in self.secret
