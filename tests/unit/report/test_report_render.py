"""report.md: readable as text, right when rendered, and not to be broken by anything that others wrote."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from report_examples import DONE, FAILED, NOON, bare, board, outcome, snapshot

from orze.core.states import Cause, State
from orze.report.advice import ADVICE
from orze.report.merit import Config, judge
from orze.report.model import (
    CardRow,
    Column,
    Group,
    HostRow,
    PrimaryMetric,
    Problem,
    Ranked,
    Running,
    Waiting,
)
from orze.report.render import report_md, table
from orze.report.text import plain, width

GFM = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def inline_text(token):
    """The text of an inline token that holds nothing but text."""
    assert {child.type for child in token.children} <= {"text"}
    return "".join(child.content for child in token.children)


def sections(report):
    """Parse a report into `{heading: [table, ...]}`, a table being rows of cell texts."""
    found = {}
    heading = None
    tokens = GFM.parse(report)
    for index, token in enumerate(tokens):
        if token.type == "heading_open":
            heading = inline_text(tokens[index + 1])
            assert heading not in found
            found[heading] = []
        elif token.type == "table_open":
            found[heading].append([])
        elif token.type == "tr_open":
            found[heading][-1].append([])
        elif token.type in ("td_open", "th_open"):
            found[heading][-1][-1].append(inline_text(tokens[index + 1]))
    return found


def test_a_table_is_aligned_and_its_numbers_stand_to_the_right():
    assert (
        "\n| idea     | title    | state    | runs on  | attempt |   for | last metrics |"
        "\n|----------|----------|----------|----------|--------:|------:|--------------|"
        "\n| idea-007 | Boosting | training | node-a:1 |       1 | 1m15s | loss 0.31    |\n"
    ) in report_md(snapshot())
    assert table(["idea", "title"], [["idea-001", "256 | 128"], ["idea-1000", "卷积"]]) == (
        "| idea      | title      |\n"
        "|-----------|------------|\n"
        "| idea-001  | 256 \\| 128 |\n"
        "| idea-1000 | 卷积       |"
    )


def test_the_leaderboard_is_in_order_and_ends_with_what_has_no_rank():
    header, *rows = sections(report_md(snapshot()))["Leaderboard"][0]
    assert header[:5] == ["rank", "idea", "title", "val_accuracy ↑", "AUC"]
    assert header[5:] == ["attempt", "ran on", "took", "ended (UTC)"]
    assert rows[0][:5] == ["1", "idea-002", "A wider network: 256 | 128", "0.9889", "0.91"]
    assert rows[0][5:] == ["1", "node-a:0", "1m35s", "2025-11-21 12:02"]
    assert [row[:2] for row in rows[1:]] == [["2", "idea-003"], ["3", "idea-001"], ["–", "idea-004"]]
    assert rows[3][3] == "NaN"
    assert rows[3][6] == "node-a:0,1"


def test_the_commit_of_a_result_stands_beside_it_where_any_has_one():
    ranking = board()
    ranking.add(outcome(12, "Code of its own", metrics={"val_accuracy": 0.99}, commit="c0ffee5" * 5))
    header, *rows = sections(report_md(snapshot(top=ranking.top(10))))["Leaderboard"][0]
    assert header[:4] == ["rank", "idea", "commit", "title"]
    assert [row[1:3] for row in rows[:2]] == [["idea-012", "c0ffee5"], ["idea-002", "–"]]


def test_the_headline_tells_the_best_and_its_lead_without_a_claim():
    report = report_md(snapshot())
    assert report.startswith("# Digits\n\n2025-11-21 12:00 UTC · cycle 42 · led by node-a\n")
    assert (
        "**Best so far, one run:** idea-002 (A wider network: 256 \\| 128), val_accuracy 0.9889, "
        "0.0167 ahead of idea-003; repeat it with report.confirm or Repeats.\n"
    ) in report
    assert "Ranked by val_accuracy, higher is better (chosen by its name;" in report
    assert "8 ideas: 1 held, 1 training, 4 completed, 1 failed, 1 skipped\n" in report
    assert "Queue: 3 · free cards: node-a:0 · disk: 812 GB free\n" in report
    assert "**Needs attention:** 1 problem, 1 quarantined, 1 held (see below)" in report
    assert "![progress](progress.svg)" in report
    assert "> **Note:** Only for the tests.\n\n> **Note:** This farm is unfenced (doors: false): " in report


@pytest.mark.parametrize(
    ("change", "state", "cell"),
    [
        ({}, "alive", "alive, leads"),
        ({"drained": True}, "draining", "draining, leads"),
        ({"drained": True, "running": 0, "leader": False}, "drained", "drained"),
        ({"drained": True, "alive": False}, "silent", "silent for 2s, leads"),
        ({"cards_asked": "0,1"}, "alive", "alive, leads, asked to use cards 0,1"),
        ({"cards_asked": "|" * 1000}, "alive", None),
    ],
)
def test_a_host_is_shown_with_what_is_asked_of_it(change, state, cell):
    host = dataclasses.replace(snapshot().hosts[0], **change)
    (row,) = sections(report_md(snapshot(hosts=[host])))["Hosts"][0][1:]
    assert host.state == state
    assert len(row) == 4
    assert row[1] == cell if cell else len(row[1]) < 400


def test_every_section_holds_its_rows():
    found = sections(report_md(snapshot()))
    assert [row[0] for row in found["Trained, but the evaluation failed"][0][1:]] == ["idea-003"]
    assert found["Running now"][0][1][:4] == ["idea-007", "Boosting", "training", "node-a:1"]
    assert found["Running now"][0][1][4:] == ["1", "1m15s", "loss 0.31"]
    assert found["Failed"][0][1][:4] == ["idea-005", "Too large", "cuda_oom", "CUDA out of memory"]
    assert found["Skipped"][0][1][3] == "its After, idea-005, failed"
    assert found["Held"][0][1] == ["idea-008", "Gone", "vanished from ideas.md", ""]
    assert found["Quarantined"][0][1] == ["ideas.md:7", "idea-009", "Broken", "line 9: no mapping here"]
    assert found["Waiting"][0][1] == ["idea-010", "Later", "idea-007 to complete", "ideas.md:12"]
    hosts, cards = found["Hosts"]
    assert hosts[1:] == [["node-a", "alive, leads", "1", "1"], ["node-b", "silent for 4m04s", "0", "0"]]
    assert cards[1] == ["node-a", "0", "NVIDIA H200", "free", "0.4 of 140.4 GiB"]
    assert cards[2] == ["node-b", "0", "NVIDIA A100", "lost", "–"]
    assert found["Problems"][0][1] == ["2025-11-21 11:55", "card 0 of node-b does not answer"]


def test_a_farm_that_has_done_nothing_has_no_empty_sections():
    report = report_md(bare(title="New", picture=""))
    assert list(sections(report)) == ["New"]
    assert "No idea has completed yet.\n\nNo ideas yet.\n\nQueue: 0 · free cards: none\n" in report
    assert "![" not in report
    assert "Note" not in report
    assert "\n\n\n" not in report_md(snapshot())
    assert report_md(snapshot()).endswith("|\n")


@pytest.mark.parametrize("cause", list(Cause))
def test_a_failure_is_told_with_what_to_do(cause):
    failed = [outcome(number, "x", State.FAILED, cause=cause, error="e") for number in (1, 2)]
    report = report_md(bare(failed=failed, counts={State.FAILED: 30}))
    assert report.count(f"- **{cause}**: {ADVICE[cause]}\n") == 1
    assert "|\n\nand 28 more\n\nWhat to do:" in report
    assert "\n\nTo run one again, delete its directory in results/, or " in report


@pytest.mark.parametrize(
    ("primary", "told"),
    [
        (None, "No result holds a number to rank by."),
        (PrimaryMetric("auc", False, True, ("f1", "loss")), "auc as a finite number. They hold: f1, loss."),
        (PrimaryMetric("auc", False, True), "They hold: no number at all."),
    ],
)
def test_where_nothing_can_be_ranked_the_headline_says_why(primary, told):
    report = report_md(bare(primary=primary, counts={State.COMPLETED: 1}))
    assert told in report


def test_a_tie_at_the_top_is_no_lead():
    top = [Ranked(n, 0.5, "", outcome(n, "x")) for n in (1, 2)]
    same = [Config("", (f"idea-00{n}",), f"idea-00{n}", n, 1, 0.5) for n in (1, 2)]
    merit = judge(same, ascending=False, metric="auc")
    primary, counts = PrimaryMetric("auc", False, True), {State.EVALUATED: 9}
    report = report_md(bare(primary=primary, merit=merit, top=top, counts=counts))
    assert "idea-001 (x), auc 0.5000, the same as idea-002; " in report
    assert "Ranked by auc, higher is better\n" in report
    assert "\n\nand 7 more\n" in report


def test_a_column_that_was_not_read_is_a_dash():
    made = snapshot(columns=[Column("a"), Column("b", "B")])
    rows = sections(report_md(made))["Leaderboard"][0]
    assert rows[0][4:6] == ["a", "B"]
    assert rows[1][4:6] == ["0.91", "–"]


def test_a_long_list_is_cut_and_says_so():
    held = [Waiting(f"idea-{n}", "t", "r") for n in range(250)]
    report = report_md(bare(held=held))
    assert len(sections(report)["Held"][0]) == 201
    assert "\n\nand 50 more\n" in report
    assert "**Needs attention:** 250 held (see below)" in report


def test_the_same_snapshot_gives_the_same_bytes():
    assert report_md(snapshot()) == report_md(snapshot())


NASTY = st.text(st.sampled_from("|`<>*_[]()#\\&~$!:-+=.1 \n\r\t\x00\x1b\u202e\u2028\ud800…ax卷"), max_size=25)
TEXT = st.one_of(NASTY, st.text(max_size=25))


@given(st.lists(st.lists(TEXT, min_size=3, max_size=3), min_size=1, max_size=4))
@settings(max_examples=100, deadline=None)
def test_no_text_can_break_a_table(rows):
    text = table(["one", "two", "three"], rows)
    (parsed,) = sections("# t\n\n" + text)["t"]
    assert parsed == [["one", "two", "three"], *[[plain(cell) for cell in row] for row in rows]]
    assert len({width(line) for line in text.split("\n")}) == 1


@given(st.lists(TEXT, min_size=8, max_size=8), st.floats())
@settings(max_examples=40, deadline=None)
def test_no_text_can_break_the_report(texts, real):
    a, b, c, d, e, f, g, h = texts
    result = outcome(1, a, error=b or "?", host=c, gpu=d, seconds=real, finished_at=real)
    other = dataclasses.replace(result, idea_id=h)
    config = Config(a, (b, c), d, 1, 2, real, 0.1, real, real)
    made = bare(
        merit=judge([config], ascending=True, metric=e),
        groups=[Group(f, g, 1, 2, 3, config)],
        title=f"The farm {f}",  # no heading of ours
        leader=g,
        primary=PrimaryMetric(e, True, False, (h,)),
        counts={State.COMPLETED: 1},
        top=[Ranked(1, real, "", result, (h,)), Ranked(None, None, g, other, (a,))],
        columns=[Column(g, h)],
        running=[Running(a, b, State.TRAINING, c, d, real, 1, e)],
        failed=[dataclasses.replace(result, cause=f)],
        skipped=[result],
        pruned=[result],
        held=[Waiting(a, b, c, d)],
        quarantined=[Waiting(a, b, c, d)],
        waiting=[Waiting(a, b, c, d)],
        hosts=[HostRow(a, True, True, (CardRow(b, c, d, real, real),), 1, 1, real)],
        problems=[Problem(e, real)],
        free_gpus=[f, g],
        notices=[h],
    )
    report = report_md(made)
    found = sections(report)
    names = [
        "Leaderboard",
        "Groups",
        "Trained, but the evaluation failed",
        "Running now",
        "Failed",
        "Skipped",
    ]
    names += ["Stopped early", "Held", "Quarantined", "Waiting", "Hosts", "Problems"]
    assert list(found)[-len(names) :] == names
    assert found["Stopped early"][0][1][1] == plain(a, 48)
    assert found["Held"][0][1] == [plain(a), plain(b, 48), plain(c, 160), plain(d)]
    assert found["Quarantined"][0][1] == [plain(d), plain(a), plain(b, 48), plain(c, 160)]
    assert found["Leaderboard"][0][0][4] == plain(h or g)
    assert found["Leaderboard"][0][2][1:4] == [plain(h), plain(a, 48), plain(g)]
    assert found["Problems"][0][1][1] == plain(e, 300)
    assert report.replace("\n", "").isprintable()
    kinds = {child.type for token in GFM.parse(report) for child in token.children or ()}
    assert kinds <= {"text", "strong_open", "strong_close", "image"}
    assert all(token.type != "html_block" for token in GFM.parse(report))


def test_the_example_is_ranked_by_the_real_leaderboard():
    assert board().best().result == DONE[1]
    assert FAILED[0].finished_at == NOON + 300


def test_repeated_configurations_show_their_runs_and_the_interval_of_their_mean():
    config = Config("k", ("idea-001", "idea-002"), "idea-002", 1, 2, 0.5, 0.01, 0.47, 0.53)
    top = [Ranked(1, 0.51, "", outcome(2, "x"), ("a",), config), Ranked(2, 0.4, "", outcome(3, "y"), ("b",))]
    group = Group("idea-001", "x", 2, 3, 1, config)
    primary = PrimaryMetric("auc", False, True)
    report = report_md(bare(primary=primary, top=top, groups=[group], columns=[Column("c")]))
    header, first, second = sections(report)["Leaderboard"][0]
    assert header[3:7] == ["auc ↑", "runs", "their mean", "c"]
    assert first[3:7] == ["0.5100", "2", "0.500 ± 0.030", "a"]
    assert second[3:7] == ["0.4000", "–", "–", "b"]
    assert sections(report)["Groups"][0][1] == [
        "idea-001",
        "x",
        "2 of 3",
        "1",
        "2",
        "0.500 ± 0.030",
        "idea-002",
    ]
