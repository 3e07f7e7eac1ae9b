"""What the leader runs again by itself: once for ever, with new seeds, and exactly the same configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from farm_examples import a_leader, follow, lead, section, write_ideas
from hypothesis import given
from hypothesis import strategies as st

from orze.config.schema import Report
from orze.farm.assembly import Assembly
from orze.farm.confirming import Wish, next_seed, section_of, wishes
from orze.ideas.canonical import config_key
from orze.ideas.parse import load_config, parse
from orze.report.merit import config_of, judge

BASE = {"lr": 0.1, "training": {"seed": 5}}


def runs(number: int, *values: float, key: str = "") -> Any:
    found = [(number, seed, f"idea-{number:03d}", value) for seed, value in enumerate(values)]
    return config_of(key or f"{number:016x}", found, ascending=False)


KEY = "f" * 16
ONE, TWO, THREE = runs(1, 0.9), runs(2, 0.8), runs(3, 0.95, 0.96, 0.97)


@pytest.mark.parametrize(
    ("configs", "report", "base_runs", "found"),
    [
        ([], {}, 0, []),
        ([ONE, TWO], {}, 0, []),
        ([ONE, TWO], {"confirm": 3}, 0, [Wish(ONE.key, "idea-001", 3, 2)]),
        ([ONE, TWO, THREE], {"confirm": 3}, 0, [Wish(ONE.key, "idea-001", 3, 2)]),
        ([THREE], {"confirm": 3}, 0, []),
        ([TWO, THREE, runs(4, 0.1, 0.2, 0.3)], {"confirm": 3}, 0, []),
        ([THREE], {"confirm": 5}, 0, [Wish(THREE.key, "idea-003", 5, 2)]),
        ([runs(1, 0.9, key="../../x")], {"confirm": 3}, 0, []),
        ([], {"noise_runs": 5}, 2, [Wish(KEY, "", 5, 3)]),
        ([], {"noise_runs": 5}, 5, []),
    ],
)
def test_what_is_run_again(configs: list[Any], report: dict[str, int], base_runs: int, found: list[Wish]):
    merit = judge(configs, ascending=False)
    assert wishes(merit, Report(**report), base=KEY, base_runs=base_runs) == found


def test_the_name_of_an_entry_is_made_of_the_configuration():
    assert Wish(KEY, "idea-001", 3, 2).uuid == f"confirm-{KEY}-3"
    assert Wish(KEY, "", 5, 5).uuid == f"noise-{KEY}-5"


@pytest.mark.parametrize(
    ("used", "own", "seed"), [(set(), 7, 0), ({0}, 0, 1), ({7, 9}, 7, 3), ({2}, 7, 0), ({-3}, 0, 0)]
)
def test_the_next_seeds_are_new(used: set[int], own: int, seed: int):
    assert next_seed(used, own) == seed
    assert own + seed not in used


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False)
    | st.text(max_size=30)
    | st.sampled_from(["~~~\n## idea-5: x\n~~~", "```\n# y\n", "1e-3", "- **Priority**: low"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["lr", "model", "x"]), VALUES, min_size=1), st.text(max_size=60))
def test_no_value_and_no_title_can_leave_its_place(values: dict[str, Any], title: str):
    text = section_of(title, {"Repeats": 2, "Seed": 1, "GPUs": ""}, values)
    idea = parse(text, path="ideas.md", line=1)
    assert (idea.repeats, idea.seed, idea.gpus, idea.fields) == (2, 1, 1, ())
    assert load_config(text, path="ideas.md", line=1) == values


# ---- with a leader


def farm(home: Path, *sections: str, **report: int) -> Assembly:
    members = a_leader(home, report=report)
    (home / "configs" / "base.yaml").write_text(yaml.safe_dump(BASE))
    write_ideas(members.context, *(sections or (section(1), section(2))))
    members.intake.read()
    members.context.clock.sleep(1.1)
    lead(members)
    return members


def result(members: Assembly, number: int, value: float, own: dict[str, Any], seed: int = 5) -> None:
    """An idea has ended with a configuration of its own on the base."""
    idea_id = f"idea-{number:03d}"
    merged = {**BASE, **own}
    home = Path(members.context.paths.idea(idea_id).home)
    home.mkdir(exist_ok=True)
    (home / "idea.yaml").write_text(yaml.safe_dump(merged))
    facts = {"metrics": {"acc": value}, "config": config_key(merged), "seed": seed}
    members.journal.write(members.leadership.fold.term, {"outcomes": [[idea_id, "COMPLETED", facts]]})
    follow(members)


def entries(members: Assembly) -> dict[str, str]:
    """What waits in the inbox, by its name."""
    inbox = Path(members.context.settings.ideas_file).parent / "ideas.d" / "new"
    return {path.stem: path.read_text() for path in inbox.glob("*.md")} if inbox.exists() else {}


def told(members: Assembly) -> list[str]:
    return [problem.text for problem in members.problems]


def test_a_new_best_is_entered_once_with_its_configuration_and_new_seeds(tmp_path: Path):
    first = section(1, title="Wider", Timeout="90m", GPUs="2", Hosts="gpu-*")
    members = farm(tmp_path, first, section(2, Parent="idea-001"), confirm=3)
    members.confirming.step()
    assert entries(members) == {}
    result(members, 1, 0.9, {"width": 8})
    members.confirming.step()
    members.confirming.step()
    ((uuid, text),) = entries(members).items()
    key = config_key({**BASE, "width": 8})
    idea = parse(text, path="ideas.md", line=1)
    assert uuid == f"confirm-{key}-3"
    assert (idea.repeats, idea.seed, idea.parent, idea.category) == (2, 1, "idea-001", "confirm")
    assert (idea.gpus, idea.timeout, idea.hosts, idea.after) == (2, 5400.0, ("gpu-*",), ())
    assert load_config(text, path="ideas.md", line=1) == {**BASE, "width": 8}
    assert "Wider" in idea.title
    lead(members)
    assert entries(members) == {}
    assert uuid in members.journal.fold.allocated
    other = Assembly(members.context, {})
    other.journal.follow()
    other.board.take([("idea-001", *_outcome(members, "idea-001"))])
    other.confirming.step()
    assert entries(members) == {}, "another leader does not enter it again"


def _outcome(members: Assembly, idea_id: str) -> tuple[Any, dict[str, Any]]:
    got = members.board.leaderboard.get(idea_id)
    assert got
    return got.state, {"metrics": dict(got.metrics), "config": got.config, "seed": got.seed}


def test_a_better_one_is_entered_too_and_what_its_script_reads_stays_reachable(tmp_path: Path):
    members = farm(tmp_path, section(1), section(2, Parent="idea-001"), confirm=2)
    result(members, 1, 0.9, {})
    members.confirming.step()
    result(members, 2, 0.95, {"width": 9}, seed=8)
    members.confirming.step()
    text = entries(members)[f"confirm-{config_key({**BASE, 'width': 9})}-2"]
    idea = parse(text, path="ideas.md", line=1)
    assert (idea.seed, idea.after, idea.parent) == (4, ("idea-001",), "idea-002")
    assert len(entries(members)) == 2


def test_runs_of_the_base_are_entered_and_again_when_it_changes(tmp_path: Path):
    members = farm(tmp_path, noise_runs=4)
    members.confirming.step()
    assert set(entries(members)) == {f"noise-{config_key(BASE)}-4"}
    result(members, 1, 0.9, {})
    members.confirming.step()
    (tmp_path / "configs" / "base.yaml").write_text("lr: 0.25\n")
    members.confirming.step()
    assert set(entries(members)) == {f"noise-{config_key(BASE)}-4", f"noise-{config_key({'lr': 0.25})}-4"}
    idea = parse(entries(members)[f"noise-{config_key(BASE)}-4"], path="ideas.md", line=1)
    assert (idea.repeats, idea.seed, idea.category, idea.members) == (4, 0, "noise", 4)


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("base", "the base configuration has changed since"),
        ("section", "its section is not in ideas.md any more"),
        ("yaml", "its idea.yaml cannot be read"),
        ("sweep", "its configuration cannot be written into a section"),
    ],
)
def test_what_cannot_be_run_again_is_a_problem_that_people_see(tmp_path: Path, what: str, why: str):
    members = farm(tmp_path, confirm=3)
    result(members, 1, 0.9, {"sweep": {"lr": [1, 2]}} if what == "sweep" else {"width": 8})
    if what == "base":
        (tmp_path / "configs" / "base.yaml").write_text("other: 1\n")
    elif what == "section":
        members.queue.set_idea("idea-001", None)
    elif what == "yaml":
        (tmp_path / "results" / "idea-001" / "idea.yaml").write_bytes(b"a: [\xff")
    members.confirming.step()
    assert entries(members) == {}
    assert [text for text in told(members) if text.startswith("idea-001 cannot be run again")]
    assert any(why in text for text in told(members))


def test_without_the_settings_nothing_is_entered(tmp_path: Path):
    members = farm(tmp_path)
    result(members, 1, 0.9, {})
    members.confirming.step()
    assert entries(members) == {}
    assert members.board.merit().verdict == "one run"
