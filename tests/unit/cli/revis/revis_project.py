"""A project with sessions that are always the same, written through the records of `revis` itself."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from orze.config.refine import Budget
from orze.core.clock import ManualClock
from orze.core.files import RealFiles
from orze.refine.model import Ended, Outcome, Reason, Try, Verdict
from orze.refine.repository import Repository
from orze.refine.session import Session, settings_of
from orze.refine.terms import Terms

NOW = 1_700_000_000.0  # 2023-11-14 22:13:20 UTC
BAD = "\x1b[31mred\x1b[0m [bold]not markup[/bold]\u202e"
TRAIN = "rate = 0.1\nepochs = 5\nprint(rate * epochs)\n"
SETTINGS = """\
entry: {train: python train.py}
metrics: {primary: val_loss, minimize: true, target: 0.1}
llm: {model: openai/gpt-4o-mini, price: {input: 0.15, output: 0.6}}
"""
BUDGET = Budget(time=14400.0, runs=20, usd=5.0)
TERMS = Terms("val_loss", ascending=True, target=0.1, repeats=2, plateau_runs=3, max_failures=3)


@dataclass
class Made:
    """A project and its repository, and one session in it.

    Args:
        home: the project's directory; made here.
        budget: of the session.
        terms: what it goes by.
    """

    home: Path
    name: str = "digits"
    budget: Budget = BUDGET
    terms: Terms = TERMS

    def __post_init__(self) -> None:
        fresh = not self.home.exists()
        if fresh:
            self.home.mkdir(parents=True)
            for name, text in {"train.py": TRAIN, "revis.yaml": SETTINGS}.items():
                (self.home / name).write_text(text)
        self.clock = ManualClock(NOW)
        if fresh:
            git = ("git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org")
            date = {"GIT_AUTHOR_DATE": "@1699990000 +0000", "GIT_COMMITTER_DATE": "@1699990000 +0000"}
            for words in (("init", "-q", "-b", "main"), ("add", "."), ("commit", "-qm", "Begin")):
                subprocess.run(
                    [*git, *words], cwd=self.home, env={"PATH": "/usr/bin:/bin", **date}, check=True
                )
            (self.home / ".revis").mkdir()
            (self.home / ".revis/.gitignore").write_text("*\n")
        self.repository = Repository(self.home)
        self.base = self.repository.head()
        self.session = Session(
            RealFiles(), str(self.home / f".revis/{self.name}/chain"), self.clock, frame={"host": "gpu-a"}
        )
        settings = settings_of(self.terms)
        self.session.begin(
            self.name, base=self.base, command="python train.py", settings=settings, budget=self.budget
        )
        self.session.take(settings)

    def works(self, seconds: float) -> None:
        """Let the session be at work."""
        self.clock.sleep(seconds)

    def baseline(self, *values: float) -> str:
        """Run the baseline; its commit."""
        self.session.step(0, self.base)
        ran = self.repository.commit(self.base, {}, "Baseline", at=NOW)
        self.session.tried(0, Try(1, commit=ran))
        self.runs(0, 1)
        self.ended(0, 1, done(*values))
        return self.judged(0, Verdict.BASELINE, "the baseline, two runs", ran)

    def asks(self, step: int, number: int = 1, *, parent: str = "") -> None:
        """Begin a step, unless it is a repair, and ask."""
        if number == 1:
            self.session.step(step, parent)
        self.works(2)
        self.session.ask(step, number, usd=0.01, tokens=9000)

    def answered(self, step: int, number: int, one: Try, *, usd: float | None = 0.0042) -> None:
        """The answer comes, and a try is made of it."""
        self.works(7)
        self.session.answer(step, number, text="...", usd=usd, tokens=2345)
        self.session.tried(step, one)

    def change(self, parent: str, old: str, new: str, message: str) -> str:
        """The commit of a change to train.py."""
        before = (self.repository.read(parent, "train.py") or b"").decode()
        return self.repository.commit(
            parent, {"train.py": before.replace(old, new).encode()}, message, at=NOW
        )

    def runs(self, step: int, number: int) -> None:
        """Its run begins."""
        self.session.run(step, number, f"revis-{self.name}-{step}-{number}")
        self.session.idea(step, number, f"idea-{step + 1:03d}")

    def ended(self, step: int, number: int, outcome: Outcome) -> None:
        """Its run has ended."""
        self.works(outcome.seconds)
        self.session.outcome(step, number, outcome)

    def judged(self, step: int, verdict: Verdict, reason: str, ran: str) -> str:
        """The verdict, with its commit."""
        self.works(1)
        parent = self.session.fold.steps[step].parent
        sha = self.repository.again(ran, f"Step {step}: {verdict}", parent=parent, at=NOW) if ran else ""
        self.session.verdict(step, verdict, reason, sha)
        if sha:
            self.repository.set_ref(f"refs/revis/{self.name}/{step}", sha, None)
        if verdict in (Verdict.BASELINE, Verdict.KEPT):
            name = f"refs/heads/revis/{self.name}"
            self.repository.set_ref(name, sha, self.repository.ref(name) or None)
        return sha


def done(*values: float, seconds: float = 24.0) -> Outcome:
    """A run that completed."""
    metrics = {"val_loss": values[0], "val_accuracy": 1 - values[0] / 4}
    return Outcome(Ended.COMPLETED, values, metrics, seconds, log="farm/results/idea/train_output.log")


def whole(home: Path) -> Made:
    """A session with one of everything, whose last step runs."""
    made = Made(home)
    first = made.baseline(0.52, 0.5)
    made.asks(1, parent=first)
    ran = made.change(first, "rate = 0.1", "rate = 0.3", "Larger steps")
    made.answered(
        1, 1, Try(1, "The loss still falls at the end: larger steps get further.", ("train.py",), commit=ran)
    )
    made.runs(1, 1)
    made.ended(1, 1, done(0.36, 0.38))
    second = made.judged(1, Verdict.KEPT, "0.3700 is better than 0.5100 by more than the noise", ran)
    made.asks(2, parent=second)
    ran = made.change(second, "epochs = 5", "epochs = 50", "Longer")
    told = f"Longer training.\n\nWhat a model writes is shown and never obeyed: {BAD}"
    made.answered(2, 1, Try(1, told, ("train.py",), commit=ran))
    made.runs(2, 1)
    made.ended(2, 1, done(0.365, 0.37, seconds=240.0))
    made.judged(2, Verdict.DISCARDED, "0.3675 is not better than 0.3700 by more than the noise", ran)
    made.asks(3, parent=second)
    faults = ("train.py: SEARCH is found 0 times; the nearest lines are\n  2: epochs = 5",)
    made.answered(3, 1, Try(1, "A warm start.", ("train.py",), faults=faults))
    made.asks(3, 2)
    ran = made.change(second, "print(", "raise SystemExit(1)\nprint(", "A warm start")
    made.answered(3, 2, Try(2, "A warm start.", ("train.py",), commit=ran), usd=None)
    made.runs(3, 2)
    made.ended(
        3, 2, Outcome(Ended.CRASHED, seconds=2.0, error="it left with status 1", tail=f"epoch 1\n{BAD}\n")
    )
    made.judged(3, Verdict.FAILED, "its run crashed", ran)
    made.asks(4, parent=second)
    ran = made.change(second, "epochs = 5", "epochs = 8", "A little longer")
    made.answered(
        4, 1, Try(1, "A little longer, by the command.", (), "python train.py --epochs 8", commit=ran)
    )
    made.runs(4, 1)
    return made


def ended(home: Path) -> Made:
    """A session that reached its target."""
    made = Made(home, name="quick", budget=Budget(runs=8))
    first = made.baseline(0.52)
    made.asks(1, parent=first)
    ran = made.change(first, "rate = 0.1", "rate = 3.0", "Much larger steps")
    made.answered(1, 1, Try(1, "Much larger steps.", ("train.py",), commit=ran))
    made.runs(1, 1)
    made.ended(1, 1, done(0.09))
    made.judged(1, Verdict.KEPT, "0.0900 is better than 0.5200; the noise is not known", ran)
    made.session.end(Reason.TARGET, "step 1 has val_loss 0.0900, the target is 0.1000")
    return made
