"""ideas.md while the farm runs: appended, edited, broken, corrected; and the inbox of programs."""

from __future__ import annotations

from farmhouse import idea

from orze.core.files import RealFiles
from orze.ideas.inbox import enqueue, inbox_of


def test_a_bad_section_is_quarantined_with_its_line_and_runs_once_it_is_corrected_while_the_others_run(farm):
    bad = idea(2).replace("number: 2", "number: [2")
    farm.write(idea(1), bad, idea(3, Priority="urgent"), idea(4), idea(4, title="Another"), idea(5))
    daemon = farm.start()
    farm.wait_states(COMPLETED=3, QUARANTINED=2)
    told = {row["where"]: row for row in farm.status()["quarantined"]}
    lines = farm.ideas.read_text().splitlines()
    yaml_line = lines.index("number: [2") + 1
    priority_line = lines.index("- **Priority**: urgent") + 1
    double_line = lines.index("## idea-004: Another") + 1
    places = {int(where.removeprefix("ideas.md:")): row["reason"] for where, row in told.items()}
    assert priority_line in places
    assert "'urgent' is none of critical, high, medium and low" in places[priority_line]
    assert double_line in places
    assert any(abs(line - yaml_line) <= 1 for line in places)
    assert f"ideas.md:{priority_line}" in farm.report()
    assert daemon.output.count(f"ideas.md:{priority_line}: Priority: 'urgent' is none of") == 1
    assert {"idea-001", "idea-004", "idea-005"} == {event["idea"] for event in farm.starts()}
    farm.write(idea(1), idea(2), idea(3, Priority="high"), idea(4), idea(5))
    farm.wait_states(COMPLETED=5)
    assert farm.status()["quarantined"] == []


def test_an_unclosed_fence_is_told_and_what_is_appended_behind_it_runs_once_it_is_closed(farm):
    farm.write(idea(1), last="## idea-002: Half\n\n```yaml\nnumber: 2\n")
    farm.start()
    farm.wait(lambda: farm.status().get("quarantined"), "the quarantine")
    assert "never closed" in farm.status()["quarantined"][0]["reason"]
    assert not farm.starts("idea-002")
    farm.append("```\n\n", idea(3))
    farm.wait_states(COMPLETED=3)


def test_an_appended_idea_runs_and_an_edit_before_the_claim_runs_as_edited_but_not_one_behind_it(farm):
    first = idea(1, "wait('go')\nmetrics(text=open(home + '/input/ideas.md').read())")
    farm.write(first, idea(2, "metrics(version='old')"))
    farm.start()
    farm.wait(farm.starts, "the start")
    farm.append(idea(3))
    farm.write(first.replace("Number 1", "Edited late"), idea(2, "metrics(version='new')"), idea(3))
    farm.wait_states(TRAINING=1, QUEUED=2)
    farm.wait(lambda: "Edited late" in str(farm.status()["active"]), "the edit")
    farm.flag("go")
    farm.wait_states(COMPLETED=3)
    assert "Number 1" in farm.last("idea-001")["metrics"]["text"]
    assert farm.records("idea-001")[0]["section"].startswith("## idea-001: Number 1")
    assert farm.last("idea-002")["metrics"]["version"] == "new"
    assert len(farm.starts()) == 3


def test_entries_of_the_inbox_get_fresh_ids_in_ideas_md_and_run(make_farm):
    farm = make_farm(poll=1)
    (farm.results / "idea-041").mkdir(parents=True)
    farm.ideas.write_text("# Ideas\n\n" + idea(7))
    inbox = inbox_of(str(farm.ideas))
    for number, uuid in enumerate(("a", "b")):
        enqueue(RealFiles(), inbox, idea(number, title=f"From {uuid}"), uuid=uuid)
    enqueue(RealFiles(), inbox, "no heading", uuid="c")
    farm.start()
    farm.wait_states(COMPLETED=3)
    text = farm.ideas.read_text()
    assert text.count("## idea-042: From a\n") == text.count("## idea-043: From b\n") == 1
    assert "ideas.d/new/c.md:1:" in farm.problems()
    assert sorted(path.name for path in (farm.home / "ideas.d" / "new").iterdir()) == ["c.md"]
    assert len(farm.starts("idea-042")) == len(farm.starts("idea-043")) == 1


def test_ideas_md_may_be_missing_at_first_and_replaced_by_an_editor_later(farm):
    farm.ideas.unlink()
    farm.start()
    farm.wait(lambda: "ideas.md" in str(farm.status().get("quarantined")), "the notice")
    farm.write(idea(1))
    farm.wait_states(COMPLETED=1)
    fresh = farm.home / "ideas.md.swp"
    fresh.write_text(farm.ideas.read_text().replace("# Ideas\n", "# Ideas\n\n" + idea(2)))
    fresh.replace(farm.ideas)
    farm.wait_states(COMPLETED=2)
    assert len(farm.starts()) == 2


def test_hostile_ideas_neither_run_commands_nor_write_outside_the_results(farm):
    title = "$(touch pwned) `touch pwned` ; touch pwned | <script>alert(1)</script> {{ 7*7 }} {results_dir}"
    config = 'path: ../../../../pwned\nevil: !!python/object/apply:os.system ["touch pwned"]'
    farm.write(
        idea(1, title=title, Category="../../x", Hypothesis="{% for x in y %}"),
        idea(2, config=config),
        idea(3, After="../../etc/passwd"),
        idea(4, Parent="idea-../../x"),
        "## idea-../../../tmp/pwned: Escape\n\n```yaml\na: 1\n```\n\n",
        idea(
            5,
            config="\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9) if n else 1}]" for n in range(9)),
        ),
    )
    farm.start()
    farm.wait_states(COMPLETED=1, QUARANTINED=4)
    assert len(farm.status()["quarantined"]) == 5
    report = farm.report()
    assert "<script>" not in report
    assert "{{ 7*7 }}" not in report or "49" not in report
    assert not list(farm.home.rglob("pwned*"))
    assert {path.name for path in farm.results.iterdir()} >= {"idea-001", "report.md", "status.json"}
    assert not [path for path in farm.results.glob("idea-*") if path.name != "idea-001"]
