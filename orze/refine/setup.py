"""`revis init`: the questions that it asks, and the files that it writes. Nothing is overwritten."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from orze.client.setup import Plan, Planned
from orze.core.units import DURATION_FORMS, parse_duration
from orze.refine import setup_text
from orze.refine.detect import Found
from orze.refine.settings import REVIS_NAME, model_for, smaller_is_better
from orze.report.primary import choose

IGNORES: Final = ".revis/.gitignore"
NAMES: Final = (REVIS_NAME, ".revis", IGNORES)
HERE: Final = "local"
_YES_OR_NO: Final = ("yes", "no")
_SNIPPET: Final = """\
    with open(os.path.join(os.environ.get("REVIS_OUTPUT_DIR", "."), "eval.json"), "w") as file:
        json.dump({"val_loss": val_loss}, file)"""


@dataclass(frozen=True, slots=True)
class Question:
    """One question: what is taken where nothing is answered, and what may be, where that is bounded."""

    key: str
    text: str
    default: str = ""
    choices: tuple[str, ...] = ()


def next_question(found: Found, answers: Mapping[str, str]) -> Question | None:
    """The next question that is open; None where all are answered.

    Args:
        answers: by the keys of the questions; the defaults of later ones depend on them.
    """
    asked = [
        Question("train", "Training command", next(iter(found.commands), "python train.py")),
        Question("metric", "Metric in eval.json that tells how good a run is", _metric(found)),
        Question(
            "minimize", f"Is a smaller {answers.get('metric', '')} better", _minimize(answers), _YES_OR_NO
        ),
        Question("duration", "Longest time that one run may take", "2h"),
    ]
    if found.hosts:
        asked.append(Question("place", "Where do runs take place", HERE, (HERE, *found.hosts)))
    if _place(answers) != HERE:
        asked.append(
            Question("work_dir", f"Directory on {answers['place']}, for this project alone", _work_dir(found))
        )
    return next((question for question in asked if question.key not in answers), None)


def check(question: Question, answer: str) -> str:
    """Hold that an answer can be used.

    Returns:
        It, without blanks around it; the default where it is empty.

    Raises:
        ValueError: one sentence.
    """
    answer = answer.strip() or question.default
    if not answer or not answer.isprintable() or len(answer) > 4096:
        raise ValueError("write one line")
    if question.key == "minimize":
        answer = {"y": "yes", "n": "no"}.get(answer.lower(), answer.lower())
    if question.key == "duration":
        try:
            parse_duration(answer)
        except ValueError:
            raise ValueError(f"write a time: {DURATION_FORMS}") from None
    if question.key == "work_dir" and not answer.startswith("/"):
        raise ValueError("write an absolute path")
    if question.choices and answer not in question.choices:
        raise ValueError(f"write one of {', '.join(question.choices)}")
    return answer


def filled(found: Found, answers: Mapping[str, str]) -> dict[str, str]:
    """All answers, with the default for each that is not there."""
    complete = dict(answers)
    while question := next_question(found, complete):
        complete[question.key] = question.default
    return complete


def plan(found: Found, answers: Mapping[str, str], environ: Mapping[str, str]) -> Plan:
    """What is to be written, and what a person should know.

    Args:
        answers: as `filled` gives them.
        environ: which keys of providers are set.
    """
    text = revis_yaml(answers, model_for(environ))
    files = (
        Planned(REVIS_NAME, text, "the settings of the loop"),
        Planned(IGNORES, "*\n", "sessions, logs and runs, which git ignores"),
    )
    return Plan(files, tuple(_notes(found, answers, environ)))


def _notes(found: Found, answers: Mapping[str, str], environ: Mapping[str, str]) -> list[str]:
    said = []
    if not found.git:
        said.append("this is no git repository, and every change becomes a commit: git init, and commit it")
    if not found.commands:
        said.append(f"no training script was found: name your command under entry.train in {REVIS_NAME}")
    if not found.writes:
        said.append(f"no source names eval.json; let the training write its metrics there:\n{_SNIPPET}")
    elif found.metrics and answers["metric"] not in found.metrics:
        said.append(f"the sources write {', '.join(found.metrics[:8])} to eval.json, not {answers['metric']}")
    if model_for(environ) is None:
        said.append("no key of a provider is set: export ANTHROPIC_API_KEY=..., or set llm.model")
    if _place(answers) == HERE and not found.tmux:
        said.append("tmux is not installed: runs have no window to watch them in")
    return said


def _place(answers: Mapping[str, str]) -> str:
    return answers.get("place", HERE)


def _metric(found: Found) -> str:
    return choose(found.metrics) or next(iter(found.metrics), "val_loss")


def _minimize(answers: Mapping[str, str]) -> str:
    return _YES_OR_NO[smaller_is_better(answers.get("metric", "loss")) is False]


def _work_dir(found: Found) -> str:
    name = "".join(char if char.isalnum() or char in "-_." else "-" for char in found.directory.name)
    return f"/tmp/revis/{name.strip('.') or 'project'}"  # noqa: S108 - on another machine, where nothing else is known


def _quoted(text: str) -> str:
    """A text in quotes, as YAML reads it, with `${` kept as it is."""
    return json.dumps(text.replace("${", "$${"), ensure_ascii=False)


def _executor(answers: Mapping[str, str]) -> str:
    if _place(answers) == HERE:
        return setup_text.HERE
    return _with(setup_text.THERE, HOST=_quoted(answers["place"]), WORK_DIR=_quoted(answers["work_dir"]))


def revis_yaml(answers: Mapping[str, str], model: str | None) -> str:
    """The settings file, with every key and what it does.

    Args:
        answers: as `filled` gives them.
        model: the model that is asked; None leaves it to the key that the environment holds.
    """
    less = answers["minimize"] == "yes"
    return _with(
        setup_text.TEXT,
        EXECUTOR=_executor(answers),
        TRAIN=_quoted(answers["train"]),
        METRIC=_quoted(answers["metric"]),
        MINIMIZE="true" if less else "false",
        TARGET="0.1" if less else "0.95",
        DURATION=_quoted(answers["duration"]),
        MODEL=f"  model: {model}" if model else "  #model: anthropic/claude-sonnet-4-5",
    )


def _with(text: str, **values: str) -> str:
    """A text with its places filled in; what is filled in is not looked at again."""
    return re.sub(r"@([A-Z_]+)@", lambda match: values[match[1]], text)
