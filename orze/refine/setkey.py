"""Set one value of a YAML, JSON or TOML text; every other byte stays as it is."""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, NoReturn

import yaml

from orze.refine.syntax import yaml_fault

_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # absent where PyYAML lacks libyaml
_MOST: Final = 512 << 10
_MOST_VALUE: Final = 4096
_PART = re.compile(r'"([^"]+)"|([^".]+)')
_KEY = re.compile(r'(?:"[^"]+"|[^".]+)(?:\.(?:"[^"]+"|[^".]+))*')
_JSON_BLANK: Final = " \t\n\r"


def set_value(path: str, text: str, key: str, value: str) -> str:
    """Set one value.

    The text is cut where the old value stood and the new one put there. Where that could mean more (YAML,
    TOML) both texts are read, and have to differ by that value only.

    Args:
        path: of the file; its suffix tells what it is.
        text: of the file.
        key: where the value is: names of mappings and, from 0, places in lists, joined by dots; a name that
            holds a dot stands in double quotes.
        value: as it is written in such a file, on one line.

    Returns:
        The new text.

    Raises:
        ValueError: one sentence: the key is not there (with those that are like it), the value cannot be
            read, or it cannot be set without touching anything else.
    """
    setter = _SETTERS.get(path.rpartition(".")[2].lower())
    if setter is None:
        raise ValueError("SET is for .yaml, .yml, .json and .toml; change it with a SEARCH block")
    if len(text) > _MOST or len(value) > _MOST_VALUE:
        raise ValueError(
            f"the file or the value is too long for SET (at most {_MOST} and {_MOST_VALUE} characters)"
        )
    if not value.isprintable() or not value.strip():
        raise ValueError("the value is empty or holds a character that cannot be shown")
    try:
        return setter(text, _parts(key), value.strip())
    except RecursionError:
        raise ValueError("the file or the value is nested too deeply for SET") from None


def _parts(key: str) -> tuple[str, ...]:
    if len(key) > _MOST_VALUE or not _KEY.fullmatch(key):
        raise ValueError(f"{key[:100]!r} is no key such as training.lr or layers.0.width")
    return tuple(quoted or plain for quoted, plain in _PART.findall(key))


def _missing(parts: tuple[str, ...], depth: int, there: Iterable[object]) -> ValueError:
    """The error for a key that is not there."""
    names = [str(name) for name in there][:10_000]
    like = difflib.get_close_matches(parts[depth], names, n=3, cutoff=0.5) or names[:8]
    shown = f"there are {', '.join(like)}" if like else "nothing is"
    where = ".".join(parts[:depth])
    inside = f"in {where} {shown}" if where else shown
    return ValueError(
        f"there is no {'.'.join(parts[: depth + 1])}; {inside}; a new key is added with a SEARCH block"
    )


def _place(parts: tuple[str, ...], depth: int, count: int) -> int:
    """The place in a list that a part of a key names."""
    part = parts[depth]
    if not (part.isascii() and part.isdecimal() and len(part) < 9 and int(part) < count):
        raise _missing(parts, depth, [f"the places 0 to {count - 1}"] if count else [])
    return int(part)


# YAML


def _set_yaml(text: str, parts: tuple[str, ...], value: str) -> str:
    mark = text[: text.startswith("\ufeff")]
    text = text.removeprefix("\ufeff")
    wanted = _compose(value, "the value")
    if wanted.start_mark.index or _is_block(wanted) or value[0] in "&!*":
        raise ValueError(f"{value!r} is no plain value; lists and mappings are written [1, 2] and {{a: 1}}")
    root = _compose(text, "the file")
    old = _find_yaml(text, root, parts)
    if _reads_as_number(old) and wanted.tag.endswith(":str") and _is_number(wanted.value):
        raise ValueError(
            f"{value} is text in YAML; a number with an exponent is written with a point, as 1.0e-4"
        )
    start, end = old.start_mark.index, old.end_mark.index
    blank = " " if start == end else ""
    new = f"{text[:start]}{blank}{value[: wanted.end_mark.index]}{text[end:]}"
    if not _alike(root, _compose(new, "the file with this value"), old, wanted):
        raise ValueError(f"{'.'.join(parts)} cannot be set without changing more; use a SEARCH block")
    return mark + new


def _compose(text: str, what: str) -> Any:
    """The only document of a text, as nodes; nothing is built from it, so aliases cost nothing."""
    fault = yaml_fault(text)
    if fault:
        raise ValueError(f"{what} is no YAML: line {fault}")
    try:
        node = yaml.compose(text, Loader=_LOADER)
    except yaml.YAMLError as error:
        raise ValueError(f"{what} is no YAML of one document: {getattr(error, 'problem', error)}") from None
    if node is None:
        raise ValueError(f"{what} is empty")
    return node


def _find_yaml(text: str, node: Any, parts: tuple[str, ...]) -> Any:
    """The node of a key; ValueError where it is shared, a block, or not there."""
    for depth in range(len(parts) + 1):
        shown = ".".join(parts[:depth]) or "the file"
        if text[node.start_mark.index : node.start_mark.index + 1] in {"&", "!"}:
            raise ValueError(f"{shown} has an anchor or a tag; change it with a SEARCH block")
        if depth == len(parts):
            break
        found = [(child, alias) for name, child, alias in _children(node) if name == parts[depth]]
        if not found:
            raise _missing(parts, depth, [name for name, _, _ in _children(node)])
        if len(found) > 1:
            raise ValueError(f"{'.'.join(parts[: depth + 1])} is there {len(found)} times")
        node, alias = found[0]
        if alias:
            raise ValueError(f"{'.'.join(parts[: depth + 1])} is an alias; set what it stands for")
    if _is_block(node):
        raise ValueError(
            f"{shown} holds lines of its own; set a value in it, or change it with a SEARCH block"
        )
    return node


def _children(node: Any) -> Iterator[tuple[str, Any, bool]]:
    """Names or places, nodes, and whether each is an alias: one that stands before its place."""
    at = node.start_mark.index
    if isinstance(node, yaml.SequenceNode):
        pairs: Iterable[tuple[Any, Any]] = ((None, child) for child in node.value)
    else:
        pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    for place, (key, child) in enumerate(pairs):
        at = max(at, key.end_mark.index) if key is not None else at
        name = str(place) if key is None else key.value if isinstance(key, yaml.ScalarNode) else ""
        yield name, child, child.start_mark.index < at
        at = max(at, child.end_mark.index)


def _is_block(node: Any) -> bool:
    if isinstance(node, yaml.ScalarNode):
        return node.style in {"|", ">"}
    return node.flow_style is False


def _reads_as_number(node: Any) -> bool:
    return str(node.tag).endswith((":float", ":int"))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _alike(old: Any, new: Any, target: Any, wanted: Any) -> bool:
    """Whether two documents are the same but that one node is another; each pair is looked at once."""
    stack, seen = [(old, new)], set()
    while stack:
        a, b = stack.pop()
        a = wanted if a is target else a
        if (id(a), id(b)) in seen:
            continue
        seen.add((id(a), id(b)))
        if type(a) is not type(b) or a.tag != b.tag or len(a.value) != len(b.value):
            return False
        if isinstance(a, yaml.ScalarNode):
            if a.value != b.value:
                return False
        elif isinstance(a, yaml.SequenceNode):
            stack.extend(zip(a.value, b.value, strict=True))
        else:
            stack.extend(
                pair for one, two in zip(a.value, b.value, strict=True) for pair in zip(one, two, strict=True)
            )
    return True


# JSON


def _set_json(text: str, parts: tuple[str, ...], value: str) -> str:
    _load_json(text, "the file")
    _load_json(value, f"the value {value!r}")
    at = _skip(text, 0)
    for depth in range(len(parts)):
        if text[at] == "[":
            at = _item(text, at, parts, depth)
        elif text[at] == "{":
            at = _member(text, at, parts, depth)
        else:
            raise _missing(parts, depth, [])
    end = _DECODER.raw_decode(text, at)[1]
    return text[:at] + value + text[end:]


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


_DECODER: Final = json.JSONDecoder(parse_constant=_refuse)


def _load_json(text: str, what: str) -> Any:
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{what} is no JSON: {error.msg} (line {error.lineno})") from None


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _JSON_BLANK:
        at += 1
    return at


def _item(text: str, at: int, parts: tuple[str, ...], depth: int) -> int:
    """Where an item of the list that begins at `at` begins."""
    starts = []
    at = _skip(text, at + 1)
    while text[at] != "]":
        starts.append(at)
        at = _skip(text, _DECODER.raw_decode(text, at)[1])
        at = _skip(text, at + 1) if text[at] == "," else at
    return starts[_place(parts, depth, len(starts))]


def _member(text: str, at: int, parts: tuple[str, ...], depth: int) -> int:
    """Where the value of a name in the object that begins at `at` begins."""
    starts: list[tuple[str, int]] = []
    at = _skip(text, at + 1)
    while text[at] != "}":
        name, at = _DECODER.raw_decode(text, at)
        at = _skip(text, _skip(text, at) + 1)  # the colon
        starts.append((name, at))
        at = _skip(text, _DECODER.raw_decode(text, at)[1])
        at = _skip(text, at + 1) if text[at] == "," else at
    found = [start for name, start in starts if name == parts[depth]]
    if not found:
        raise _missing(parts, depth, [name for name, _ in starts])
    if len(found) > 1:
        raise ValueError(f"{'.'.join(parts[: depth + 1])} is there {len(found)} times")
    return found[0]


# TOML


def _set_toml(text: str, parts: tuple[str, ...], value: str) -> str:
    import tomlkit
    from tomlkit.exceptions import TOMLKitError
    from tomlkit.items import AoT, Item, Table

    data, wanted = _load_toml(text, "the file"), _load_toml(f"value = {value}", f"the value {value!r}")
    if wanted.keys() != {"value"}:
        raise ValueError(f"{value!r} is no single TOML value")
    _put(data, parts, wanted["value"])
    try:
        document = tomlkit.parse(text)
        holder: Any = document
        for part in parts[:-1]:
            holder = holder[int(part) if isinstance(holder, list) else part]
        at = int(parts[-1]) if isinstance(holder, list) else parts[-1]
        old = holder[at]
        if isinstance(old, Table | AoT):
            raise LookupError("it holds lines of its own; set a value in it")  # noqa: TRY004 no type is wrong
        held = old.as_string() if isinstance(old, Item) else str(old).lower()  # true and false come bare
        holder[at] = tomlkit.value(value)
        new = tomlkit.dumps(document)
    except (TOMLKitError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"{'.'.join(parts)} cannot be set: {error}") from None
    if not _only(text, new, held) or repr(_load_toml(new, "the file")) != repr(data):
        raise ValueError(f"{'.'.join(parts)} cannot be set without changing more; use a SEARCH block")
    return new


def _load_toml(text: str, what: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{what} is no TOML: {error}") from None


def _put(data: Any, parts: tuple[str, ...], value: Any) -> None:
    """Set a value in what was read."""
    for depth, part in enumerate(parts):
        if isinstance(data, dict):
            if part not in data:
                raise _missing(parts, depth, data)
            at: Any = part
        else:
            at = _place(parts, depth, len(data) if isinstance(data, list) else 0)
        if depth == len(parts) - 1:
            data[at] = value
        else:
            data = data[at]


def _only(old: str, new: str, held: str) -> bool:
    """Whether two texts differ only within what the value was written as."""
    most = min(len(old), len(new))
    start = next((at for at in range(most) if old[at] != new[at]), most)
    end = next((at for at in range(most - start) if old[-1 - at] != new[-1 - at]), most - start)
    return old[start : len(old) - end] in held


_SETTERS: Final[Mapping[str, Callable[[str, tuple[str, ...], str], str]]] = {
    "yaml": _set_yaml,
    "yml": _set_yaml,
    "json": _set_json,
    "toml": _set_toml,
}
