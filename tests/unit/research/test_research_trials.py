"""Configurations of what ended are read once each; a study is what a round can read."""

import json
import os

import pytest
from proposal_examples import study

from orze.core.files import RealFiles
from orze.core.paths import FarmPaths
from orze.ideas.axes import Axis
from orze.ideas.canonical import config_key
from orze.research.opening import open_study
from orze.research.proposers import ProposerError
from orze.research.trials import CACHE, read_trials


class Counting(RealFiles):
    """The real files, and the names of those that were read."""

    def __init__(self):
        self.names = []

    def read(self, path, limit):
        self.names.append(path.rpartition("/results/")[2])
        return super().read(path, limit)


@pytest.fixture
def farm(tmp_path):
    paths = FarmPaths(str(tmp_path / "results"))

    def run(idea_id, text):
        os.makedirs(paths.idea(idea_id).home, exist_ok=True)
        with open(
            paths.idea(idea_id).projection("idea.yaml"), "w", encoding="utf-8", errors="surrogateescape"
        ) as out:
            out.write(text)

    return paths, run


def read(paths, ended, files=None):
    return read_trials(files or RealFiles(), paths, ended)


def test_trials_come_in_their_order_with_value_and_key(farm):
    paths, run = farm
    run("idea-1", "training: {lr: 0.1, seed: 3}\n")
    run("idea-2.1", "training: {lr: 0.2}\n")
    trials, unread = read(paths, [("idea-1", 0.5, "ok"), ("idea-2.1", None, "failed")])
    assert unread == 0
    assert [(one.idea_id, one.value, one.failed, one.seed) for one in trials] == [
        ("idea-1", 0.5, False, 3),
        ("idea-2.1", None, True, 0),
    ]
    assert trials[0].key == config_key({"training": {"lr": 0.1, "seed": 9}})


def test_only_what_is_new_is_read(farm):
    paths, run = farm
    run("idea-1", "a: 1\n")
    run("idea-2", "a: 2\n")
    read(paths, [("idea-1", 0.5, "ok")])
    files = Counting()
    trials, _ = read(paths, [("idea-1", 0.5, "ok"), ("idea-2", 0.4, "ok")], files)
    assert [one.config for one in trials] == [{"a": 1}, {"a": 2}]
    assert sorted(files.names) == [".orze/research/trials.json", "idea-2/idea.yaml"]


def test_an_idea_that_ran_again_is_read_again(farm):
    paths, run = farm
    run("idea-1", "a: 1\n")
    read(paths, [("idea-1", None, "failed")])
    run("idea-1", "a: 2\n")
    ((one,), _) = read(paths, [("idea-1", 0.1, "ok")])
    assert (one.config, one.failed) == ({"a": 2}, False)


ENTRY = {"size": 1, "idea_id": "idea-1", "config": {}, "value": 0.5, "failed": False, "key": "", "seed": 0}
DAMAGED = [{"config": 3}, {"idea_id": ["idea-1"]}, {"value": "x"}, {"failed": 0}, {"seed": 0.5}, {"more": 1}]


@pytest.mark.parametrize(
    "content",
    [
        *("", "{", "[]", "3", '{"form": 2}', '{"form": 1}', '{"form": 1, "trials": [3]}', "[" * 100_000),
        *(json.dumps({"form": 1, "trials": [ENTRY | change]}) for change in DAMAGED),
    ],
)
def test_a_damaged_cache_is_made_anew(farm, content):
    paths, run = farm
    run("idea-1", "a: 1\n")
    ended = [("idea-1", 0.5, "ok")]
    read(paths, ended)
    good = RealFiles().read(paths.research_file(CACHE), 1 << 20)
    RealFiles().replace(paths.research_file(CACHE), content.encode())
    assert [one.config for one in read(paths, ended)[0]] == [{"a": 1}]
    assert RealFiles().read(paths.research_file(CACHE), 1 << 20) == good


@pytest.mark.parametrize(
    "text", ["- a\n", "a: [\n", "a: !!python/none\n", "\udc80", "a: " + "x" * (300 << 10)]
)
def test_what_cannot_be_read_is_counted(farm, text):
    paths, run = farm
    run("idea-1", text)
    run("idea-2", "a: 1\n")
    trials, unread = read(paths, [("idea-1", 1.0, "ok"), ("idea-2", 1.0, "ok"), ("idea-3", 1.0, "ok")])
    assert [one.idea_id for one in trials] == ["idea-2"]
    assert unread == 2


def test_a_link_in_the_place_of_a_configuration_is_not_followed(farm, tmp_path):
    paths, run = farm
    run("idea-1", "a: 1\n")
    os.makedirs(paths.idea("idea-2").home)
    os.symlink(paths.idea("idea-1").projection("idea.yaml"), paths.idea("idea-2").projection("idea.yaml"))
    assert read(paths, [("idea-2", 1.0, "ok")]) == ((), 1)


def opened(tmp_path, *, base="training: {lr: 0.1, epochs: 3}\n", **research):
    (tmp_path / "base.yaml").write_text(base, encoding="utf-8")
    told = {"base_config": str(tmp_path / "base.yaml"), "results": str(tmp_path / "results"), "round": 3}
    return open_study(study(research=research, **told).brief, RealFiles())


def test_a_study_has_base_space_goal_and_the_persons_word(tmp_path):
    (tmp_path / "GOAL.md").write_text("Reach 0.99.\n", encoding="utf-8")
    found = opened(tmp_path, goal=str(tmp_path / "GOAL.md"), steer=str(tmp_path / "steer.md"))
    assert found.base == {"training": {"lr": 0.1, "epochs": 3}}
    assert set(found.space) == {"training.lr", "training.epochs"}
    assert (found.goal, found.steer, found.declared) == ("Reach 0.99.\n", "", frozenset())


def test_a_long_goal_is_cut(tmp_path):
    (tmp_path / "GOAL.md").write_text("x" * 100_000, encoding="utf-8")
    assert len(opened(tmp_path, goal=str(tmp_path / "GOAL.md")).goal) == 8192


def test_the_declared_space_takes_the_place_of_the_learnt_one(tmp_path):
    found = opened(tmp_path, space={"training.lr": {"log": ("1e-4", 0.1)}})
    assert found.space == {"training.lr": Axis((), 1e-4, 0.1, log=True)}
    assert found.declared == {"training.lr"}


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ({"training.lr": {"log": [1, 0]}}, "research.space: training.lr: log: the first number"),
        (
            {"training.lr": ["1e-4"]},
            'research.space: training.lr: "1e-4" is a text, and the key holds a number',
        ),
        ({"training": [1]}, "research.space: training is a block"),
        ({"a": [1], "a.b": [1]}, "research.space: a is a block, in which a.b lies"),
        ({"training.lr.first": [1]}, "research.space: training.lr.first lies below training.lr"),
    ],
)
def test_a_space_that_cannot_be_is_told(tmp_path, space, said):
    with pytest.raises(ProposerError) as fault:
        opened(tmp_path, space=space)
    assert said in str(fault.value)


@pytest.mark.parametrize("base", ["- a\n", "a: [\n"])
def test_a_base_that_cannot_be_read_is_told_with_its_place(tmp_path, base):
    with pytest.raises(ProposerError, match=r"base\.yaml:"):
        opened(tmp_path, base=base)


def test_ten_thousand_trials_are_told_apart_by_what_fits(farm):
    paths, run = farm
    run("idea-1", "a: 1\n")
    ended = [(f"idea-{n}", 1.0, "ok") for n in range(2, 10_003)] + [("idea-1", 1.0, "ok")]
    trials, unread = read(paths, ended)
    assert ([one.idea_id for one in trials], unread) == (["idea-1"], 10_001)
    assert json.loads(RealFiles().read(paths.research_file(CACHE), 1 << 20))["trials"][0]["config"] == {
        "a": 1
    }
