"""revis.yaml: what is in force for a session, and the terms that its decisions go by."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from orze.config.document import Document
from orze.config.form import Form
from orze.config.load import fill, read_form, read_text
from orze.config.refine import Budget, Entry, Guardrails, Llm, Loop, Metrics, Place, Revis
from orze.config.research import Price
from orze.core.errors import ConfigError
from orze.refine.terms import Terms
from orze.report.primary import is_ascending

REVIS_NAME: Final = "revis.yaml"
FORM: Final = Form(
    root=Revis,
    blocks={
        "": Revis,
        "executor": Place,
        "entry": Entry,
        "metrics": Metrics,
        "guardrails": Guardrails,
        "llm": Llm,
        "llm.price": Price,
        "budget": Budget,
    },
    listed="`revis init` writes a file with all of them",
    not_keys=frozenset({"project_dir"}),
    secret=frozenset({"llm", "agent", "entry.env"}),
    as_written=frozenset({"agent", "entry.env", "executor.gpus", "executor.options"}),
)
# The variable in which each provider's key is looked for, and the model that is asked where one is set.
MODELS: Final[Mapping[str, str]] = {
    "ANTHROPIC_API_KEY": "anthropic/claude-sonnet-4-5",
    "OPENAI_API_KEY": "openai/gpt-5",
    "GEMINI_API_KEY": "gemini/gemini-2.5-pro",
    "DEEPSEEK_API_KEY": "deepseek/deepseek-chat",
    "MISTRAL_API_KEY": "mistral/mistral-large-latest",
}
_MORE_IS_BETTER: Final = frozenset(
    {"acc", "accuracy", "auc", "auroc", "aupr", "auprc", "f1", "score", "precision", "recall", "map", "ap"}
    | {"iou", "miou", "dice", "bleu", "rouge", "meteor", "reward", "return", "r2", "psnr", "ssim", "ndcg"}
    | {"mrr", "hits", "success", "correct", "top1", "top5", "throughput", "kappa", "mcc", "correlation"}
)
_WORD = re.compile(r"[a-z]+[0-9]*", re.ASCII)


def load_revis(config_file: Path | None, cwd: Path, environ: Mapping[str, str]) -> Revis:
    """Put together what is in force.

    Args:
        config_file: what the command line named; None takes revis.yaml in `cwd`.
        cwd: absolute working directory.
        environ: what `${VAR}` stands for in the file; which keys of providers are set.

    Returns:
        Settings whose paths are absolute, with `metrics.minimize` and, where no agent makes the changes,
        `llm.model` filled in.

    Raises:
        ConfigError: with every fault, one sentence each, in the order of the lines.
    """
    shown = str(config_file or REVIS_NAME)
    file = cwd / shown
    text = read_text(file, shown)
    if text is None:
        raise ConfigError([f"{shown}: no such file; `revis init` writes one"])
    document = read_form(FORM, text, environ)
    revis = fill(FORM, document, shown, own={"project_dir": file.parent})
    return revis.model_copy(
        update={
            "metrics": _directed(revis.metrics, document, shown),
            "llm": _with_model(revis, environ, shown),
        }
    )


def terms_of(loop: Loop, *, metric: str, ascending: bool, target: float | None) -> Terms:
    """The terms of a session.

    Args:
        loop: what it obeys.
        metric, ascending, target: of the primary metric: from `metrics`, or from the farm and `refine`.
    """
    guardrails = loop.guardrails
    return Terms(
        metric,
        ascending,
        target,
        repeats=loop.repeats,
        parallel=loop.parallel,
        plateau_runs=guardrails.plateau_runs,
        max_failures=guardrails.max_failures,
        divergence_runs=guardrails.divergence_runs,
    )


def terms_of_revis(revis: Revis) -> Terms:
    """The same of what `load_revis` gives."""
    metrics = revis.metrics
    return terms_of(revis, metric=metrics.primary, ascending=bool(metrics.minimize), target=metrics.target)


def smaller_is_better(metric: str) -> bool | None:
    """Which way a metric goes, by the words of its name; None where they do not tell."""
    if is_ascending(metric, None):
        return True
    words = _WORD.findall(metric.lower())
    return False if _MORE_IS_BETTER.intersection(words) else None


def model_for(environ: Mapping[str, str]) -> str | None:
    """The model that is asked where none is named: by the first provider whose key is set."""
    return next((model for name, model in MODELS.items() if environ.get(name)), None)


def _directed(metrics: Metrics, document: Document, shown: str) -> Metrics:
    if metrics.minimize is not None:
        return metrics
    minimize = smaller_is_better(metrics.primary)
    if minimize is None:
        line = document.places[("metrics",)].line
        why = f"the name {metrics.primary[:60]!r} does not say whether smaller is better"
        raise ConfigError([f"{shown}:{line}: metrics needs the key minimize: {why}"])
    return metrics.model_copy(update={"minimize": minimize})


def _with_model(revis: Revis, environ: Mapping[str, str], shown: str) -> Llm:
    llm = revis.llm
    if llm.model is not None or revis.agent:
        return llm
    model = model_for(environ)
    if model is None:
        what = f"set llm.model, or one of {', '.join(MODELS)} in the environment, or agent"
        raise ConfigError([f"{shown}: no model is named, and no key of a provider is set: {what}"])
    return llm.model_copy(update={"model": model})
