"""Two arms by turns: the one that improves more is asked more; numbers are tuned in spaces of families."""

import json
import os
import random
import sys
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from proposal_examples import idea, study, trial

from orze.core.paths import FarmPaths
from orze.ideas.axes import parse_axis
from orze.ideas.merge import renumber
from orze.research.bandit import choose
from orze.research.brief import Arm, Known
from orze.research.check import check
from orze.research.proposal import Proposal, read_reply
from orze.research.propose_hybrid import TUNING
from orze.research.proposers import ProposerError, make_proposer
from orze.research.section import section_of

REPLY = json.dumps({"ideas": [idea()]})
ASK = {"command": [sys.executable, "-c", f"print({REPLY!r})"]}
COUNTS = st.tuples(st.integers(0, 50), st.integers(0, 50))
AXES = {"training.lr": {"log": [1e-3, 1e-1]}}


def share(arms, name, draws=400):
    rng = random.Random(1)
    return Counter(choose(arms, rng) for _ in range(draws))[name] / draws


@pytest.mark.parametrize(
    ("arms", "low", "high"),
    [
        ({"a": (0, 0), "b": (0, 0)}, 0.4, 0.6),
        ({"a": (20, 10), "b": (20, 1)}, 0.95, 1.0),
        ({"a": (3, 1), "b": (3, 0)}, 0.6, 0.95),
        ({"a": (50, 0), "b": (0, 0)}, 0.0, 0.1),
        ({"a": (5, 0), "b": (0, 0)}, 0.05, 0.35),
        ({"a": (2, 7), "b": (-1, -1)}, 0.5, 1.0),
        ({"a": (0, 0)}, 1.0, 1.0),
    ],
)
def test_the_share_of_an_arm_is_earned_by_its_improvements(arms, low, high):
    assert low <= share(arms, "a") <= high


@settings(max_examples=30)
@given(st.dictionaries(st.text(max_size=3), COUNTS, min_size=1, max_size=4), st.integers(0, 99))
def test_the_choice_depends_on_the_state_of_chance_and_on_no_order(arms, seed):
    turned = dict(reversed(arms.items()))
    assert choose(arms, random.Random(seed)) == choose(turned, random.Random(seed))


def rounds(known, options, count=60):
    proposers = [
        make_proposer("hybrid", replace(known, rng=random.Random(number)), options) for number in range(count)
    ]
    return Counter(proposer.repairs for proposer in proposers)


def test_while_nothing_has_a_result_the_program_is_asked():
    assert rounds(study([trial(1, {}, None)]), ASK) == {True: 60}


def test_the_arm_with_the_improvements_is_asked_more_often():
    arms = (Arm("command", left=20, run=20, improved=0), Arm(TUNING, left=20, run=20, improved=6))
    assert rounds(study([trial(1, {}, 0.5)], arms=arms), ASK)[False] > 50


def test_the_reply_tells_which_arm_it_came_from():
    known = study([trial(1, {}, 0.5)])
    seen = {}
    for number in range(10):
        now = replace(known, rng=random.Random(number))
        proposer = make_proposer("hybrid", now, ASK)
        reply = proposer.propose(now, 1, [], "")
        seen[reply.arm] = (proposer.repairs, reply.cost.usd, len(read_reply(reply.text)[0]))
    assert seen == {"command": (True, None, 1), TUNING: (False, 0.0, 1)}


def test_a_command_that_cannot_work_is_not_hidden():
    known = study()
    with pytest.raises(ProposerError, match="status 1"):
        make_proposer("hybrid", known, {"command": ["false"]}).propose(known, 1, [], "")


def keep_section(results, idea_id, axes):
    """What an attempt keeps of an idea that was proposed with a space."""
    space = {key: parse_axis(axis, continuous=True) for key, axis in axes.items()}
    proposal = Proposal("T", "schedule", "h", {"model": {"type": "cnn"}}, space=space, axes=axes)
    place = f"{FarmPaths(results).idea(idea_id).home}/latest/input"
    os.makedirs(place)
    with open(f"{place}/ideas.md", "w", encoding="utf-8") as out:
        out.write(renumber(section_of(proposal, "test"), idea_id))


def tune(known):
    """What the tuning arm proposes."""
    arms = (Arm("command", run=10_000), Arm(TUNING, run=100, improved=99))
    now = replace(known, brief=replace(known.brief, arms=arms))
    reply = make_proposer("hybrid", now, ASK).propose(now, 3, [], "")
    assert reply.arm == TUNING
    candidates, faults = read_reply(reply.text)
    checked = check(candidates, now)
    assert (faults, checked.faults) == ([], [])
    return checked.valid


def test_numbers_are_tuned_in_the_space_of_a_family_and_the_space_goes_on(tmp_path):
    results = str(tmp_path)
    keep_section(results, "idea-002", AXES)
    trials = [trial(1, {}, 0.5), trial(2, {"model": {"type": "cnn"}, "training": {"lr": 0.01}}, 0.3)]
    families = (Known("idea-002", family="schedule"),)
    found = [p for n in range(16) for p in tune(study(trials, results=results, families=families, round=n))]
    ours = [proposal for proposal in found if proposal.family == "schedule"]
    assert len(found) > len(ours) > 6
    for proposal in ours:
        assert proposal.overrides["model"] == {"type": "cnn"}
        assert set(proposal.overrides["training"]) == {"lr"}
        assert (proposal.parent, proposal.axes, proposal.sweeps) == ("idea-002", AXES, False)
        assert "Space" in section_of(proposal, "test")


@pytest.mark.parametrize(
    "axes", [{}, {"no.such.key": {"log": [1, 2]}}, {"training.lr": {"log": [2, 1]}}, {"training.lr": "x"}]
)
def test_without_a_sound_space_the_search_space_of_the_farm_is_searched_around_the_best(tmp_path, axes):
    place = f"{FarmPaths(str(tmp_path)).idea('idea-002').home}/latest/input"
    os.makedirs(place)
    with open(f"{place}/ideas.md", "w", encoding="utf-8") as out:
        out.write(f"## idea-002: T\n- **Space**: {json.dumps(axes)}\n")
    trials = [trial(1, {}, 0.5), trial(2, {"model": {"type": "cnn"}}, 0.3)]
    known = study(trials, results=str(tmp_path), families=(Known("idea-002", family="schedule"),))
    proposals = tune(known)
    assert {proposal.family for proposal in proposals} == {"tuning"}
    assert all(proposal.overrides["model"] == {"type": "cnn"} for proposal in proposals)


def test_a_family_whose_space_is_gone_through_gives_way(tmp_path):
    keep_section(str(tmp_path), "idea-002", {"training.epochs": {"range": [1, 2]}})
    trials = [trial(n, {"model": {"type": "cnn"}, "training": {"epochs": n}}, 0.3) for n in (1, 2)]
    known = study(trials, results=str(tmp_path), families=(Known("idea-002", family="schedule"),))
    for number in range(6):
        assert {proposal.family for proposal in tune(replace(known, rng=random.Random(number)))} == {"tuning"}
