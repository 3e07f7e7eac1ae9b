"""What a keeper is told: the command of an idea, its environment, its merged configuration."""

from __future__ import annotations

import os
import shlex
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from orze.config.locate import python_command, python_environment
from orze.config.refine import Refine
from orze.config.schema import Settings
from orze.coord.idea_chain import IdeaFold
from orze.core.errors import ConfigError
from orze.core.paths import attempt_name
from orze.farm.base import BaseConfig
from orze.farm.commits import Commits
from orze.gpu.slots import Slot, environment
from orze.ideas.canonical import add_seed, config_key, seed_of
from orze.ideas.model import Idea, IdeaError
from orze.ideas.parse import deep_merge, load_config

if TYPE_CHECKING:
    from orze.attempt.spec import Checkout, Command, Go, Trained

# The keys of services that a training script has no business with; trackers such as wandb keep theirs.
LLM_KEYS = frozenset(
    {
        "ANTHROPIC_API_KEY",
        "ANYSCALE_API_KEY",
        "AZURE_API_KEY",
        "AZURE_OPENAI_API_KEY",
        "CEREBRAS_API_KEY",
        "COHERE_API_KEY",
        "DEEPSEEK_API_KEY",
        "FIREWORKS_API_KEY",
        "FIREWORKS_AI_API_KEY",
        "GEMINI_API_KEY",
        "GOOGLE_API_KEY",
        "GROQ_API_KEY",
        "LITELLM_API_KEY",
        "MISTRAL_API_KEY",
        "NVIDIA_NIM_API_KEY",
        "OPENAI_API_KEY",
        "OPENROUTER_API_KEY",
        "PERPLEXITY_API_KEY",
        "PERPLEXITYAI_API_KEY",
        "REPLICATE_API_KEY",
        "TOGETHER_API_KEY",
        "TOGETHERAI_API_KEY",
        "VOYAGE_API_KEY",
        "XAI_API_KEY",
    }
)
_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # absent where PyYAML lacks libyaml


# A farm that a git hook starts has them; in a worktree they would lead git elsewhere.
_OF_A_HOOK = frozenset({"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR"})

# These run a script with an interpreter of their own.
_RUNS_SCRIPTS = frozenset({"torchrun", "torch.distributed.run", "accelerate", "deepspeed"})


REFINE = "refine"  # the category of the steps of a session of refinement


@dataclass(frozen=True, slots=True)
class Start:
    """One launch, before it is claimed.

    Attributes:
        section: the exact text that is claimed.
        links: other ideas that its door shows -> their directory under results/.
    """

    idea: Idea
    section: str
    slots: tuple[Slot, ...]
    links: Mapping[str, str]

    @property
    def gpu(self) -> str:
        """The slots as people name them."""
        return ",".join(slot.name for slot in self.slots)


@dataclass(frozen=True, slots=True)
class Merged:
    """The configuration of one attempt.

    Attributes:
        text: idea.yaml.
        seed: what ORZE_SEED is: `training.seed` or `seed` of the configuration, else 0, and what the idea's
            Seed adds.
        key: the configuration without its seed, as `orze.ideas.canonical.config_key` names it.
        base: the text of the configuration that it was merged onto.
        checkout: the commit whose code runs; None for the code as it lies there.
    """

    text: str
    seed: int
    key: str
    base: str = ""
    checkout: Checkout | None = None

    @property
    def commit(self) -> str:
        """The whole hash of that commit; empty where there is none."""
        return self.checkout["commit"] if self.checkout else ""


class Launcher:
    """Builds what keepers are told, for one daemon.

    Args:
        settings: in force on this host.
        environ: the environment of the daemon.
    """

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        self._settings = settings
        left_out = LLM_KEYS | _OF_A_HOOK
        self._environ = {name: value for name, value in environ.items() if name not in left_out}
        self._environ |= python_environment(settings.python, environ)
        self._python = python_command(settings.python, environ)
        if settings.launch:  # what stands beside the interpreter is meant, such as its torchrun
            beside = os.path.dirname(self._python[0])
            self._environ["PATH"] = f"{beside}:{self._environ.get('PATH', os.defpath)}"
        self._code = settings.code_dir.resolve() if ".." in settings.code_dir.parts else settings.code_dir
        self._commits = Commits(self._code, environ)
        self._base = BaseConfig(
            settings.base_config, self._commits, optional=settings.train_command is not None
        )

    @property
    def python(self) -> list[str]:
        """The interpreter of the scripts."""
        return self._python

    def check(self) -> None:
        """Make sure that the files are there without which no idea can start.

        Raises:
            BadBase: the base configuration cannot be read as one.
            ConfigError: a script is not there.
        """
        self._base.read()
        missing = {key: path for key, path in self._scripts().items() if not os.path.isfile(path)}
        if missing:
            raise ConfigError([f"{key}: there is no file {path}" for key, path in missing.items()])

    def config(self, start: Start) -> Merged:
        """idea.yaml: what really runs.

        Raises:
            BadBase: the base configuration is not a mapping.
            BadCommit: the idea's commit is not there.
            IdeaError: the section's configuration cannot be loaded, or it may not have a command of its own.
        """
        idea, name = start.idea, self._settings.ideas_file.name
        if idea.command and not self._settings.train_command:
            raise IdeaError(idea.line, "it has a Command, and orze.yaml has no train_command", name)
        checkout = self._find(idea.commit) if idea.commit else None
        base = self._base.read(checkout)
        merged = deep_merge(base.values, load_config(start.section, path=name, line=idea.line))
        seed = seed_of(merged) + idea.seed
        merged = dict(add_seed(merged, idea.seed))
        text = yaml.dump(merged, Dumper=_DUMPER, sort_keys=False, allow_unicode=True)
        key = config_key(merged, commit=checkout["commit"] if checkout else "", command=idea.command)
        return Merged(str(text), seed, key, base.text, checkout)

    def train(self, start: Start, checkout: Checkout | None = None) -> Command:
        """The training command, with the places of the attempt's own files still to be filled in."""
        s = self._settings
        timeout = start.idea.timeout or s.timeout
        if s.train_command:
            command = _shell("train", start.idea.command or s.train_command, timeout)
        else:
            argv = [
                *self._python, self._place(s.train_script, checkout), "--idea-id", start.idea.id,
                "--results-dir", "{results_dir}", "--ideas-md", "{ideas_md}", "--config", "{config}",
                *s.train_extra_args,
            ]  # fmt: skip
            command = {"name": "train", "argv": argv, "timeout": timeout, "output": ""}
        if s.launch:
            command["argv"] = self._wrap(s.launch, command["argv"], start)
        return command

    def variables(self, start: Start, attempt: str, seed: int) -> dict[str, str]:
        """The environment of the attempt's commands, less the paths that its keeper adds."""
        env = {**self._environ, "PYTHONUNBUFFERED": "1", **self._settings.train_extra_env}
        env |= environment(start.slots)
        env |= {
            "ORZE_IDEA_ID": start.idea.id,
            "ORZE_ATTEMPT": attempt,
            "ORZE_SEED": str(seed),
            "REVIS_PROJECT_DIR": str(self._code),
            "REVIS_RUN_ID": attempt,
        }
        env.setdefault("WANDB_NAME", start.idea.id)
        env.setdefault("WANDB_RUN_GROUP", self._settings.project_dir.name)
        env.setdefault("WANDB_RUN_ID", f"{start.idea.id}-{attempt}")
        return env

    def go(
        self, start: Start, fold: IdeaFold, *, frame: Mapping[str, object], config: Merged, delay: float,
        facts: Mapping[str, object],
    ) -> Go:  # fmt: skip
        """The whole message for a keeper whose claim stands.

        Args:
            fold: the idea's chain, whose last record is that claim.
            frame: host and process of the keeper.
            delay: seconds that it has to wait before it starts anything.
            facts: what is known of code and packages, for environment.json.
        """
        s, checkout, refine = self._settings, config.checkout, self._refine(start)
        attempt = f"{fold.attempt}-{fold.token}"
        code = {"git_commit": config.commit, "git_dirty": False} if checkout else {}
        return {
            "attempt": fold.attempt,
            "frame": dict(frame),
            "gpu": start.gpu,
            "doors": s.doors,
            "delay": delay,
            "section": start.section,
            "config": config.text,
            "base": config.base,
            "environment": {**facts, **code, "gpu": start.gpu},
            "cwd": str(self._code),
            "checkout": checkout,
            "protected": [*s.protected, *(refine.protected if refine else ())],
            "env": self.variables(start, attempt, config.seed),
            "train": self.train(start, checkout),
            "pre": self._before(start, checkout),
            "evaluation": self._evaluation(start, checkout),
            "posts": self._posts(start, checkout),
            "trained": trained_of(fold),
            "links": dict(start.links),
            "resume_above": fold.afresh_after,
            "stall": 60 * ((refine.guardrails.stall_minutes if refine else 0) or s.stall_minutes),
            "grace": s.grace,
            "lease": {"heartbeat": s.lease.heartbeat, "fence": s.lease.fence, "kill": s.lease.kill},
            "primary": s.report.primary_metric,
            "retry": {str(cause): times for cause, times in s.retry.items()},
            "max_failures": s.max_idea_failures,
        }

    def _scripts(self) -> dict[str, os.PathLike[str]]:
        """The scripts that are run, by their keys."""
        s = self._settings
        named = {"train_script": None if s.train_command else s.train_script}
        named |= {"pre_script": s.pre_script, "eval_script": s.eval_script}
        named |= {f"post_scripts ({post.name})": post.script for post in s.post_scripts}
        return {key: path for key, path in named.items() if path}

    def _find(self, commit: str) -> Checkout:
        """Find a commit, and all that has to be asked of git, before anything is claimed."""
        for script in self._scripts().values():
            self._commits.inside(script)
        return self._commits.find(commit)

    def _refine(self, start: Start) -> Refine | None:
        """The block `refine`, for a step of its session."""
        return self._settings.refine if start.idea.category == REFINE else None

    def _before(self, start: Start, checkout: Checkout | None) -> Command | None:
        s = self._settings
        refine = self._refine(start)
        if lines := [line for line in (s.pre_command, refine.smoke if refine else None) if line]:
            return _shell("pre", in_turn(lines), s.pre_timeout)
        return self._script(start, "pre", s.pre_script, checkout, args=s.pre_args, timeout=s.pre_timeout)

    def _evaluation(self, start: Start, checkout: Checkout | None) -> Command | None:
        s = self._settings
        return self._script(
            start,
            "eval",
            s.eval_script,
            checkout,
            args=s.eval_args,
            timeout=s.eval_timeout,
            output=s.eval_output,
        )

    def _place(self, script: os.PathLike[str], checkout: Checkout | None) -> str:
        """Where a script is run from: the worktree, where that is to hold it."""
        name = self._commits.inside(script) if checkout else ""
        return f"{{code}}/{name}" if name else str(script)

    def _posts(self, start: Start, checkout: Checkout | None) -> list[Command]:
        made = (
            self._script(
                start,
                post.name,
                post.script,
                checkout,
                args=post.args,
                timeout=post.timeout,
                output=post.output,
            )
            for post in self._settings.post_scripts
        )
        return [command for command in made if command]

    def _script(
        self,
        start: Start,
        name: str,
        script: os.PathLike[str] | None,
        checkout: Checkout | None,
        *,
        args: Sequence[str],
        timeout: float,
        output: str | None = None,
    ) -> Command | None:
        if script is None:
            return None
        filled = [arg.replace("{idea_id}", start.idea.id).replace("{gpu}", start.gpu) for arg in args]
        return {
            "name": name,
            "argv": [*self._python, self._place(script, checkout), *filled],
            "timeout": timeout,
            "output": output or "",
        }

    def _wrap(self, launch: Sequence[str], command: list[str], start: Start) -> list[str]:
        """Put the wrapper's words around the command, itself given whole or as one quoted word."""
        brings = not _RUNS_SCRIPTS.isdisjoint(map(os.path.basename, launch)) and "--no-python" not in launch
        if brings and not self._settings.train_command:
            command = command[len(self._python) :]  # such a launcher brings its own interpreter
        gpus, port = str(len(start.slots)), str(_free_port()) if any("{port}" in w for w in launch) else ""
        wrapped: list[str] = []
        for word in launch:
            if word == "{command}":
                wrapped += command
            else:
                filled = word.replace("{gpus}", gpus).replace("{port}", port)
                wrapped.append(filled.replace("{command}", shlex.join(command)))
        return wrapped


def in_turn(lines: Sequence[str]) -> str:
    """One line for the shell that runs several, each if those before it succeeded."""
    return lines[0] if len(lines) == 1 else " &&\n".join(f"(\n{line}\n)" for line in lines)


def trained_of(fold: IdeaFold) -> Trained | None:
    """What an earlier attempt trained and the next one only evaluates; None where it has to train."""
    if fold.trained is None:
        return None
    record = fold.trained
    return {
        "directory": str(record.get("directory") or attempt_name(record.get("attempt", 0), record["token"])),
        "metrics": dict(record.get("metrics", {})),
        "seconds": float(record.get("seconds", 0.0)),
    }


def _shell(name: str, line: str, timeout: float) -> Command:
    """A line of a shell, of which no place of the attempt's own is filled in: `{` means something there."""
    return {
        "name": name,
        "argv": ["/bin/sh", "-c", line],
        "timeout": timeout,
        "output": "",
        "as_it_is": True,
    }


def _free_port() -> int:
    """A port that nobody listens on at this moment, for a launcher that wants one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
