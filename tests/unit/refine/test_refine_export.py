"""A session leaves its repository: to a real bare one, as patches, as tables."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from export_examples import NO_GH, copied, refs, session_in, with_remote
from refine_examples import completed, fold, one_try, sha, steps
from userrepo import commit_all, git

from orze.refine.export import (
    MOST_BODY,
    NothingToExport,
    Taken,
    body_of,
    export_branch,
    title_of,
    write_patch,
    write_table,
)
from orze.refine.fold import SessionFold
from orze.refine.git import GitError
from orze.refine.model import Ended, Outcome, Step, Verdict
from orze.refine.repository import Repository


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SessionFold]:
    top = tmp_path_factory.mktemp("made") / "repo"
    return top, session_in(top)[1]


@pytest.fixture
def session(made: tuple[Path, SessionFold], tmp_path: Path) -> tuple[Repository, SessionFold]:
    return copied(made, tmp_path)


# Pushing


def test_the_branch_and_every_judged_step_are_pushed_and_doing_it_again_is_fine(
    session: tuple[Repository, SessionFold],
):
    repository, told = session
    bare = with_remote(repository)
    for _ in range(2):
        done = export_branch(repository, told, environ=NO_GH)
        assert (done.branch, done.remote, done.tags, done.address) == ("revis/lr", "origin", 3, "")
    commits = [told.steps[number].commit for number in range(3)]
    assert refs(bare) == {
        "refs/heads/revis/lr": commits[1],
        **{f"refs/tags/revis/lr/{number}": commit for number, commit in enumerate(commits)},
    }
    assert done.said[1] == "open a pull request of revis/lr where the repository is hosted"


@pytest.mark.parametrize("taken", ["refs/heads/revis/lr", "refs/tags/revis/lr/2"])
def test_what_somebody_else_pushed_is_never_overwritten(session: tuple[Repository, SessionFold], taken: str):
    repository, told = session
    bare = with_remote(repository)
    other = commit_all(repository.top, {"other.py": "x\n"})
    git(other, "push", "-q", "origin", f"HEAD:{taken}")
    before = refs(bare)
    with pytest.raises(Taken, match="another revis/lr, or other tags of that name, than this session"):
        export_branch(repository, told, environ=NO_GH)
    assert refs(bare) == before


def test_a_remote_that_cannot_be_reached_is_told_by_git(session: tuple[Repository, SessionFold]):
    repository, told = session
    git(repository.top, "remote", "add", "origin", "/nowhere")
    with pytest.raises(GitError, match="git push failed: '/nowhere' does not appear to be a git repository"):
        export_branch(repository, told, environ=NO_GH)


def test_without_a_remote_it_says_so(session: tuple[Repository, SessionFold]):
    done = export_branch(*session, environ=NO_GH)
    assert done.branch == ""
    assert done.said[0].startswith("there is no remote to push to: git remote add origin ADDRESS")


def test_of_several_remotes_one_must_be_named(session: tuple[Repository, SessionFold]):
    repository, told = session
    bare = with_remote(repository)
    git(repository.top, "remote", "rename", "origin", "mine")
    git(repository.top, "remote", "add", "theirs", "/nowhere")
    with pytest.raises(GitError, match="which remote\\? there are: mine, theirs"):
        export_branch(repository, told, environ=NO_GH)
    with pytest.raises(GitError, match="there is no other; there are: mine, theirs"):
        export_branch(repository, told, environ=NO_GH, remote="other")
    assert export_branch(repository, told, environ=NO_GH, remote="mine").remote == "mine"
    assert "refs/heads/revis/lr" in refs(bare)


def test_a_session_without_a_result_has_nothing_to_export(session: tuple[Repository, SessionFold]):
    repository, told = session
    told.best = None
    with pytest.raises(NothingToExport, match="the session lr has nothing to export yet"):
        export_branch(repository, told, environ=NO_GH)


# Texts and files


def test_the_body_has_a_row_for_every_iteration():
    lines = body_of(fold(usd=0.05, tokens=4500)).splitlines()
    assert lines[0] == "Session `lr` by revis; `val_loss`, smaller is better."
    assert "- 6 steps: 1 discarded, 1 failed, 1 kept, 2 open, 1 refused." in lines
    assert "- Asking models cost $0.05 and 4500 tokens." in lines
    rows = [line for line in lines if line.startswith("| ") and line[2].isdigit()]
    assert [row.split(" | ")[0] for row in rows] == [f"| {number}" for number in range(7)]
    assert rows[1] == (
        "| 1 | 0 | `train.py` | `A smaller rate does not overshoot` | 0.4150 (2 runs) "
        f"| kept `better by 0.11, more than 0.01` | {sha('d1')[:12]} |"
    )
    assert title_of(fold()) == "revis lr: val_loss 0.5250 → 0.4150"


def test_a_text_of_others_mentions_nobody_and_breaks_no_table():
    bad = "@ada fixes #1 `x` | y\n| z <script> https://x"
    (step,) = [
        replace(steps()[2], reason=bad, tries=(one_try(bad, completed(0.5), files=(bad,), command=bad),))
    ]
    (row,) = [line for line in body_of(fold((*steps()[:2], step))).splitlines() if line.startswith("| 2 ")]
    code = "`@ada fixes #1 'x' \\| y \\| z <script> https://x`"
    assert row.count("`") == 6
    assert f"| {code} | 0.5000 | discarded {code} |" in row


def test_of_a_long_session_the_kept_and_the_newest_steps_are_told():
    told = [*steps()[:2]]
    told += [
        Step(n, sha("d1"), (one_try("h" * 900, completed(0.5)),), Verdict.DISCARDED, "r" * 900, sha(f"{n:x}"))
        for n in range(2, 500)
    ]
    body = body_of(fold(tuple(told)))
    assert len(body) <= MOST_BODY
    rows = [
        int(line.split(" ")[1]) for line in body.splitlines() if line.startswith("| ") and line[2].isdigit()
    ]
    assert rows[:2] == [0, 1]
    assert rows[2:] == list(range(500 - len(rows) + 2, 500))
    assert body.endswith(f"{500 - len(rows)} more steps are not in this table; each is a tag.\n")


def test_the_patches_make_the_kept_line_again(session: tuple[Repository, SessionFold], tmp_path: Path):
    repository, told = session
    git(repository.top, "config", "diff.noprefix", "true")
    git(repository.top, "config", "format.attach", "true")
    stream = io.BytesIO()
    assert write_patch(repository, told, stream) == 1
    (tmp_path / "mail").write_bytes(stream.getvalue())
    git(repository.top, "checkout", "-q", "-b", "again", told.base)
    git(repository.top, "am", "-q", str(tmp_path / "mail"))
    assert repository.tree(git(repository.top, "rev-parse", "again")) == repository.tree(told.steps[1].commit)


def table(form: str, told: SessionFold) -> tuple[int, str]:
    stream = io.BytesIO()
    return write_table(told, stream, form), stream.getvalue().decode()


def test_the_table_has_every_iteration_with_all_metrics():
    count, text = table("csv", fold())
    rows = list(csv.DictReader(io.StringIO(text)))
    assert (count, [row["step"] for row in rows]) == (7, list("0123456"))
    one = rows[1]
    names = ("verdict", "parent", "ended", "runs", "files", "metric.val_loss", "metric.accuracy")
    assert [one[name] for name in names] == ["kept", "0", "completed", "2", "train.py", "0.41", "0.9"]
    assert float(one["value"]) == pytest.approx(0.415)
    assert rows[2]["command"] == "python train.py --epochs 9"
    assert rows[3]["error"] == "RuntimeError: shapes do not fit"
    told = json.loads(table("json", fold())[1])
    assert [row["step"] for row in told] == list(range(7))
    assert (told[1]["commit"], told[0]["parent"]) == (sha("d1"), None)


def test_no_cell_is_run_by_a_spreadsheet_and_odd_texts_are_written():
    odd = Outcome(
        Ended.COMPLETED, (1.0,), {"=cmd()": 10**30, "s": "\ud800", "deep": {"x": [1, 2]}, "nan": float("nan")}
    )
    step = replace(steps()[1], tries=(one_try("=HYPERLINK(1)", odd, files=("-x", "@y")),), reason="+1 \ud800")
    _, text = table("csv", fold((steps()[0], step)))
    (_, row) = list(csv.DictReader(io.StringIO(text)))
    assert (row["hypothesis"], row["files"], row["reason"][:2]) == ("'=HYPERLINK(1)", "'-x; @y", "'+")
    (_, same) = json.loads(table("json", fold((steps()[0], step)))[1])
    assert same["hypothesis"] == "=HYPERLINK(1)"
    assert (same["metric.=cmd()"], same["metric.deep.x"], same["metric.nan"]) == (str(10**30), "[1, 2]", None)
