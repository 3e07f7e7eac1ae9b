"""How the tests of the demo start train_idea.py: as the farm does, in a process of its own."""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

SCRIPT = Path(__file__).parents[3] / "train_idea.py"


@dataclass(frozen=True)
class Attempt:
    """One attempt's directory, and the command and environment that it is started with."""

    output: Path
    command: list[str]
    environment: dict[str, str]

    def run(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command, env=self.environment, capture_output=True, text=True, timeout=100, check=False
        )

    def start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(self.command, env=self.environment, stdout=subprocess.PIPE, text=True)

    @property
    def metrics(self) -> dict[str, Any]:
        loaded = json.loads((self.output / "metrics.json").read_text())
        assert isinstance(loaded, dict)
        return loaded

    @property
    def progress(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.output / "progress.jsonl").read_text().splitlines()]


@pytest.fixture
def attempt(tmp_path: Path) -> Callable[..., Attempt]:
    """Makes attempt `number` of a merged configuration; keywords are variables of its environment."""

    def make(config: Any, number: int = 1, **environment: str) -> Attempt:
        merged = tmp_path / f"merged-{number}.yaml"
        merged.write_text(yaml.safe_dump(config))
        results = tmp_path / f"attempt-{number}"
        arguments = ["--idea-id", "idea-001", "--results-dir", str(results)]
        arguments += ["--ideas-md", str(tmp_path / "ideas.md"), "--config", str(tmp_path / "base.yaml")]
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("ORZE_")}
        own = {"ORZE_IDEA_CONFIG": str(merged), "PYTHONDONTWRITEBYTECODE": "1", **environment}
        command = [sys.executable, str(SCRIPT), *arguments]
        return Attempt(results / "idea-001", command, {**inherited, **own})

    return make


@pytest.fixture(scope="session")
def train_idea() -> ModuleType:
    """The script as a module, for its pure functions; no compiled copy is left beside it."""
    spec = importlib.util.spec_from_loader("train_idea", loader=None, origin=str(SCRIPT))
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    exec(compile(SCRIPT.read_text(), SCRIPT, "exec"), module.__dict__)
    return module
