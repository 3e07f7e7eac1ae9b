"""The section on research in report.md: it is there where research is configured, and no text breaks it."""

from __future__ import annotations

from report_examples import snapshot

from orze.report.render import report_md
from orze.report.research import ArmRow, ResearchStanding


def standing(**more: object) -> ResearchStanding:
    arms = [
        ArmRow("llm (m|x)", False, 3, 12, 9, 8, 6, 2, None),
        ArmRow("hillclimb", True, 1, 4, 4, 4, 4, 0, 0.0),
    ]
    values = {
        "why": "the last round ended less than 60 s ago",
        "rounds": 4,
        "usd": None,
        "arms": arms,
        **more,
    }
    return ResearchStanding("llm", "llm (m|x)", "waiting", **values)  # type: ignore[arg-type] # as given


def section(text: str) -> str:
    return text.split("## Research\n")[1].split("\n## ")[0]


def test_the_funnel_and_each_proposer_are_told():
    told = section(report_md(snapshot(research=standing())))
    assert "16 proposed → 13 valid → 12 new → 10 run → 2 improved, in 4 rounds" in told
    rows = [line for line in told.splitlines() if line.startswith("| ")]
    assert [row.count("|") - row.count("\\|") for row in rows] == [9] * 3
    assert "unknown" in rows[1]
    assert "hillclimb (control)" in rows[2]


def test_without_research_there_is_no_section():
    assert "## Research" not in report_md(snapshot())


def test_a_text_of_a_proposer_cannot_begin_a_section_of_its_own():
    told = report_md(snapshot(research=standing(dead="x\n## Leaderboard\n| a |", last="<b>\n# y")))
    assert told.count("\n## Leaderboard") == 1
    assert "\n# y" not in told
