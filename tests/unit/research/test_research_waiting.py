"""What waits in ideas.md or in the inbox is known by its configuration, so that nobody proposes it again."""

from orze.core.files import RealFiles
from orze.ideas.canonical import config_key
from orze.ideas.inbox import enqueue, inbox_of
from orze.research.waiting import waiting_runs

BASE = {"training": {"lr": 0.1, "seed": 5}}
IDEAS = """# Ideas

## idea-1: One
```yaml
training: {lr: 0.2}
```

## idea-2: Two rates, two seeds each
- **Repeats**: 2
- **Seed**: 10
```yaml
sweep: {training.lr: [0.3, 0.4]}
```

## idea-3: It cannot be accepted
- **GPUs**: many
"""


def run(lr, seed=5):
    return config_key({"training": {"lr": lr}}), seed


def runs(tmp_path, ids, text=IDEAS):
    (tmp_path / "ideas.md").write_text(text, encoding="utf-8")
    return waiting_runs(RealFiles(), str(tmp_path / "ideas.md"), ids, BASE)


def test_an_idea_is_known_by_what_it_changes_in_the_base(tmp_path):
    assert runs(tmp_path, ["idea-1", "idea-99"]) == {run(0.2)}


def test_of_a_group_every_member_is_known(tmp_path):
    assert runs(tmp_path, ["idea-2.3"]) == {run(0.3, 15), run(0.3, 16), run(0.4, 15), run(0.4, 16)}


def test_what_cannot_be_accepted_runs_nothing(tmp_path):
    assert runs(tmp_path, ["idea-3"]) == set()


def test_what_is_in_the_inbox_waits_as_well(tmp_path):
    inbox = inbox_of(str(tmp_path / "ideas.md"))
    enqueue(RealFiles(), inbox, "## idea: A\n\n```yaml\ntraining: {lr: 0.7}\n```\n")
    enqueue(RealFiles(), inbox, "no section")
    assert runs(tmp_path, []) == {run(0.7)}


def test_without_ideas_md_nothing_waits(tmp_path):
    assert waiting_runs(RealFiles(), str(tmp_path / "ideas.md"), ["idea-1"], BASE) == set()
