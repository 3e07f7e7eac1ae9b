"""Every key of orze.yaml: its kind, its default and what it does."""

import os
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import ValidationInfo, field_validator

from orze.config.executor import Executor
from orze.config.form import FieldDoc, Form
from orze.config.lease import Lease, lease_problems
from orze.config.outward import Block, Mlflow, Notifications, Trackers, Trackio, Wandb
from orze.config.refine import Budget as RefineBudget
from orze.config.refine import Guardrails, Llm, Refine
from orze.config.research import Budget, Price, Research
from orze.config.values import (
    Cards,
    CauseName,
    FilePatterns,
    Gigabytes,
    Hours,
    InsidePath,
    Items,
    JsonSource,
    LaunchWords,
    Mebibytes,
    Members,
    Minutes,
    NumberFormat,
    OutputPath,
    ProjectPath,
    Runs,
    ScriptName,
    ScriptWords,
    Seconds,
    SecondsOrZero,
    Slots,
    Text,
    Times,
    Variables,
    Words,
)

# The fields of Settings that come from the command line or from where the file lies.
NOT_KEYS: Final = frozenset({"project_dir", "gpus", "lease_place", "config_file"})
_NO_VARIABLES: Final[Mapping[str, str]] = {}


class PostScript(Block):
    """One more command after a successful training."""

    name: ScriptName
    """What reports and logs call it."""
    script: ProjectPath
    """The script, run with `python` on the attempt's cards."""
    args: ScriptWords = ()
    """Its arguments; {idea_id}, {gpu} and {results_dir} are filled in."""
    timeout: Seconds = 3600.0
    """Longest time that it may take."""
    output: OutputPath | None = None
    """The file that it writes in the idea's directory."""


class Cleanup(Block):
    """What is removed of ended ideas, never of the best."""

    patterns: Annotated[tuple[InsidePath, ...], Items] = ()
    """Files to remove, as patterns below the idea's directory."""
    script: ProjectPath | None = None
    """A script of your own that the leading host runs each time as well."""
    interval: Seconds = 3600.0
    """Time between two rounds."""
    timeout: Seconds = 600.0
    """Longest time that the script may take."""


class Column(Block):
    """One column of the leaderboard."""

    key: Text
    """Name of the metric."""
    label: Text | None = None
    """Heading; unset: the key."""
    fmt: NumberFormat | None = None
    """Number format such as .4f, .2% or .3e."""
    source: JsonSource | None = None
    """Where the value is, if not in the metrics: a JSON file of the idea and the keys in it."""


class Report(Block):
    """How results/report.md ranks and what it shows."""

    title: Text = "Leaderboard"
    """Heading of the report."""
    primary_metric: Text | None = None
    """The metric that ranks; unset: the report chooses one and says which."""
    sort: Literal["ascending", "descending"] | None = None
    """`ascending` where smaller is better; unset: told from the metric's name."""
    columns: Annotated[tuple[Column, ...], Items] = ()
    """Columns of the leaderboard; none: the metrics that are there."""
    confirm: Runs = 0
    """Runs, each with a seed of its own, that the farm gives a new best before it is called one; 0: off."""
    noise_runs: Runs = 0
    """Runs of the base configuration that the farm adds, to tell how far runs lie apart; 0: off."""


class HostOverrides(Block):
    """What holds on the hosts of one name pattern."""

    gpus: Cards | None = None
    """Cards to use, written as for --gpus, which wins over it."""
    python: Text | None = None
    """In place of `python`."""
    slots_per_gpu: Slots | None = None
    """In place of `slots_per_gpu`."""
    train_extra_env: Variables = _NO_VARIABLES
    """Added to `train_extra_env`, name by name."""


_PATHS: Final = ("script", "python", "goal", "steer")  # keys of blocks that hold one


def _below(project_dir: Path, value: Any) -> Any:
    """Make paths absolute; `conda:NAME`, a name on PATH and `~` in `python` are for each host to find."""
    if isinstance(value, Path):
        return project_dir / os.path.expanduser(value)
    if isinstance(value, str) and "/" in value and not value.startswith(("conda:", "~")):
        return str(project_dir / value)
    if isinstance(value, Executor):
        return value.below(project_dir)
    if isinstance(value, Block):
        paths = {name: getattr(value, name) for name in _PATHS if hasattr(value, name)}
        return value.model_copy(update={name: _below(project_dir, path) for name, path in paths.items()})
    if isinstance(value, tuple):
        return tuple(_below(project_dir, item) for item in value)
    if isinstance(value, Mapping):
        return {name: _below(project_dir, item) for name, item in value.items()}
    return value


class Settings(Block):
    """What is in force: orze.yaml with the command line's flags on top, every path absolute.

    Times are in seconds unless a name says otherwise. `model_fields_set` names what was given.
    """

    project_dir: ProjectPath
    """Directory of orze.yaml, else the working directory; training runs in it."""
    gpus: Cards | None = None
    """What --gpus said; for_host() adds what `hosts` says."""
    lease_place: str = ""
    """Where the file sets the lease, such as `orze.yaml:7`; empty where it does not."""
    config_file: ProjectPath | None = None
    """The file that was read; None where there is none."""

    train_script: ProjectPath = Path("train_idea.py")
    """The script that trains one idea."""
    ideas_file: ProjectPath = Path("ideas.md")
    """The file that holds the ideas."""
    base_config: ProjectPath = Path("configs/base.yaml")
    """The configuration that each idea's own is merged onto."""
    results_dir: ProjectPath = Path("results")
    """The directory of the results, shared by all hosts."""
    max_members: Members = 100
    """Ideas that one section may make by its sweep and its repeats."""

    python: Text | None = None
    """Interpreter of the scripts: a path, a name on PATH, or conda:NAME; unset: that of the daemon."""
    launch: LaunchWords | None = None
    """Command around the training command; {command}, {gpus} and {port} are filled in."""
    train_extra_args: Words = ()
    """Further arguments of the training script."""
    train_extra_env: Variables = _NO_VARIABLES
    """Further environment of the training script."""
    train_command: Text | None = None
    """In place of train_script: a line for /bin/sh that trains, run as it is."""
    code_dir: ProjectPath = Path()
    """Directory of the code: training runs in it, and ideas name commits of its git repository."""
    protected: FilePatterns = ()
    """Files that no training may change, as patterns below its directory or absolute ones."""

    timeout: Seconds = 3600.0
    """Longest time that one training may take."""
    grace: SecondsOrZero = 30.0
    """Time between SIGTERM and SIGKILL, to save a checkpoint."""
    stall_minutes: Minutes = 0.0
    """Minutes without a new line of log or progress that end a training; 0: off."""
    max_idea_failures: Times = 0
    """Failures after which an idea is skipped; 0: no limit."""
    retry: Mapping[CauseName, Times] = {}
    """Cause of failure: how many times an idea is run again after it; others: 0."""

    poll: Seconds = 30.0
    """Time between two looks around when nothing wakes the daemon earlier."""
    gpu_mem_threshold: Mebibytes = 2000
    """MiB used by others from which on a card is not free."""
    slots_per_gpu: Slots = 1
    """Attempts that share one card at a time."""
    min_disk_gb: Gigabytes = 0.0
    """GB free in the results directory below which no training starts; 0: off."""

    orphan_timeout_hours: Hours | None = None
    """Hours of silence after which another host takes an idea over; in place of lease.steal."""
    lease: Lease = Lease()
    """How long an attempt or a host may be silent."""
    doors: bool = True
    """Give each attempt a directory of its own; false for scripts that ignore --results-dir."""
    executor: Executor = Executor()
    """Where attempts run: processes of this host, windows of tmux, or another machine by ssh."""

    pre_script: ProjectPath | None = None
    """A script run with `python` before each training."""
    pre_args: ScriptWords = ()
    """Its arguments; {idea_id}, {gpu} and {results_dir} are filled in."""
    pre_timeout: Seconds = 3600.0
    """Longest time that it may take."""
    pre_command: Text | None = None
    """In place of pre_script: a line for /bin/sh, run in the directory of the training."""
    eval_script: ProjectPath | None = None
    """A script run with `python` after each successful training, on the same cards."""
    eval_args: ScriptWords = ()
    """Its arguments; {idea_id}, {gpu} and {results_dir} are filled in."""
    eval_timeout: Seconds = 3600.0
    """Longest time that it may take."""
    eval_output: OutputPath | None = None
    """The file that it writes in the idea's directory."""
    post_scripts: Annotated[tuple[PostScript, ...], Items] = ()
    """More scripts after training and evaluation, run in this order."""
    cleanup: Cleanup = Cleanup()
    """What is removed of ended ideas, never of the best."""

    report: Report = Report()
    """How results/report.md ranks and what it shows."""
    notifications: Notifications = Notifications()
    """Who is told at once of what happens in the farm, through apprise."""
    trackers: Trackers = Trackers()
    """Experiment trackers that are told of every idea that ended."""
    research: Research | None = None
    """Who proposes new ideas when the queue runs low; unset: nobody."""
    refine: Refine | None = None
    """How code is changed, run and judged, step by step; unset: not at all."""
    hosts: Mapping[Text, HostOverrides] = {}
    """Host name pattern: what holds on those hosts; a later pattern wins."""

    @field_validator("project_dir")
    @classmethod
    def _is_absolute(cls, value: Path) -> Path:
        return value.absolute()

    @field_validator(
        *("train_script", "ideas_file", "base_config", "results_dir", "python", "pre_script", "eval_script"),
        "code_dir",
        *("post_scripts", "cleanup", "hosts", "research", "executor"),
    )
    @classmethod
    def _is_below_the_project(cls, value: Any, info: ValidationInfo) -> Any:
        return _below(info.data["project_dir"], value)

    @field_validator("train_command", "pre_command")
    @classmethod
    def _stands_alone(cls, value: str | None, info: ValidationInfo) -> str | None:
        step = str(info.field_name).partition("_")[0]
        others = (f"{step}_script", "train_extra_args" if step == "train" else "pre_args")
        fields = cls.model_fields
        own = {"train_script": info.data.get("project_dir", Path()) / str(fields["train_script"].default)}
        for name in others:
            if value and info.data.get(name) != own.get(name, fields[name].default):
                raise ValueError(f"is given beside {name}; the line says all that is run: remove {name}")
        return value

    @field_validator("post_scripts")
    @classmethod
    def _are_told_apart(cls, value: tuple[PostScript, ...]) -> tuple[PostScript, ...]:
        if len({post.name for post in value}) < len(value):
            raise ValueError("must not give two scripts one name")
        return value

    @field_validator("lease")
    @classmethod
    def _lease_is_safe(cls, value: Lease, info: ValidationInfo) -> Lease:
        hours = info.data.get("orphan_timeout_hours")
        if hours:
            value = value.model_copy(update={"steal": hours * 3600})
        if problems := lease_problems(value, value.attribute_cache or 0.0, hours):
            raise ValueError("\n".join(problem.removeprefix("lease ") for problem in problems))
        return value

    @property
    def researcher(self) -> Research | None:
        """The block `research` where it has ideas proposed."""
        return self.research if self.research and self.research.mode != "none" else None

    def for_host(self, name: str) -> Self:
        """Apply the entries of `hosts` whose pattern fits, in their order.

        Args:
            name: the host's name, compared with each pattern as a shell compares file names.

        Returns:
            The settings of that host. A --gpus flag stays in force; environments are merged.
        """
        update: dict[str, Any] = {}
        variables = dict(self.train_extra_env)
        for pattern, host in self.hosts.items():
            if fnmatchcase(name, pattern):
                chosen = {"gpus": host.gpus, "python": host.python, "slots_per_gpu": host.slots_per_gpu}
                update |= {key: value for key, value in chosen.items() if value is not None}
                variables |= host.train_extra_env
        if self.gpus is not None:
            update.pop("gpus", None)
        return self.model_copy(update={**update, "train_extra_env": variables})


# Where each block of keys stands: `[]` for an item of a list, `*` for a name that the user chooses.
_BLOCKS: Final[Mapping[str, type[Block]]] = {
    "": Settings,
    "lease": Lease,
    "executor": Executor,
    "post_scripts[]": PostScript,
    "cleanup": Cleanup,
    "report": Report,
    "report.columns[]": Column,
    "notifications": Notifications,
    "trackers": Trackers,
    "trackers.mlflow": Mlflow,
    "trackers.wandb": Wandb,
    "trackers.trackio": Trackio,
    "research": Research,
    "research.price": Price,
    "research.budget": Budget,
    "refine": Refine,
    "refine.llm": Llm,
    "refine.llm.price": Price,
    "refine.budget": RefineBudget,
    "refine.guardrails": Guardrails,
    "hosts.*": HostOverrides,
}

# What stands below these keys may be a key to somebody's account: no message quotes it.
SECRET: Final = frozenset(
    {"notifications", "trackers", "research.api_base", "research.command", "refine.llm", "refine.agent"}
)

# Words that are taken as they stand in the file: YAML would make 1.1 of 1.10, and 61 of the card 1:1.
AS_WRITTEN: Final = frozenset(
    {"launch", "train_extra_args", "train_extra_env", "pre_args", "eval_args"}
    | {"post_scripts[].args", "hosts.*.train_extra_env", "hosts.*.gpus", "research.command"}
    | {"executor.gpus", "executor.options", "refine.agent"}
)


FORM: Final = Form(
    root=Settings,
    blocks=_BLOCKS,
    listed="orze.yaml.example lists them all",
    not_keys=NOT_KEYS,
    secret=SECRET,
    as_written=AS_WRITTEN,
    chosen=frozenset({"hosts"}),
)


def known_keys() -> dict[str, FieldDoc]:
    """Every key that orze.yaml may hold, as `Form.known` lists them."""
    return FORM.known()
