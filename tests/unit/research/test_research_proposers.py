"""Proposers without a key say only what is valid and new, learn from results, and tell when they are done."""

import json
import math

import pytest
from proposal_examples import best, idea, search, study, trial

from orze.ideas.axes import Axis
from orze.research.brief import Known
from orze.research.proposal import read_reply
from orze.research.propose_optuna import Tpe
from orze.research.proposers import ProposerError, make_proposer
from tests.needs import needs

OPTUNA = pytest.param("optuna", marks=needs("optuna"))
ALONE = ("random", "hillclimb", OPTUNA)
PLANE = {"a": {"x": 4.0, "y": 0.5}, "b": [1, {"c": "/d"}]}
PLANE_SPACE = {"a.x": Axis((), -5.0, 5.0), "a.y": Axis((), 1e-4, 1.0, True)}
SMALL = {
    "training.epochs": Axis((10, 20, 30)),
    "model.norm": Axis((True, False)),
    "model.layers": Axis(([1], [2])),
}


def ask(name, known, count=1):
    proposer = make_proposer(name, known, {})
    assert proposer.repairs is False
    return json.loads(proposer.propose(known, count, [], "").text)["ideas"]


def bowl(config):
    """Smallest at x = 1.3 and log10(y) = -2.2, and broken at the edge."""
    x, y = config["a"]["x"], config["a"]["y"]
    return None if x < -4.5 else (x - 1.3) ** 2 / 10 + (math.log10(y) + 2.2) ** 2


def plane(seed, **changes):
    return study(base=PLANE, space=PLANE_SPACE, declared=frozenset(PLANE_SPACE), round=seed, **changes)


@pytest.mark.parametrize("name", ["hillclimb", OPTUNA])
def test_it_finds_the_bottom_of_a_bowl_better_than_chance(name):
    chance = sorted(best(search("random", plane(seed), bowl, 30)) for seed in range(3))
    found = sorted(best(search(name, plane(seed), bowl, 30)) for seed in range(3))
    assert found[1] < chance[1] / 2
    assert found[-1] < chance[-1]


def test_larger_is_better_where_the_metric_says_so():
    trials = search("hillclimb", plane(3, ascending=False), lambda config: config["a"]["x"], 24)
    assert max(one.value for one in trials) > 4.9


@pytest.mark.parametrize("name", ALONE)
def test_a_small_space_is_gone_through_once_and_then_it_says_so(name):
    trials = search(name, study(space=SMALL), lambda config: float(config["training"]["epochs"]), 12)
    assert len({one.key for one in trials}) == len(trials)
    known = study(trials, space=SMALL)
    with pytest.raises(ProposerError, match="every configuration of the search space was tried"):
        while True:
            more = ask(name, known, 2)
            trials += [trial(len(trials) + 1, {}, 0.0) for _ in more]
            known = study([*trials, *ran(more, len(trials))], space=SMALL)
            trials = list(known.trials)


def ran(ideas, number):
    """The ideas of a reply as trials."""
    changes = [{"model": {}, "training": {}, "data": {}} for _ in ideas]
    for change, one in zip(changes, ideas, strict=True):
        for key, value in one["overrides"].items():
            block, _, name = key.partition(".")
            change[block][name] = value
    return [trial(number + at, change, 1.0) for at, change in enumerate(changes, 1)]


@pytest.mark.parametrize("name", ALONE)
def test_what_is_queued_is_not_proposed(name):
    whole = study(space={"model.norm": Axis((True, False))})
    (left,) = ran([{"overrides": {"model.norm": False}}], 0)
    known = study(space=whole.space, queued=frozenset({(left.key, 0)}))
    assert [one["overrides"] for one in ask(name, known, 4)] == [{}]


@pytest.mark.parametrize("name", ["hillclimb", OPTUNA])
def test_the_first_idea_is_the_base_itself(name):
    first, second = ask(name, study(), 2)
    assert (first["title"], first["overrides"]) == ("The base configuration", {})
    assert second["overrides"] != {}


@pytest.mark.parametrize("name", ALONE)
def test_the_same_round_says_the_same(name):
    known = [study([trial(1, {}, 0.5)], round=7) for _ in range(2)]
    assert ask(name, known[0], 4) == ask(name, known[1], 4)


@pytest.mark.parametrize("name", ALONE)
def test_without_anything_to_vary_it_says_what_to_do(name):
    with pytest.raises(ProposerError, match=r"give research\.space"):
        ask(name, study(base={"model": "mlp"}, space={}))


def test_hillclimb_changes_one_thing_of_the_best():
    trials = [trial(1, {}, 0.5), trial(2, {"training": {"lr": 0.02}, "model": {"type": "cnn"}}, 0.1)]
    for one in ask("hillclimb", study(trials), 2):
        assert one["parent"] == "idea-002"
        assert one["overrides"]["model.type"] == "cnn"
        moved = {key for key in ("training.lr", "training.epochs") if key in one["overrides"]}
        assert moved == {"training.lr", "training.epochs"} or one["overrides"]["training.lr"] != 0.02


def test_of_several_ideas_of_hillclimb_each_moves_another_key():
    titles = [one["title"].split()[0] for one in ask("hillclimb", study([trial(1, {}, 0.5)]), 2)]
    assert sorted(titles) == ["epochs", "lr"]


def test_hillclimb_builds_on_what_the_farm_ranks_first_not_on_one_lucky_run():
    trials = [trial(1, {"training": {"lr": 0.01}}, 0.2), trial(2, {"training": {"lr": 0.05}}, 0.1)]
    (one,) = ask("hillclimb", study(trials, top=(Known("idea-001"), Known("idea-002"))))
    assert one["parent"] == "idea-001"


def test_hillclimb_leaves_another_kind_of_model_alone_that_lacks_what_is_searched():
    space = {"training.lr": Axis((), 1e-4, 1.0, True), "model.depth": Axis((1, 2, 3))}
    deep = {"model": {"depth": 2}, "training": {"lr": 0.01}}
    trials = [trial(1, deep, 0.2), trial(2, {"model": {"type": "knn"}}, 0.1)]
    (one,) = ask("hillclimb", study(trials, space=space, declared=frozenset(space)))
    assert (one["parent"], one["overrides"].get("model.type")) == ("idea-001", None)


def test_hillclimb_steps_shrink_while_nothing_gets_better():
    def spread(stale):
        trials = [trial(1, {}, 0.1), *(trial(n, {"training": {"seed": n}}, 0.5) for n in range(2, stale + 2))]
        space = {"training.lr": Axis((), 1e-5, 1e-1, True)}
        rounds = [ask("hillclimb", study(trials, space=space, round=n), 1) for n in range(1, 30)]
        return sum(abs(math.log10(ideas[0]["overrides"]["training.lr"] / 0.001)) for ideas in rounds)

    assert spread(0) > 1.5 * spread(1) > 2 * spread(2)
    assert spread(4) == pytest.approx(spread(0), rel=0.5)


def test_seeds_of_the_best_are_left_to_the_base():
    (one,) = ask("hillclimb", study([trial(1, {"training": {"seed": 5}, "data": {"seed": 3}}, 0.1)]))
    assert not [key for key in one["overrides"] if "seed" in key]


def test_what_the_best_has_outside_of_the_declared_space_is_not_proposed():
    space = {"training.lr": Axis((), 1e-3, 1e-2, True), "training.epochs": Axis((), 10.0, 40.0, False, True)}
    trials = [trial(1, {"training": {"lr": 0.5, "epochs": 400}}, 0.1)]
    for one in ask("hillclimb", study(trials, space=space, declared=frozenset(space)), 4):
        assert 1e-3 <= one["overrides"].get("training.lr", 0.001) <= 1e-2
        assert 10 <= one["overrides"].get("training.epochs", 30) <= 40


def test_a_list_moves_to_a_neighbour_when_it_is_of_numbers():
    space = {"training.epochs": Axis(tuple(range(10, 101, 10)))}
    rounds = [ask("hillclimb", study([trial(1, {}, 0.1)], space=space, round=n)) for n in range(20)]
    moved = [ideas[0]["overrides"]["training.epochs"] for ideas in rounds]
    assert all(abs(value - 30) <= 50 for value in moved)
    assert {20, 40} <= set(moved)


@needs("optuna")
def test_tpe_learns_nothing_from_failures_but_that_they_were_tried():
    failed = [trial(n, {"training": {"lr": n / 1000}}, None) for n in range(2, 20)]
    known = study([trial(1, {}, 0.5), *failed])
    tpe = Tpe(known, known.space)
    assert tpe.told == 1
    states = [one.state.name for one in tpe.told_trials()]
    assert states == ["COMPLETE"] + ["FAIL"] * 18


@needs("optuna")
def test_tpe_takes_lists_texts_and_whole_numbers():
    space = {
        "model.layers": Axis(([8], [16, 16])),
        "model.type": Axis(("mlp", "cnn")),
        "training.epochs": Axis((), 1.0, 1000.0, True, True),
    }
    trials = search("optuna", study(space=space), lambda config: float(config["training"]["epochs"]), 14)
    assert all(type(one.config["training"]["epochs"]) is int for one in trials)
    assert {str(one.config["model"]["layers"]) for one in trials} <= {"[8]", "[16, 16]", "[64, 64]"}


@needs("optuna")
def test_tpe_is_quiet(capfd):
    ask("optuna", study([trial(1, {}, 0.5)]), 3)
    assert capfd.readouterr() == ("", "")


def test_the_ideas_read_as_a_reply():
    known = study([trial(1, {}, 0.5)])
    candidates, faults = read_reply(make_proposer("random", known, {}).propose(known, 3, [], "").text)
    assert faults == []
    assert set(idea()) <= set(candidates[0])
