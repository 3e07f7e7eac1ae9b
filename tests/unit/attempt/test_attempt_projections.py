"""What people read at the top of an idea's directory is what the chain says."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from orze.attempt.projections import claim_of, directory_of, metrics_of, project
from orze.coord.chain import Chain
from orze.coord.idea_chain import IdeaFold
from orze.coord.record import new_record
from orze.core.clock import ManualClock
from orze.core.files import RealFiles, make_dirs
from orze.core.paths import FarmPaths
from tests.fakes.shares import Died, Killed, Share

FILES = ("idea.yaml", "train_output.log", "environment.json")


class Played:
    """An idea whose records the test appends."""

    def __init__(self, results: Path) -> None:
        self.idea = FarmPaths(str(results)).idea("idea-001")
        self.home = Path(self.idea.home)
        make_dirs(RealFiles(), self.idea.chain)
        self.token = ""
        self.number = 0

    def read(self, files: Any = None) -> tuple[Chain, IdeaFold]:
        fold = IdeaFold()
        chain = Chain(files or RealFiles(), self.idea.chain, fold, ManualClock())
        chain.refresh()
        return chain, fold

    def append(self, kind: str, **content: object) -> None:
        record = new_record(kind, token=self.token, attempt=self.number, **content)
        chain, _ = self.read()
        assert chain.append(lambda: record)
        assert chain.stands(record["nonce"])

    def claim(self, *files: str) -> Path:
        """A new attempt whose directory holds these files besides the usual ones."""
        self.number += 1
        self.token = f"token{self.number}"
        self.append("CLAIM", host="gpu-a", pid=7, gpu="0", at=5.0, section="text")
        directory = self.home / "attempts" / f"{self.number}-{self.token}"
        (directory / "input").mkdir(parents=True)
        for name in (*FILES, *files):
            (directory / name).write_text(f"{name} of {self.number}\n")
        return directory

    def end(self, kind: str, **content: object) -> None:
        self.append(kind, directory=f"{self.number}-{self.token}", **content)

    def show(self, files: Any = None) -> None:
        project(files or RealFiles(), self.idea, *self.read())

    def seen(self) -> dict[str, str]:
        """What a person sees: each file's text, each link's target."""
        found = {}
        for name in sorted(set(os.listdir(self.home)) - {".chain", "attempts"}):
            path = self.home / name
            found[name] = os.readlink(path) if path.is_symlink() else path.read_text()
        return found


@pytest.fixture
def played(tmp_path: Path) -> Played:
    return Played(tmp_path / "results")


def test_nothing_is_shown_of_an_idea_that_was_never_claimed(played: Played):
    chain = Chain(RealFiles(), played.idea.chain, fold := IdeaFold(), ManualClock())
    project(RealFiles(), played.idea, chain, fold)
    assert played.seen() == {}


def test_a_running_attempt_is_shown_by_its_claim_and_links_to_its_files(played: Played):
    played.claim()
    played.show()
    name = "attempts/1-token1"
    assert played.seen() == {
        "claim.json": json.dumps(
            {"claimed_by": "gpu-a", "claimed_at": 5.0, "pid": 7, "gpu": "0", "attempt": 1}, indent=2
        )
        + "\n",
        "idea.yaml": "idea.yaml of 1\n",
        "latest": name,
        **{entry: f"{name}/{entry}" for entry in ("train_output.log", "environment.json")},
        "progress.jsonl": f"{name}/progress.jsonl",  # may come yet
    }


def test_the_log_of_an_evaluation_is_shown_while_it_runs(played: Played):
    played.claim()
    played.end("TRAINED", metrics={"val_loss": 1.0})
    played.show()
    assert played.seen()["eval_output.log"] == "attempts/1-token1/eval_output.log"


def test_a_settled_attempt_is_shown_with_its_metrics_and_what_it_left(played: Played):
    played.claim("eval_report.json", "weights.pt", "metrics.json", "claim.json", "latest")
    played.end("DONE", metrics={"val_loss": 0.5})
    played.show()
    seen = played.seen()
    name = "attempts/1-token1"
    assert json.loads(seen["metrics.json"]) == {"status": "COMPLETED", "val_loss": 0.5}
    assert json.loads(seen["claim.json"])["attempt"] == 1
    assert (seen["eval_report.json"], seen["weights.pt"]) == (
        f"{name}/eval_report.json",
        f"{name}/weights.pt",
    )
    assert seen["latest"] == name
    assert "progress.jsonl" not in seen
    assert "input" not in seen


def test_a_failure_is_shown_with_cause_and_error(played: Played):
    played.claim()
    played.end("FAIL", cause="timeout", error="too long", final=True)
    played.show()
    assert json.loads(played.seen()["metrics.json"]) == {
        "status": "FAILED",
        "cause": "timeout",
        "error": "too long",
    }


def test_nothing_of_an_earlier_attempt_is_shown_beside_a_later_one(played: Played):
    played.claim("eval_report.json", "progress.jsonl")
    played.end("FAIL", cause="script", error="x", final=False)
    played.show()
    played.claim()
    played.end("DONE", metrics={})
    played.show()
    assert played.seen() == {
        "claim.json": played.seen()["claim.json"],
        "metrics.json": '{\n  "status": "COMPLETED"\n}\n',
        "idea.yaml": "idea.yaml of 2\n",
        "latest": "attempts/2-token2",
        "train_output.log": "attempts/2-token2/train_output.log",
        "environment.json": "attempts/2-token2/environment.json",
    }


def test_files_and_links_of_the_user_s_are_left_alone(played: Played):
    played.home.joinpath("weights.pt").write_text("mine")
    played.home.joinpath("data").symlink_to("/somewhere/else")
    played.claim("weights.pt")
    played.end("DONE", metrics={})
    played.show()
    assert (played.seen()["weights.pt"], played.seen()["data"]) == ("mine", "/somewhere/else")


def test_an_attempt_that_evaluated_another_s_training_shows_that_one_s_files(played: Played):
    played.claim("weights.pt")
    played.end("TRAINED", metrics={"val_loss": 1.0})
    played.append("REQUEUE")
    played.claim()
    played.show()
    assert played.seen()["latest"] == "attempts/1-token1"
    assert json.loads(played.seen()["claim.json"])["attempt"] == 2
    played.append("DONE", directory="1-token1", metrics={"val_loss": 1.0})
    played.show()
    assert played.seen()["weights.pt"] == "attempts/1-token1/weights.pt"


def test_what_a_script_left_in_masses_is_read_through_latest(played: Played):
    directory = played.claim("x" * 240, "z" * 200)
    for number in range(1100):
        (directory / f"sample-{number:04d}").touch()
    played.end("DONE", metrics={})
    played.show()
    seen = played.seen()
    assert 900 < sum(name.startswith("sample") for name in seen) <= 1000
    assert "x" * 240 not in seen
    assert seen["latest"] == "attempts/1-token1"


def test_projections_are_written_again_when_the_chain_moves_meanwhile(played: Played):
    played.claim()

    class Moving(Share):
        """A DONE is appended while the claim is being shown."""

        def around(self, name, arguments, call):
            if name == "symlink" and not played.read()[1].end:
                played.end("DONE", metrics={"val_loss": 2.0})
            return call()

    chain, fold = played.read()
    project(Moving(RealFiles()), played.idea, chain, fold)
    assert json.loads(played.seen()["metrics.json"])["val_loss"] == 2.0


def test_a_second_showing_changes_no_file(played: Played):
    played.claim()
    played.end("DONE", metrics={"val_loss": 0.5})
    played.show()
    before = {name: os.lstat(played.home / name).st_ino for name in played.seen()}
    played.show()
    assert {name: os.lstat(played.home / name).st_ino for name in played.seen()} == before


def test_after_a_crash_between_any_two_writes_a_second_showing_makes_all_whole(tmp_path: Path):
    counted = Share(RealFiles())
    whole = scene(tmp_path / "whole")
    whole.show(counted)
    assert len(counted.calls) > 10
    for at in range(len(counted.calls)):
        played = scene(tmp_path / f"killed-{at}")
        with pytest.raises(Died):
            played.show(Killed(RealFiles(), at))
        assert all(text for text in played.seen().values())  # no reader sees half of a file
        played.show()
        seen = {name: text for name, text in played.seen().items() if not name.startswith(".tmp-")}
        assert seen == whole.seen()


def scene(results: Path) -> Played:
    """A second attempt has just settled; the first one is shown."""
    played = Played(results)
    played.claim("old.json")
    played.end("FAIL", cause="script", error="x", final=False)
    played.show()
    played.claim("new.json")
    played.end("DONE", metrics={"val_loss": 0.5})
    return played


def test_the_pure_parts():
    fold = IdeaFold()
    assert directory_of(fold) == "0-"
    assert metrics_of({"kind": "DONE", "metrics": ["not", "an", "object"]}) == {"status": "COMPLETED"}
    assert metrics_of({"kind": "DONE", "metrics": {"a": 1}}) == {"status": "COMPLETED", "a": 1}
    assert claim_of({}) == dict.fromkeys(("claimed_by", "claimed_at", "pid", "gpu", "attempt"))
