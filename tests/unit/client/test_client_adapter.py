"""The adapter that `orze init` writes: configuration to flags, and what a script measured to metrics.json."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from orze.client import adapter
from orze.client.script import inspect
from orze.client.setup_texts import adapter as written

TEMPLATE = Path(adapter.__file__).read_text()
JSON_HEAD = "import argparse, json, os, signal, sys, time\np = argparse.ArgumentParser()\n"


class Trial:
    """One attempt of a script behind its adapter."""

    def __init__(self, home: Path, script: str, config: object, *, extra: tuple[str, ...] = (), **env: str):
        self.out = home / "results" / "idea-001"
        (home / "my train.py").write_text(script)
        (home / "train_idea.py").write_text(written(TEMPLATE, "my train.py", inspect(script)))
        (home / "idea.yaml").write_text(config if isinstance(config, str) else yaml.safe_dump(config))
        flags = [
            "--idea-id",
            "idea-001",
            "--results-dir",
            str(home / "results"),
            "--ideas-md",
            "i",
            "--config",
            "c",
        ]
        self.process = subprocess.Popen(
            [sys.executable, "-u", "train_idea.py", *flags, *extra],
            cwd=home,
            env={**os.environ, "ORZE_IDEA_CONFIG": str(home / "idea.yaml"), **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def end(self) -> int:
        self.output, self.errors = self.process.communicate(timeout=30)
        return self.process.returncode

    @property
    def metrics(self) -> dict:
        return json.loads((self.out / "metrics.json").read_text())


@pytest.fixture
def tell(monkeypatch):
    """The words for one value of a key `k` with a flag of this kind."""

    def of(kind: str, value: object, flag: str = "--k") -> list[str]:
        monkeypatch.setattr(adapter, "FLAGS", {"k": (flag, kind)})
        return adapter.words_of({"k": value})

    return of


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        ("value", 0.1, ["--k=0.1"]),
        ("value", "-x", ["--k=-x"]),
        ("value", None, []),
        ("value", [1, 2], ["--k=[1, 2]"]),
        ("value", {"a": 1}, ['--k={"a": 1}']),
        ("value", False, ["--k=False"]),
        ("values", [1, 2], ["--k", "1", "2"]),
        ("values", 3, ["--k", "3"]),
        ("append", ["a", "b"], ["--k=a", "--k=b"]),
        ("set", True, ["--k"]),
        ("set", False, []),
        ("unset", False, ["--k"]),
        ("unset", True, []),
        ("switch", True, ["--k"]),
        ("switch", False, ["--no-k"]),
        ("count", 2, ["--k", "--k"]),
        ("truth", True, ["--k=True"]),
        ("truth", False, ["--k="]),
        ("place", "data", ["data"]),
        ("place", "-1", ["--", "-1"]),
    ],
)
def test_a_value_becomes_the_words_that_argparse_reads(tell, kind, value, words):
    assert tell(kind, value) == words


def test_a_short_flag_has_its_value_as_a_word_of_its_own(tell):
    assert tell("value", 3, flag="-k") == ["-k", "3"]


def test_a_flag_that_is_only_set_takes_nothing_but_true_and_false(tell):
    with pytest.raises(adapter.ProblemError, match="must be true or false, not 'yes'"):
        tell("set", "yes")


def test_an_unknown_key_is_an_error_unless_the_script_may_take_it(tell, monkeypatch):
    tell("value", 1)
    with pytest.raises(adapter.ProblemError, match=r"unknown key 'kk'; the keys of train\.py are: k"):
        adapter.words_of({"kk": 1})
    monkeypatch.setattr(adapter, "TAKES_MORE", True)
    assert adapter.words_of({"kk": 1}) == ["--kk=1"]


EVERYTHING = f"""{JSON_HEAD}
p.add_argument("data")
p.add_argument("--lr", type=float)
p.add_argument("--layers", nargs="+", type=int)
p.add_argument("--tag", action="append")
p.add_argument("--amp", action="store_true")
p.add_argument("--no-clip", dest="clip", action="store_false")
p.add_argument("--flip", action=argparse.BooleanOptionalAction)
p.add_argument("--old", type=bool)
p.add_argument("-v", action="count", default=0)
p.add_argument("--save-dir", default="out")
print(json.dumps(vars(p.parse_args())))
"""


def test_argparse_reads_back_what_the_configuration_says(tmp_path: Path):
    config = {
        "data": "-a b", "lr": -0.5, "layers": [8, 4], "tag": ["x y", "--z"], "amp": True, "clip": False,
        "flip": False, "old": False, "v": 2,
    }  # fmt: skip
    trial = Trial(tmp_path, EVERYTHING, config)
    assert trial.end() == 0, trial.errors
    assert trial.metrics == {**config, "save_dir": str(trial.out), "status": "COMPLETED"}


def test_the_last_line_that_is_an_object_counts_and_each_is_shown_live(tmp_path: Path):
    lines = ["hello", '{"loss": 2}', "[1]", "{broken", '{"loss": 1}']
    script = f"print({chr(10).join(lines)!r}, end='')"
    trial = Trial(tmp_path, script, "{}")
    assert trial.end() == 0, trial.errors
    assert trial.metrics == {"loss": 1, "status": "COMPLETED"}
    assert (trial.out / "progress.jsonl").read_text() == '{"loss": 2}\n{"loss": 1}\n'
    assert "hello" in trial.output


def test_a_metrics_file_of_the_script_goes_before_what_it_printed(tmp_path: Path):
    script = f"""{JSON_HEAD}p.add_argument("--output-dir")
open(p.parse_args().output_dir + "/results.json", "w").write('{{"acc": 0.5, "status": "done"}}')
print('{{"loss": 1}}')"""
    trial = Trial(tmp_path, script, "{}")
    assert trial.end() == 0, trial.errors
    assert trial.metrics == {"acc": 0.5, "status": "COMPLETED"}


def test_a_script_that_calls_itself_failed_is_believed(tmp_path: Path):
    trial = Trial(tmp_path, 'print(\'{"status": "FAILED", "error": "no data"}\')', "{}")
    trial.end()
    assert trial.metrics == {"status": "FAILED", "error": "no data"}


@pytest.mark.parametrize(
    ("script", "config", "said"),
    [
        ("print('done')", "{}", "told no metrics: let it print them"),
        ("import os\nopen('results/idea-001/metrics.json', 'w').write('nan')", "{}", "holds no JSON object"),
        ("print(1)", "[1]", "must be a mapping"),
        ("print(1)", "{lr: 1}", "unknown key 'lr'; the keys of my train.py are: none: it takes no flags"),
        ("print(1)", "{a: [", "ParserError"),
    ],
)
def test_what_is_no_result_is_told_in_metrics_json(tmp_path: Path, script, config, said):
    trial = Trial(tmp_path, script, config)
    assert trial.end() == 1
    assert trial.metrics["status"] == "FAILED"
    assert said in trial.metrics["error"]


def test_a_script_that_fails_ends_the_adapter_the_same_way_and_leaves_the_verdict_to_the_farm(tmp_path: Path):
    failed = Trial(tmp_path, "print('{\"loss\": 1}')\nraise SystemExit(7)", "{}")
    assert failed.end() == 7
    killed = Trial(tmp_path, "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)", "{}")
    assert killed.end() == -signal.SIGSEGV
    assert not (killed.out / "metrics.json").exists()


def test_a_stop_is_passed_on_and_the_script_may_save(tmp_path: Path):
    script = f"""{JSON_HEAD}
def save(*_):
    print("saved", flush=True)
    sys.exit(143)
signal.signal(signal.SIGTERM, save)
print("ready", flush=True)
while True: signal.pause()"""
    trial = Trial(tmp_path, script, "{}")
    assert trial.process.stdout is not None
    while "ready" not in trial.process.stdout.readline():
        assert trial.process.poll() is None
    trial.process.send_signal(signal.SIGTERM)
    assert trial.end() == 143
    assert "saved" in trial.output


def test_further_arguments_reach_the_script_and_only_the_first_rank_reports(tmp_path: Path):
    script = f"{JSON_HEAD}p.add_argument('--workers', type=int)\nprint(json.dumps(vars(p.parse_args())))"
    trial = Trial(tmp_path, script, "{}", extra=("--workers", "4"))
    assert trial.end() == 0, trial.errors
    assert trial.metrics["workers"] == 4
    (trial.out / "metrics.json").unlink()
    assert Trial(tmp_path, script, "{}", RANK="1").end() == 0
    assert not (trial.out / "metrics.json").exists()


def test_output_without_line_ends_is_passed_on_and_not_kept(tmp_path: Path):
    trial = Trial(
        tmp_path,
        "import sys\nfor _ in range(64): sys.stdout.write('x' * 65536)\nprint('\\n{\"a\": 1}')",
        "{}",
    )
    assert trial.end() == 0, trial.errors
    assert len(trial.output) > 1 << 22
    assert trial.metrics["a"] == 1


def test_the_adapter_is_python_whatever_the_names_are(tmp_path: Path):
    script = 'p.add_argument("--quote\\"s", default=1)\np.add_argument("--é\\n", default=2)\np.parse_args()'
    text = written(TEMPLATE, 'a "b"\\n.py', inspect(script))
    assert inspect(text).runs == ('a "b"\\n.py',)
    assert '"quote\\"s": ("--quote\\"s", "value")' in text
