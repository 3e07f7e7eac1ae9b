"""The kinds of values that orze.yaml holds, each bounded; a fault completes the sentence `KEY …`."""

import re
import shlex
from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from orze.core.states import NOT_ITS_FAULT, UNCOUNTED, Cause
from orze.core.units import DURATION_FORMS, parse_duration

_TEN_YEARS: Final = 10 * 365 * 86400.0
_PLACEHOLDER = re.compile(r"\{([A-Za-z_]\w*)\}", re.ASCII)
# Widths and digits are bounded: `format(1, "1000000000")` would be a gigabyte.
_NUMBER_FORMAT = re.compile(r"[-+ ]?#?0?\d{0,2}[,_]?(\.\d{1,2})?[eEfFgGn%d]?", re.ASCII)
_CARD = re.compile(r"\d{1,4}(:\d{1,4})?|(GPU|MIG)-[\w/-]{1,80}|cpu(:\d{1,3})?", re.ASCII | re.IGNORECASE)
_SCRIPT_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,63}", re.ASCII)
_VARIABLE = re.compile(r"[A-Za-z_]\w{0,254}", re.ASCII)
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,31}://\S.*", re.ASCII)

SCRIPT_PLACEHOLDERS: Final = ("idea_id", "gpu", "results_dir")
LAUNCH_PLACEHOLDERS: Final = ("command", "gpus", "port")

# Written by the farm itself: an output of that name would be replaced, or would replace the record.
_TAKEN_NAMES: Final = frozenset(
    {".chain", "attempts", "input", "latest", "claim.json", "metrics.json", "idea.yaml", "environment.json"}
    | {"train_output.log", "eval_output.log", "progress.jsonl"}
)
# Set for every attempt: another value would send it to another card or make it another attempt.
_TAKEN_VARIABLES: Final = frozenset(
    {"CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "REVIS_OUTPUT_DIR", "REVIS_PROJECT_DIR", "REVIS_RUN_ID"}
)


class News(StrEnum):
    """What people can be told of, as soon as it happens."""

    NEW_BEST = "new_best"
    FAILED = "failed"
    QUEUE_EMPTY = "queue_empty"
    HOST_LOST = "host_lost"
    DISK_LOW = "disk_low"
    RESEARCH_DEAD = "research_dead"


def _seconds(value: object) -> object:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    try:
        return parse_duration(str(value))
    except ValueError:
        raise ValueError(f"must be a time ({DURATION_FORMS})") from None


def _text(value: str) -> str:
    if "\0" in value:
        raise ValueError("must be text without NUL characters")
    return value


def _path(value: object) -> object:
    if isinstance(value, str) and value and "\0" not in value:
        return Path(value)
    if isinstance(value, Path):
        return value
    raise ValueError("must be a path")


def _word(value: object) -> object:
    """Make the text that a command or its environment gets from a value that YAML has read already."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


def split_words(value: object) -> object:
    """A list of words, or one text that a shell would split into them; ValueError where it is neither."""
    if isinstance(value, str):
        try:
            return tuple(shlex.split(value))
        except ValueError:
            raise ValueError("must be a list of words, or one text whose quotes are closed") from None
    if isinstance(value, list | tuple):
        return tuple(value)
    raise ValueError("must be a list of words, or one text that a shell would split into them")


def _placeholders_among(known: Collection[str]) -> Callable[[str], str]:
    listed = ", ".join(f"{{{name}}}" for name in known)

    def check(word: str) -> str:
        if any(name not in known for name in _PLACEHOLDER.findall(word)):
            raise ValueError(f"must be text without placeholders but {listed}")
        return word

    return check


def _launch(words: tuple[str, ...]) -> tuple[str, ...]:
    if not any("{command}" in word for word in words):
        raise ValueError("must hold {command}, which stands for the training command")
    return words


def read_cards(value: object) -> object:
    """Cards as text, written as for --gpus; ValueError where they are not."""
    items = value if isinstance(value, list | tuple) else str(value).split(",")
    cards = [str(item).strip() for item in items]
    if not cards or not all(map(_CARD.fullmatch, cards)):
        raise ValueError("must be cards by index or UUID such as 0,1, or cpu, or cpu:2")
    return ",".join(cards)


def _inside(value: str) -> str:
    path = PurePosixPath(value)
    if not path.parts or path.is_absolute() or ".." in path.parts or not value.isprintable():
        raise ValueError("must be a name inside the idea's directory, without '..'")
    return str(path)


def _output(value: str) -> str:
    if PurePosixPath(value).parts[0] in _TAKEN_NAMES:
        raise ValueError("has a name that the farm itself writes; choose another")
    return value


def _file_pattern(value: str) -> str:
    if ".." in PurePosixPath(value).parts or not value.isprintable():
        raise ValueError("must be a pattern of files such as eval/**/*.py, without '..'")
    return value


def _source(value: str) -> str:
    file, _, keys = value.partition(":")
    if not file.endswith(".json") or not all(keys.split(".")):
        raise ValueError("must be a JSON file and the keys in it, such as eval_report.json:metrics.auc")
    return f"{_inside(file)}:{keys}"


def _number_format(value: str) -> str:
    if not _NUMBER_FORMAT.fullmatch(value) or not (_formats(1.0, value) or _formats(1, value)):
        raise ValueError("must be a number format such as .4f, .2% or .3e")
    return value


def _formats(number: float, value: str) -> bool:
    try:
        return bool(format(number, value))
    except ValueError:
        return False


def _script_name(value: str) -> str:
    if not _SCRIPT_NAME.fullmatch(value):
        raise ValueError("must be a short name of letters, digits, '.', '_' and '-'")
    return value


def _variable(name: object) -> object:
    if not isinstance(name, str) or not _VARIABLE.fullmatch(name):
        raise ValueError("is not a name that an environment variable can have")
    if name in _TAKEN_VARIABLES or name.startswith("ORZE_"):
        raise ValueError("is set by the farm for each attempt; remove it")
    return name


def _cause(name: object) -> object:
    if name in NOT_ITS_FAULT:
        raise ValueError("is requeued without limit and never counted; remove it")
    if name in UNCOUNTED:
        raise ValueError("is no failure: early stopping is final; remove it")
    if name in set(Cause):
        return Cause(str(name))
    close = get_close_matches(str(name), list(Cause), 1)
    hint = f"did you mean {str(close[0])!r}?" if close else "orze.yaml.example lists the causes"
    raise ValueError(f"is not a cause of failure — {hint}")


def _news(word: object) -> object:
    if str(word) in set(News):
        return News(str(word))
    raise ValueError(f"must be one of {', '.join(News)}")


def _url(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if len(text) > 4096 or not text.isprintable() or not _URL.fullmatch(text):
        raise ValueError("must be a URL that apprise knows, such as slack://... or mailto://...")
    return value


Seconds = Annotated[float, Field(gt=0, le=_TEN_YEARS), BeforeValidator(_seconds)]
SecondsOrZero = Annotated[float, Field(ge=0, le=_TEN_YEARS), BeforeValidator(_seconds)]
Minutes = Annotated[float, Field(ge=0, le=_TEN_YEARS / 60)]
Hours = Annotated[float, Field(gt=0, le=_TEN_YEARS / 3600)]
Gigabytes = Annotated[float, Field(ge=0, le=10**9)]
Mebibytes = Annotated[int, Field(ge=1, le=10**7)]
Slots = Annotated[int, Field(ge=1, le=64)]
Members = Annotated[int, Field(ge=1, le=10_000)]
Times = Annotated[int, Field(ge=0, le=10**6)]
Runs = Annotated[int, Field(ge=0, le=100)]

Text = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(_text)]
ProjectPath = Annotated[Path, BeforeValidator(_path)]
InsidePath = Annotated[Text, AfterValidator(_inside)]
OutputPath = Annotated[InsidePath, AfterValidator(_output)]
JsonSource = Annotated[Text, AfterValidator(_source)]
NumberFormat = Annotated[Text, AfterValidator(_number_format)]
ScriptName = Annotated[Text, AfterValidator(_script_name)]
Cards = Annotated[Text, BeforeValidator(read_cards)]
CauseName = Annotated[Cause, BeforeValidator(_cause)]
NewsWord = Annotated[News, BeforeValidator(_news)]
# Its text is shown nowhere: whoever has it can write in the name of the farm.
SecretUrl = Annotated[SecretStr, AfterValidator(_url)]
SecretText = Annotated[SecretStr, Field(min_length=1, max_length=4096)]
# A list of YAML is taken as a tuple, which nobody can change afterwards.
Items = Field(max_length=1000, strict=False)

Word = Annotated[str, Field(max_length=32768), AfterValidator(_text), BeforeValidator(_word)]
ScriptWord = Annotated[Word, AfterValidator(_placeholders_among(SCRIPT_PLACEHOLDERS))]
LaunchWord = Annotated[Word, AfterValidator(_placeholders_among(LAUNCH_PLACEHOLDERS))]
Words = Annotated[tuple[Word, ...], Field(max_length=1000), BeforeValidator(split_words)]
ScriptWords = Annotated[tuple[ScriptWord, ...], Field(max_length=1000), BeforeValidator(split_words)]
LaunchWords = Annotated[
    tuple[LaunchWord, ...], Field(max_length=1000), BeforeValidator(split_words), AfterValidator(_launch)
]
FilePatterns = Annotated[tuple[Annotated[Text, AfterValidator(_file_pattern)], ...], Items]
VariableName = Annotated[str, BeforeValidator(_variable)]
Variables = Annotated[Mapping[VariableName, Word], Field(max_length=1000)]
