"""A session and its project as prompt and export see them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orze.refine.fold import SessionFold
from orze.refine.model import Ended, Outcome, Step, Try, Verdict
from orze.refine.prompt import Known
from orze.refine.repository import Blob
from orze.refine.terms import Terms

TRAIN = b"""import json
from lib import model

LR = 0.1
print(json.dumps({"val_loss": model.fit(LR)}))
"""
FILES: Mapping[str, bytes] = {
    "train.py": TRAIN,
    "lib/__init__.py": b"",
    "lib/model.py": b"def fit(lr):\n    return lr\n",
    "eval.py": b"print('the measure')\n",
    "config.yaml": b"# how long\nepochs: 3\n",
    "weights.bin": b"\0\1\2",
    ".env": b"KEY=abc\n",
}
DIFF = """\
diff --git a/train.py b/train.py
--- a/train.py
+++ b/train.py
@@ -4 +4 @@
-LR = 0.1
+LR = 0.01
"""
TRACEBACK = """\
epoch 1
Traceback (most recent call last):
  File "train.py", line 5, in <module>
RuntimeError: shapes do not fit
"""


def sha(text: str) -> str:
    """Something that looks like a commit."""
    return (text * 40)[:40]


def completed(*values: float) -> Outcome:
    """A run with a value for each repeat."""
    return Outcome(Ended.COMPLETED, values, {"val_loss": values[0], "accuracy": 0.9}, 60.0)


def one_try(text: str, outcome: Outcome | None, **more: Any) -> Try:
    """The first try of a step, that ran."""
    told: dict[str, Any] = {"files": ("train.py",), "command": "python train.py", "commit": sha("c")}
    return Try(1, text, outcome=outcome, usd=0.01, tokens=900, **(told | more))


def steps() -> tuple[Step, ...]:
    """A baseline, one kept, one discarded, one failed, one refused, one being tried, one to be asked for."""
    crashed = Outcome(Ended.CRASHED, error="RuntimeError: shapes do not fit", tail=TRACEBACK)
    baseline = Try(
        1, "The baseline", command="python train.py", commit=sha("c0"), outcome=completed(0.52, 0.53)
    )
    kept = one_try("A smaller rate does not overshoot", completed(0.41, 0.42), commit=sha("c1"))
    worse = one_try(
        "More epochs", completed(0.42, 0.44), commit=sha("c2"), command="python train.py --epochs 9"
    )
    failed = one_try("A wider model", crashed, commit=sha("c3"), files=("lib/model.py",))
    refused = Try(3, "Another file", faults=("eval.py: is protected",))
    return (
        Step(0, sha("b"), (baseline,), Verdict.BASELINE, "the first", sha("d0")),
        Step(1, sha("d0"), (kept,), Verdict.KEPT, "better by 0.11, more than 0.01", sha("d1")),
        Step(2, sha("d1"), (worse,), Verdict.DISCARDED, "worse by 0.015", sha("d2")),
        Step(3, sha("d1"), (failed,), Verdict.FAILED, "no value", sha("d3")),
        Step(4, sha("d1"), (refused,), Verdict.REFUSED, "no try could be run"),
        Step(5, sha("d1"), (one_try("Dropout", None, commit=sha("c5"), files=("lib/model.py",)),)),
        Step(6, sha("d1")),
    )


def listing(files: Mapping[str, bytes]) -> dict[str, Blob]:
    """How a commit lists files."""
    return {path: Blob("100644", sha("e"), len(data)) for path, data in files.items()}


def known(files: Mapping[str, bytes] = FILES, **more: Any) -> Known:
    """All that a prompt is made of."""
    told: dict[str, Any] = {
        "name": "lr", "step": 6, "parent": sha("d1"), "command": "python train.py", "steps": steps(),
        "best": 1, "metric": "val_loss", "minimize": True, "target": 0.1, "noise": 0.005,
        "listing": listing(files), "read": files.get, "diff": lambda a, b: DIFF,
        "may_change": lambda path: path != "eval.py",
        "deny": ("data/",), "protected": ("eval.py",), "constraints": ("At most 1M parameters",),
        "longest_run": 7200.0, "budget": "1h20m of 4h; 5 of 12 runs",
    }  # fmt: skip
    return Known(**(told | more))


def fold(told: tuple[Step, ...] | None = None, **more: Any) -> SessionFold:
    """The same session as its records tell it."""
    found = SessionFold()
    found.name, found.base, found.command = "lr", sha("b"), "python train.py"
    found.terms = Terms("val_loss", ascending=True)
    found.steps = {step.number: step for step in told or steps()}
    found.best = 1
    for name, value in more.items():
        setattr(found, name, value)
    return found
