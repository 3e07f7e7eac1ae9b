"""`revis init`: what is found in a project, what is asked, what is written."""

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orze.client.setup import write
from orze.refine.detect import Found, detect, ssh_hosts, written_metrics
from orze.refine.settings import load_revis
from orze.refine.setup import NAMES, Question, check, filled, next_question, plan

TRAIN = """\
import json, os
metrics = {"val_loss": 0.5, "accuracy": 0.9}
metrics["epochs"] = 3
with open(os.path.join(os.environ.get("REVIS_OUTPUT_DIR", "."), "eval.json"), "w") as f:
    json.dump(metrics, f)
"""
ENVIRON = {"PATH": "/nowhere", "HOME": "/nowhere"}


def look(project: Path, **environ: str) -> Found:
    return detect(project, {**ENVIRON, **environ}, NAMES)


@pytest.mark.parametrize(
    ("source", "keys"),
    [
        (TRAIN, ["val_loss", "accuracy", "epochs"]),
        ('json.dump({"a": 1, "b": 2}, open("eval.json", "w"))', ["a", "b"]),
        ('Path("eval.json").write_text(json.dumps({"metrics": {"a": 1}, "seed": 2}))', ["a"]),
        ('m = dict(a=1)\njson.dump(m, open("eval.json", "w"))', ["a"]),
        ('m: dict = {"a": 1}\njson.dump(m, open("eval.json", "w"))', ["a"]),
        ('json.dump(evaluate(), open("eval.json", "w"))', []),
        ('json.dump({"a": 1}, open("other.json", "w"))', []),
        ('json.dump({name: 1, 3: 4, "": 5, "x\\n": 6}, open("eval.json", "w"))', []),
        ("eval.json (", []),
        ('json.dump(); json.dump(*a); m[0] = 1; "eval.json"', []),
        ('json.dump({"epoch": 1, "loss": 2}, f)  # eval.json', ["epoch", "loss"]),
        ('json.dumps({"epoch": 1, "train_loss": 2})\njson.dump({"loss": 3}, f)  # eval.json', ["loss"]),
        ('json.dumps({"epoch": 1, "train_loss": 2})\njson.dump(measure(), f)  # eval.json', []),
    ],
)
def test_the_metrics_are_the_keys_that_a_source_writes_to_eval_json(source, keys):
    assert written_metrics(source) == keys


@given(st.text(max_size=60))
def test_no_source_is_too_odd_to_be_read(text):
    assert written_metrics(f"{text}\n# eval.json") == written_metrics(f"{text}\n# eval.json")
    assert written_metrics(f"x = {text!r}\njson.dump({{{text!r}: 1}}, f)  # eval.json") in ([], [text])


def test_a_project_is_read_and_nothing_of_it_is_run(tmp_path):
    (tmp_path / ".git").mkdir()
    (tmp_path / "train.py").write_text(TRAIN + "\nraise SystemExit('it was run')\n")
    (tmp_path / "Makefile").write_text("train: data\n\tpython train.py\ntrained := 1\n")
    found = look(tmp_path)
    assert found.commands == ("python train.py", "make train")
    assert (found.metrics, found.writes, found.git, found.tmux) == (
        ("val_loss", "accuracy", "epochs"),
        True,
        True,
        False,
    )
    assert found.present == frozenset()


def test_an_empty_directory_has_nothing(tmp_path):
    found = look(tmp_path)
    assert (found.commands, found.metrics, found.writes, found.hosts) == ((), (), False, ())


@pytest.mark.parametrize(
    ("readme", "commands"),
    [
        ("```\n$ python train.py --epochs 3  # long\n```", ("python train.py --epochs 3", "python train.py")),
        ("    python3 train.py\n", ("python train.py",)),
        (
            "torchrun --nproc-per-node 2 train.py\n",
            ("torchrun --nproc-per-node 2 train.py", "python train.py"),
        ),
        ("python train.py --data <DIR>\n", ("python train.py",)),
        ("python train.py --data ...\n", ("python train.py",)),
        ("python train.py | tee log\n", ("python train.py",)),
        ("python evaluate.py\npython other.py\n", ("python train.py",)),
        ("Use `python train.py`.\n", ("python train.py",)),
    ],
)
def test_the_commands_of_a_readme_come_first_where_they_leave_nothing_open(tmp_path, readme, commands):
    (tmp_path / "train.py").write_text("")
    (tmp_path / "evaluate.py").write_text("")
    (tmp_path / "README.md").write_text(readme)
    assert look(tmp_path).commands == commands


def test_an_environment_in_the_project_is_named_where_a_copy_of_the_commit_finds_it(tmp_path):
    (tmp_path / "train.py").write_text("")
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/python").write_text("")
    assert look(tmp_path).commands == ('"$REVIS_PROJECT_DIR"/.venv/bin/python train.py',)


def test_files_that_are_no_text_too_large_or_of_others_are_left_alone(tmp_path):
    (tmp_path / "a.py").write_bytes(b"\xff\x00eval.json")
    (tmp_path / "b.py").write_text("#" * (2 << 20) + "\n" + TRAIN)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv/c.py").write_text(TRAIN)
    (tmp_path / "loop.py").symlink_to("loop.py")
    assert look(tmp_path).metrics == ()


def test_the_hosts_of_ssh_are_those_without_patterns(tmp_path):
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/config").write_text(
        "Host gpu-1 gpu-2  # two\n  HostName 10.0.0.1\n\nHOST=a\nhost *.lab !b\nMatch host c\nHost gpu-1\n"
    )
    assert look(tmp_path, HOME=str(tmp_path)).hosts == ("gpu-1", "gpu-2", "a")
    assert ssh_hosts(tmp_path / "none") == ()


# ---- questions


def test_the_questions_come_one_by_one_and_later_ones_depend_on_the_answers():
    found = Found(Path("/p"), ("python t.py",), ("lr", "accuracy"), hosts=("gpu",))
    answers: dict[str, str] = {}
    asked = []
    while question := next_question(found, answers):
        asked.append((question.key, question.default))
        answers[question.key] = "gpu" if question.key == "place" else question.default
    assert asked == [
        ("train", "python t.py"),
        ("metric", "accuracy"),
        ("minimize", "no"),
        ("duration", "2h"),
        ("place", "local"),
        ("work_dir", "/tmp/revis/p"),
    ]


def test_the_defaults_of_an_empty_project_are_those_of_the_document():
    assert filled(Found(Path("/p")), {}) == {
        "train": "python train.py",
        "metric": "val_loss",
        "minimize": "yes",
        "duration": "2h",
    }


@pytest.mark.parametrize(
    ("key", "choices", "answer", "taken"),
    [
        ("train", (), "  make train ", "make train"),
        ("train", (), "", "default"),
        ("train", (), "a\nb", None),
        ("train", (), "x" * 5000, None),
        ("minimize", ("yes", "no"), "Y", "yes"),
        ("minimize", ("yes", "no"), "maybe", None),
        ("duration", (), "1h30m", "1h30m"),
        ("duration", (), "soon", None),
        ("work_dir", (), "project", None),
        ("place", ("local", "gpu"), "gpu", "gpu"),
        ("place", ("local", "gpu"), "cpu", None),
    ],
)
def test_an_answer_is_taken_or_refused_in_one_sentence(key, choices, answer, taken):
    question = Question(key, "?", "default", choices)
    if taken is None:
        with pytest.raises(ValueError, match=r"^write [^\n]+$"):
            check(question, answer)
    else:
        assert check(question, answer) == taken


@pytest.mark.parametrize(
    ("train", "metric"),
    [
        ("python train.py", "val_loss"),
        ("sh -c 'echo \"${HOME}\" @METRIC@ # no'", "a: b"),
        ("\\t\"'", "é✓"),
        ("yes", "1e5"),
    ],
)
def test_whatever_was_answered_is_what_the_file_says(tmp_path, train, metric):
    found = Found(tmp_path, git=True)
    answers = filled(found, {"train": train, "metric": metric, "place": "gpu-1", "work_dir": "/srv/p"})
    files = plan(found, answers, {"OPENAI_API_KEY": "k"}).files
    assert all(done for _, done in write(tmp_path, files))
    revis = load_revis(None, tmp_path, {"OPENAI_API_KEY": "k"})
    assert (revis.entry.train, revis.metrics.primary) == (train, metric)
    assert (revis.executor.host, revis.executor.work_dir) == ("gpu-1", "/srv/p")
    assert (tmp_path / ".revis/.gitignore").read_text() == "*\n"


def test_nothing_that_is_there_is_written_over(tmp_path):
    (tmp_path / "revis.yaml").write_text("mine")
    found = look(tmp_path)
    assert found.present == {"revis.yaml"}
    done = [made for _, made in write(tmp_path, plan(found, filled(found, {}), {}).files)]
    assert done == [False, True]
    assert (tmp_path / "revis.yaml").read_text() == "mine"


def test_what_a_person_should_know_is_told(tmp_path):
    notes = "\n".join(plan(look(tmp_path), filled(look(tmp_path), {}), {}).notes)
    for part in ("no git repository", "no training script", "eval.json", "no key of a provider", "tmux"):
        assert part in notes
    (tmp_path / ".git").mkdir()
    (tmp_path / "train.py").write_text(TRAIN)
    found = look(tmp_path)
    answers = filled(found, {"metric": "f1", "place": "gpu", "work_dir": "/srv/p"})
    (note,) = plan(found, answers, {"OPENAI_API_KEY": "k"}).notes
    assert note == "the sources write val_loss, accuracy, epochs to eval.json, not f1"


def test_the_lines_that_are_shown_to_write_metrics_are_python(tmp_path):
    (note,) = (n for n in plan(look(tmp_path), filled(look(tmp_path), {}), {}).notes if "eval.json;" in n)
    lines = "\n".join(line.removeprefix("    ") for line in note.splitlines()[1:])
    assert written_metrics(lines) == ["val_loss"]
    assert ast.parse(lines)
