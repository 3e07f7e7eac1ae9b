"""What a keeper is told: the command of an idea, its environment, its merged configuration."""

from __future__ import annotations

import os
import shlex
import socket
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from orze.config.locate import python_command, python_environment
from orze.config.schema import Settings
from orze.coord.idea_chain import IdeaFold
from orze.core.errors import ConfigError, OrzeError
from orze.core.paths import attempt_name
from orze.gpu.slots import Slot, environment
from orze.ideas.canonical import add_seed, config_key, seed_of
from orze.ideas.model import Idea, IdeaError
from orze.ideas.parse import deep_merge, load_config
from orze.ideas.values import MAX_BYTES, load_values

if TYPE_CHECKING:
    from orze.attempt.spec import Command, Go, Trained

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


# These run a script with an interpreter of their own.
_RUNS_SCRIPTS = frozenset({"torchrun", "torch.distributed.run", "accelerate", "deepspeed"})


class BadBase(OrzeError):
    """The base configuration cannot be read as one."""


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
    """

    text: str
    seed: int
    key: str


class Launcher:
    """Builds what keepers are told, for one daemon.

    Args:
        settings: in force on this host.
        environ: the environment of the daemon.
    """

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        self._settings = settings
        self._environ = {name: value for name, value in environ.items() if name not in LLM_KEYS}
        self._environ |= python_environment(settings.python, environ)
        self._python = python_command(settings.python, environ)
        if settings.launch:  # what stands beside the interpreter is meant, such as its torchrun
            beside = os.path.dirname(self._python[0])
            self._environ["PATH"] = f"{beside}:{self._environ.get('PATH', os.defpath)}"
        self._base: tuple[tuple[int, int], str, dict[str, Any]] | None = None

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
        self._read_base()
        s = self._settings
        scripts = {"train_script": s.train_script, "pre_script": s.pre_script, "eval_script": s.eval_script}
        scripts |= {f"post_scripts ({post.name})": post.script for post in s.post_scripts}
        missing = {key: path for key, path in scripts.items() if path and not os.path.isfile(path)}
        if missing:
            raise ConfigError([f"{key}: there is no file {path}" for key, path in missing.items()])

    def config(self, start: Start) -> Merged:
        """idea.yaml: what really runs.

        Raises:
            BadBase: the base configuration is not a mapping.
            IdeaError: the section's configuration cannot be loaded.
        """
        own = load_config(start.section, path=self._settings.ideas_file.name, line=start.idea.line)
        merged = deep_merge(self._read_base()[2], own)
        seed = seed_of(merged) + start.idea.seed
        merged = dict(add_seed(merged, start.idea.seed))
        text = yaml.dump(merged, Dumper=_DUMPER, sort_keys=False, allow_unicode=True)
        return Merged(str(text), seed, config_key(merged))

    def train(self, start: Start) -> Command:
        """The training command, with the places of the attempt's own files still to be filled in."""
        s = self._settings
        argv = [
            *self._python, str(s.train_script), "--idea-id", start.idea.id, "--results-dir", "{results_dir}",
            "--ideas-md", "{ideas_md}", "--config", "{config}", *s.train_extra_args,
        ]  # fmt: skip
        if s.launch:
            argv = self._wrap(s.launch, argv, start)
        return {"name": "train", "argv": argv, "timeout": start.idea.timeout or s.timeout, "output": ""}

    def variables(self, start: Start, attempt: str, seed: int) -> dict[str, str]:
        """The environment of the attempt's commands, less the paths that its keeper adds."""
        env = {**self._environ, "PYTHONUNBUFFERED": "1", **self._settings.train_extra_env}
        env |= environment(start.slots)
        env |= {
            "ORZE_IDEA_ID": start.idea.id,
            "ORZE_ATTEMPT": attempt,
            "ORZE_SEED": str(seed),
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
        s = self._settings
        attempt = f"{fold.attempt}-{fold.token}"
        train = self.train(start)
        return {
            "attempt": fold.attempt,
            "frame": dict(frame),
            "gpu": start.gpu,
            "doors": s.doors,
            "delay": delay,
            "section": start.section,
            "config": config.text,
            "base": self._read_base()[1],
            "environment": {**facts, "gpu": start.gpu},
            "cwd": str(s.project_dir),
            "env": self.variables(start, attempt, config.seed),
            "train": train,
            "pre": self._script(start, "pre", s.pre_script, args=s.pre_args, timeout=s.pre_timeout),
            "evaluation": self._script(
                start,
                "eval",
                s.eval_script,
                args=s.eval_args,
                timeout=s.eval_timeout,
                output=s.eval_output,
            ),
            "posts": self._posts(start),
            "trained": trained_of(fold),
            "links": dict(start.links),
            "resume_above": fold.afresh_after,
            "stall": s.stall_minutes * 60,
            "grace": s.grace,
            "lease": {"heartbeat": s.lease.heartbeat, "fence": s.lease.fence, "kill": s.lease.kill},
            "primary": s.report.primary_metric,
            "retry": {str(cause): times for cause, times in s.retry.items()},
            "max_failures": s.max_idea_failures,
        }

    def _posts(self, start: Start) -> list[Command]:
        made = (
            self._script(
                start, post.name, post.script, args=post.args, timeout=post.timeout, output=post.output
            )
            for post in self._settings.post_scripts
        )
        return [command for command in made if command]

    def _script(
        self,
        start: Start,
        name: str,
        script: os.PathLike[str] | None,
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
            "argv": [*self._python, str(script), *filled],
            "timeout": timeout,
            "output": output or "",
        }

    def _wrap(self, launch: Sequence[str], command: list[str], start: Start) -> list[str]:
        """Put the wrapper's words around the command, itself given whole or as one quoted word."""
        if not _RUNS_SCRIPTS.isdisjoint(map(os.path.basename, launch)) and "--no-python" not in launch:
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

    def _read_base(self) -> tuple[tuple[int, int], str, dict[str, Any]]:
        path = self._settings.base_config
        try:
            status = os.stat(path)
        except OSError as error:
            raise BadBase(f"{path}: {error.strerror}; every idea starts from this configuration") from None
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_BYTES:
            raise BadBase(f"{path}: must be a file of at most {MAX_BYTES >> 10} KiB")
        mark = (status.st_mtime_ns, status.st_size)
        if self._base is None or self._base[0] != mark:
            self._base = (mark, *_load_base(str(path)))
        return self._base


def _load_base(path: str) -> tuple[str, dict[str, Any]]:
    """The text of the base configuration, and its values within the bounds of an idea's own."""
    try:
        with open(path, "rb") as stream:
            text = stream.read(MAX_BYTES).decode()
        return text, load_values(text, path=path, line=1)
    except UnicodeDecodeError:
        raise BadBase(f"{path}: not UTF-8 text; save the file as UTF-8") from None
    except OSError as error:
        raise BadBase(f"{path}: {error.strerror}; every idea starts from this configuration") from None
    except IdeaError as error:
        raise BadBase(str(error)) from None


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


def _free_port() -> int:
    """A port that nobody listens on at this moment, for a launcher that wants one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
