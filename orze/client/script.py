"""What a training script says of itself, read without running it: its flags, their defaults, its contract."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

MAX_BYTES = 2 << 20
CONTRACT = frozenset({"--idea-id", "--results-dir", "--ideas-md", "--config"})
_READS_ENVIRONMENT = frozenset({"ORZE_IDEA_CONFIG", "REVIS_OUTPUT_DIR"})
# Names of flags that say where a script is to write; the adapter gives them the attempt's directory.
_OUTPUT = frozenset(
    {"output_dir", "out_dir", "outdir", "output", "out", "save_dir", "savedir", "log_dir", "logdir"}
    | {"run_dir", "exp_dir", "work_dir", "workdir", "results_dir", "checkpoint_dir", "ckpt_dir"}
)
# Packages that make flags of their own, which are not read here.
_OTHER_PARSERS = frozenset(
    {"click", "typer", "fire", "absl", "hydra", "tyro", "jsonargparse", "simple_parsing", "docopt", "tap"}
    | {"HfArgumentParser", "configargparse", "plac"}
)


class Kind(StrEnum):
    """How a value of the configuration becomes words of a command line."""

    VALUE = "value"
    VALUES = "values"
    APPEND = "append"
    COUNT = "count"
    SET = "set"
    UNSET = "unset"
    SWITCH = "switch"
    TRUTH = "truth"
    PLACE = "place"


@dataclass(frozen=True, slots=True)
class Flag:
    """One argument of a script.

    Attributes:
        name: its key in a configuration, argparse's `dest`.
        word: what stands before its value on the command line; empty for a positional one.
        has_default: whether `default` is known; where not, the script computes it.
        default: a plain value; None where there is none.
        required: whether the script refuses to start without it.
        help: what the script says of it, on one line.
    """

    name: str
    word: str
    kind: Kind
    has_default: bool = True
    default: object = None
    required: bool = False
    help: str = ""

    @property
    def is_output(self) -> bool:
        """Whether it says where the script is to write."""
        return self.kind is Kind.VALUE and bool(self.word) and self.name.lower() in _OUTPUT


@dataclass(frozen=True, slots=True)
class Script:
    """What was read of a script.

    Attributes:
        flags: the arguments that could be read, each name once, in their order.
        follows_contract: it can be called as RULES.md says, so it needs no adapter.
        open: it may take arguments that could not be read.
        prints_json: it may print JSON, or write it to a file.
        commands: it has subcommands.
        runs: where it is an adapter that `orze init` wrote: the script that it runs, and further words.
    """

    flags: tuple[Flag, ...] = ()
    follows_contract: bool = False
    open: bool = False
    prints_json: bool = False
    commands: bool = False
    runs: tuple[str, ...] = ()


def inspect(text: str) -> Script:
    """Read a script.

    Args:
        text: its source.

    Raises:
        ValueError: it is no Python; the message names line and fault.
    """
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None)
        raise ValueError(f"line {line}: {getattr(error, 'msg', error)}" if line else str(error)) from None
    nodes = list(ast.walk(tree))
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    texts = {n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    names = {_called(call) for call in calls} | set(_imported(nodes))
    arguments = [_flag(call) for call in calls if _called(call) == "add_argument" and not _only_tells(call)]
    read = [flag for flag in arguments if flag is not None]
    takes_some = bool(arguments) or not names.isdisjoint({"parse_args", "parse_known_args"})
    other = not names.isdisjoint(_OTHER_PARSERS) or any(_is_argv(node) for node in nodes)
    lenient = "parse_known_args" in names or not (takes_some or other)
    return Script(
        flags=tuple({flag.name: flag for flag in read if flag.word != "-h"}.values()),
        follows_contract=texts >= CONTRACT or (lenient and not texts.isdisjoint(_READS_ENVIRONMENT)),
        open=other or len(read) < len(arguments) or (takes_some and not arguments),
        prints_json=not names.isdisjoint({"dump", "dumps", "to_json", "write_json"}),
        commands="add_subparsers" in names,
        runs=_adapted(tree),
    )


def _adapted(tree: ast.Module) -> tuple[str, ...]:
    """What COMMAND of an adapter says; nothing for other scripts."""
    assigned = [node for node in tree.body if isinstance(node, ast.AnnAssign) and node.value]
    values = {node.target.id: node.value for node in assigned if isinstance(node.target, ast.Name)}
    if not values.keys() >= {"COMMAND", "FLAGS", "METRICS_FILES"}:
        return ()
    words = _plain(values["COMMAND"] or ast.Constant(None))[1]
    return tuple(map(str, words)) if isinstance(words, list) else ()


def _only_tells(call: ast.Call) -> bool:
    """Whether an argument, such as --version, makes the script tell something and leave."""
    actions = [_plain(word.value)[1] for word in call.keywords if word.arg == "action"]
    return actions in (["version"], ["help"])


def plain_line(text: str) -> str:
    """A text on one line, with nothing that does not print."""
    return "".join(char for char in " ".join(text.split()) if char.isprintable())


def _called(call: ast.Call) -> str:
    """The last name of what is called: `add_argument` of `group.add_argument(...)`."""
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _imported(nodes: list[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").partition(".")[0]
            yield from (alias.name for alias in node.names)


def _is_argv(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "argv"


def _flag(call: ast.Call) -> Flag | None:
    """The argument that a call of add_argument makes; None where that is known only when it runs."""
    given = {word.arg: word.value for word in call.keywords if word.arg}
    words = [_plain(word)[1] for word in call.args]
    if not words or not all(isinstance(word, str) and word for word in words) or None in given:
        return None
    texts = [str(word) for word in words]
    long = [word for word in texts if word.startswith("--")]
    word = (long or texts)[0]
    positional = not word.startswith("-")
    told, dest = _plain(given["dest"]) if "dest" in given else (True, word.lstrip("-").replace("-", "_"))
    kind, implied = _kind(given, positional=positional)
    if not told or not isinstance(dest, str) or not dest or not dest.isprintable() or kind is None:
        return None
    known, default = _plain(given["default"]) if "default" in given else (True, implied)
    known = known and _is_plain_value(default)
    required = _plain(given["required"])[1] is True if "required" in given else positional
    optional = positional and _plain(given.get("nargs", ast.Constant(None)))[1] in ("?", "*")
    explained = _plain(given["help"])[1] if "help" in given else ""
    return Flag(
        name=dest,
        word="" if positional else word,
        kind=kind,
        has_default=known,
        default=default if known else None,
        required=required and not optional,
        help=plain_line(explained)[:80] if isinstance(explained, str) else "",
    )


def _kind(given: dict[str, ast.expr], *, positional: bool) -> tuple[Kind | None, object]:
    """How its values are written, and the default that its action implies (argparse, "action")."""
    action = given.get("action")
    if isinstance(action, ast.Attribute | ast.Name):
        name = action.attr if isinstance(action, ast.Attribute) else action.id
        return (Kind.SWITCH, None) if name == "BooleanOptionalAction" else (None, None)
    told = _plain(action)[1] if action else "store"
    simple: dict[object, tuple[Kind, object]] = {
        "store_true": (Kind.SET, False),
        "store_false": (Kind.UNSET, True),
        "count": (Kind.COUNT, 0),
        "append": (Kind.APPEND, None),
        "extend": (Kind.VALUES, None),
    }
    if told in simple:
        return simple[told]
    if told != "store":
        return None, None
    count = _plain(given["nargs"])[1] if "nargs" in given else None
    several = count in ("*", "+") or (isinstance(count, int) and not isinstance(count, bool))
    if positional:
        return Kind.PLACE, None
    if several:
        return Kind.VALUES, None
    kind = given.get("type")
    return (Kind.TRUTH if isinstance(kind, ast.Name) and kind.id == "bool" else Kind.VALUE), None


def _plain(node: ast.expr) -> tuple[bool, object]:
    """Whether an expression is a literal, and its value."""
    try:
        return True, ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return False, None


def _is_plain_value(value: object) -> bool:
    """Whether YAML writes it as the script's own type: a number, a text, a truth value, null, or a list."""
    if isinstance(value, list | tuple):
        return all(isinstance(item, str | int | float) for item in value)
    return value is None or isinstance(value, str | int | float)
