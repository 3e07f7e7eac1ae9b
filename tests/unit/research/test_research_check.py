"""What a proposer replies is checked step by step, and every fault says what would be right."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from proposal_examples import BASE, SPACE, idea, study, trial

from orze.ideas.axes import Axis
from orze.ideas.canonical import config_key
from orze.research.brief import Known
from orze.research.check import check
from orze.research.proposal import FIELDS
from orze.research.section import section_of


def one(candidate, known=None, **options):
    return check([candidate], known or study([trial(1, {}, 0.5)]), **options)


def test_a_valid_idea_is_taken_with_all_that_it_says():
    known = study([trial(1, {}, 0.5)], top=(Known("idea-9.2"),))
    said = {
        "parent": "idea-001",
        "evidence": ["idea-9"],
        "expected_change": -0.1,
        "minutes": 5,
        "memory_gb": 2,
    }
    checked = one(idea(**said), known)
    assert checked.faults == []
    (proposal,) = checked.valid
    assert (proposal.parent, proposal.evidence) == ("idea-001", ("idea-9",))
    assert (proposal.expected_change, proposal.minutes, proposal.memory_gb) == (-0.1, 5.0, 2.0)
    assert proposal.runs == ((config_key({**BASE, "training": {**BASE["training"], "lr": 0.01}}), 0),)


@pytest.mark.parametrize(
    "overrides",
    [
        {"training": {"lr": 0.01}, "model": {"layers": [8]}},
        {"training.lr": 0.01, "model.layers": [8]},
        {"training": {"lr": 0.01}, "model.layers": [8]},
    ],
)
def test_keys_may_be_nested_or_dotted(overrides):
    (proposal,) = one(idea(overrides=overrides)).valid
    assert proposal.overrides == {"training": {"lr": 0.01}, "model": {"layers": [8]}}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"title": ""}, "title: it must be a text of 1 to 120"),
        ({"title": "x" * 121}, "title: it must be a text of 1 to 120"),
        ({"title": 3}, "title: it is a number, and must be a text"),
        ({"hypothesis": "x" * 601}, "hypothesis: it must be a text of 1 to 600"),
        ({"id": "idea-5"}, "there is no field 'id'"),
        ({"tittle": "a"}, "did you mean title?"),
        ({"evidence": "idea-001"}, "evidence: it must be a list"),
        ({"parent": "idea-1\n- **Priority**: critical"}, "is no id"),
        ({"overrides": []}, "overrides: it is a list, and must be an object"),
        ({"space": [1]}, "space: it is a list, and must be an object"),
        ({"minutes": -1}, "minutes: it must be a plain number above 0"),
        ({"memory_gb": True}, "memory_gb: it must be a plain number above 0"),
        ({"expected_change": "much"}, "expected_change: it must be a plain number"),
    ],
)
def test_the_form_is_held(change, said):
    checked = one(idea(**change))
    assert checked.valid == []
    assert checked.dropped == {"form": 1}
    assert any(said in fault and fault.startswith("idea 1 (") for fault in checked.faults)


def test_a_field_that_is_missing_is_named():
    assert "idea 1 (''): title is missing" in one({"overrides": {}}).faults


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"training": {"learning": 1}}, "there is no key training.learning; the nearest one is training.lr"),
        ({"optimizer": "adam"}, "there is no key optimizer"),
        ({"training": 3}, "training is a block with keys below it"),
        ({"training": {}}, "an empty or very deep block"),
        ({"training": {"lr": {"initial": 1}}}, "training.lr.initial lies below training.lr"),
        (
            {"training": {"lr": "0.1"}},
            '"0.1" is a text, and the key holds a number, such as 0.001',
        ),
        ({"training": {"lr": True}}, "is true or false, and the key holds a number"),
        ({"training": {"lr": None}}, "is null, and the key holds a number"),
        ({"training": {"lr": 1e305}}, "is no number for a configuration"),
        ({"training": {"epochs": 1 << 80}}, "more than 63 bits"),
        ({"model": {"layers": 64}}, "is a number, and the key holds a list"),
        ({"model": {"layers": [{"a": 1}]}}, "a list of blocks"),
        ({"model": {"layers": [[]] * 1001}}, "more than 1000 values"),
        ({"model": {"type": "os.system"}}, "only a single word may be a new text"),
        ({"data": {"path": "/etc/passwd"}}, "only a single word may be a new text"),
        ({"data": {"path": "a\u202eb"}}, "do not print"),
        ({"model": {"type": "a" * 1001}}, "longer than 1000 characters"),
        ({"model": {"layers": ["../x"]}}, "only a single word may be a new text"),
        ({"sweep": {"training.lr": [1, 2]}}, '"sweep.training.lr" is no key'),
        ({"training.lr": 1, "training": {"lr": 2}}, '"training.lr" is given twice'),
        ({"model.dropout": 1, "model.dropout.rate": 2}, "lies below"),
        ({"a\n## idea-9: x": 1}, "is no key of a configuration"),
        ({f"model.dropout.k{n}": n for n in range(65)}, "more than 64"),
    ],
)
def test_only_known_keys_get_values_and_only_of_their_kind(overrides, said):
    checked = one(idea(overrides=overrides))
    assert checked.valid == []
    assert checked.dropped == {"values": 1}
    assert any(said in fault for fault in checked.faults)


@pytest.mark.parametrize(
    "overrides",
    [
        {"model": {"dropout": 0.5}},
        {"model": {"dropout": {"rate": 0.1, "kind": "spatial"}}},
        {"model": {"type": "cnn"}},
        {"data": {"path": "/data/letters"}},
        {"model": {"width": 4}},
        {"training": {"seed": 4}},
    ],
)
def test_what_is_switched_off_or_ran_before_or_is_a_word_is_allowed(overrides):
    ran = trial(2, {"data": {"path": "/data/letters"}, "model": {"width": 2}}, 0.4)
    assert one(idea(overrides=overrides), study([trial(1, {}, 0.5), ran])).faults == []


def test_what_only_failed_taught_no_key():
    ran = trial(2, {"model": {"width": 2}}, None)
    assert "there is no key model.width" in one(idea(overrides={"model.width": 3}), study([ran])).faults[0]


def test_the_declared_space_is_binding_and_the_learnt_one_is_not():
    wide = idea(overrides={"training.lr": 5.0})
    assert one(wide).faults == []
    declared = one(wide, study(declared=frozenset(SPACE)))
    assert "training.lr: 5.0 is outside of research.space, which has 0.0001 to 0.1" in declared.faults[0]


def test_a_whole_float_becomes_a_whole_number_where_the_key_holds_one():
    (proposal,) = one(idea(overrides={"training.epochs": 20.0})).valid
    assert repr(proposal.overrides) == "{'training': {'epochs': 20}}"


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ({"training.lr": {"log": [1, 0.1]}}, "must be below"),
        ({"training.lr": 3}, "it must be a list of values"),
        ({"training.rate": [1, 2]}, "there is no key training.rate"),
        ({"training.lr": ["a"]}, "is a text"),
        ({"model.type": ["mlp", "x/y"]}, "only a single word"),
        (
            {"training.epochs": [10, 20], "training.momentum": {"range": [0, 1, 9]}},
            "18 configurations",
        ),
        (
            {"training.epochs": {"range": [1, 99, 99]}, "training.lr": {"log": [0.1, 1]}},
            "99 points",
        ),
        ({"training.lr": [0.1, 0.2]}, "training.lr is in overrides and in space"),
        ({f"model.dropout.k{n}": [1] for n in range(17)}, "17 axes"),
    ],
)
def test_a_space_is_held_to_the_same(space, said):
    checked = one(idea(space=space))
    assert checked.valid == []
    assert any(said in fault for fault in checked.faults)


def test_a_space_of_points_runs_each_of_them():
    checked = one(idea(space={"training.epochs": [30, 40], "model.norm": [True, False]}))
    (proposal,) = checked.valid
    assert proposal.sweeps
    assert len(set(proposal.runs)) == 4


def test_a_duplicate_names_what_it_repeats():
    same = idea(overrides={"training": {"lr": 0.001}})
    known = study([trial(1, {}, 0.5)])
    assert "idea-001 has the same configuration" in one(same, known).faults[0]
    other = one(same, study(), queued_keys={(config_key(BASE), 0)})
    assert "an idea that is queued has the same" in other.faults[0]
    assert one(same, study(queued=frozenset({(config_key(BASE), 0)}))).dropped == {"duplicate": 1}
    twice = check([idea(), idea(title="Again")], known)
    assert len(twice.valid) == 1
    assert "idea 2 ('Again'): idea 1 of this reply has the same configuration" in twice.faults[0]


def test_another_seed_is_no_duplicate():
    assert one(idea(overrides={"training": {"seed": 1}})).faults == []


@pytest.mark.parametrize(
    ("change", "said"),
    [({"memory_gb": 25}, "more than the 24.0 of the largest card"), ({"minutes": 61}, "more than the 60")],
)
def test_what_no_card_can_run_is_refused(change, said):
    checked = one(idea(**change), study(memory_mib=24 * 1024.0, timeout=3600.0))
    assert checked.dropped == {"feasible": 1}
    assert said in checked.faults[0]


def test_ids_that_nobody_knows_are_refused():
    assert "idea-777 is no idea of this farm" in one(idea(parent="idea-777")).faults[0]


def test_all_faults_are_told_at_once_and_the_good_ideas_are_kept():
    bad = idea(title="Bad", overrides={"training.lr": "x", "nothing": 1}, parent="idea-8")
    checked = check([bad, idea(), {"title": 1}], study())
    assert [proposal.title for proposal in checked.valid] == ["A larger step"]
    assert sum(fault.startswith("idea 1 ('Bad')") for fault in checked.faults) == 3
    assert any(fault.startswith("idea 3 (") for fault in checked.faults)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(
    ["training.lr", "training.epochs", "model.type", "model.layers", "model.dropout", "data.path"]
)
NASTY = st.text() | st.sampled_from(
    [
        "a\n- **Priority**: critical",
        "```\n## idea-1: x",
        "<!-- ",
        "x -->",
        "**GPUs**: 8",
        "\u202e",
        "# #",
        ": ",
    ]
)
CANDIDATES = st.dictionaries(st.sampled_from(FIELDS) | st.text(), JSON) | st.builds(
    idea,
    title=NASTY,
    family=NASTY,
    hypothesis=NASTY,
    overrides=st.dictionaries(KEYS, JSON | NASTY | st.lists(NASTY, max_size=3), max_size=3),
    space=st.none() | st.dictionaries(KEYS, st.lists(JSON | NASTY, max_size=3), max_size=2),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(CANDIDATES, max_size=4))
def test_whatever_json_comes_is_refused_or_can_be_written(candidates):
    checked = check(candidates, study([trial(1, {"data": {"path": "a ``` b: #c"}}, 0.1)]))
    assert sum(checked.dropped.values()) + len(checked.valid) == len(candidates)
    assert all(fault.isprintable() for fault in checked.faults)
    for proposal in checked.valid:
        assert section_of(proposal, "round 1, test").startswith("## idea: ")


def test_an_axis_with_points_is_declared_by_its_points():
    known = study(space={"model.type": Axis(("mlp", "a/b"))}, declared=frozenset({"model.type"}))
    assert one(idea(overrides={"model.type": "a/b"}), known).faults == []
    refused = one(idea(overrides={"model.type": "cnn"}), known)
    assert 'research.space, which has ["mlp", "a/b"]' in refused.faults[0]
