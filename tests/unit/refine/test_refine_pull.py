"""A pull request is opened by GitHub's API or by gh; else it is said what to do."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from export_examples import NO_GH, copied, refs, session_in, with_remote
from userrepo import git

from orze.refine.export import body_of, export_branch
from orze.refine.fold import SessionFold
from orze.refine.model import BASELINE
from orze.refine.pull import Place, place_of
from orze.refine.repository import Repository

TOKEN = "ghp_0123456789abcdef"


class GitHub(ThreadingHTTPServer):
    """As much of GitHub's API as is asked.

    Attributes:
        pulls: what is open; asked: method, path, body and token of each request.
        moved: where the repository is said to have moved to; status: what opening one is answered with.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.pulls: list[dict[str, Any]] = []
        self.asked: list[tuple[str, str, Any, str]] = []
        self.moved = ""
        self.status = 201

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: GitHub

    def answer(self) -> None:
        server, size = self.server, int(self.headers.get("Content-Length", 0))
        body = json.loads(self.rfile.read(size)) if size else None
        server.asked.append((self.command, self.path, body, self.headers.get("Authorization", "")))
        if self.path == "/repos/ada/lab" and server.moved:
            self.send(301, {"message": "Moved"}, server.moved)
        elif self.command == "GET" and "/pulls" not in self.path:
            self.send(200, {"full_name": "ada/lab2", "default_branch": "main"})
        elif self.command == "GET":
            self.send(200, server.pulls)
        elif self.command == "PATCH":
            self.send(200, server.pulls[0])
        elif server.status == 201:
            server.pulls.append({"number": 7, "html_url": "https://github.com/ada/lab2/pull/7"})
            self.send(201, server.pulls[0])
        else:
            self.send(server.status, {"message": f"Validation failed for {TOKEN}"})

    do_GET = do_POST = do_PATCH = answer  # noqa: N815 - the names that http.server looks for

    def send(self, status: int, body: object, location: str = "") -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        if location:
            self.send_header("Location", location)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that it has above
        """Say nothing."""


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch) -> Iterator[GitHub]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with GitHub() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SessionFold]:
    top = tmp_path_factory.mktemp("made") / "repo"
    return top, session_in(top)[1]


@pytest.fixture
def session(made: tuple[Path, SessionFold], tmp_path: Path) -> tuple[Repository, SessionFold]:
    return copied(made, tmp_path)


def test_where_nothing_was_kept_the_history_is_pushed_and_no_pull_request_opened(
    session: tuple[Repository, SessionFold], github: GitHub
):
    repository, told = session
    told.best = BASELINE
    bare = with_remote(repository, f"{github.address}/ada/lab.git")
    done = export_branch(
        repository, told, environ={**NO_GH, "GITHUB_API_URL": github.address, "GH_TOKEN": TOKEN}
    )
    assert (done.said[1], github.asked) == ("no step was kept: there is nothing to merge", [])
    assert len(refs(bare)) == 4


def test_the_api_opens_a_pull_request_and_later_updates_it(
    session: tuple[Repository, SessionFold], github: GitHub
):
    repository, told = session
    with_remote(repository, f"{github.address}/ada/lab.git")
    environ = {**NO_GH, "GITHUB_API_URL": f"{github.address}/", "GITHUB_TOKEN": TOKEN}
    done = [export_branch(repository, told, environ=environ) for _ in range(2)]
    assert [one.said[1] for one in done] == [
        f"{what} the pull request https://github.com/ada/lab2/pull/7" for what in ("opened", "updated")
    ]
    assert [one.address for one in done] == ["https://github.com/ada/lab2/pull/7"] * 2
    assert [(method, path) for method, path, *_ in github.asked] == [
        ("GET", "/repos/ada/lab"),
        ("GET", "/repos/ada/lab2/pulls?state=open&head=ada%3Arevis%2Flr"),
        ("POST", "/repos/ada/lab2/pulls"),
        ("GET", "/repos/ada/lab"),
        ("GET", "/repos/ada/lab2/pulls?state=open&head=ada%3Arevis%2Flr"),
        ("PATCH", "/repos/ada/lab2/pulls/7"),
    ]
    body = {
        "title": "revis lr: val_loss 0.5200 → 0.4200",
        "head": "revis/lr",
        "base": "main",
        "body": body_of(told),
    }
    assert github.asked[2][2] == body
    assert github.asked[5][2] == {"body": body_of(told)}
    assert {token for *_, token in github.asked} == {f"Bearer {TOKEN}"}


def test_a_fault_of_the_api_is_told_without_the_token_and_the_branch_is_pushed(
    session: tuple[Repository, SessionFold], github: GitHub
):
    repository, told = session
    bare = with_remote(repository, f"{github.address}/ada/lab.git")
    github.status = 422
    done = export_branch(
        repository, told, environ={**NO_GH, "GITHUB_API_URL": github.address, "GH_TOKEN": TOKEN}
    )
    assert (done.address, len(refs(bare))) == ("", 4)
    assert "GitHub's API answers POST with HTTP 422: " in done.said[1]
    assert not any(TOKEN in line for line in done.said)


def test_the_token_is_taken_to_no_other_host(session: tuple[Repository, SessionFold], github: GitHub):
    repository, told = session
    with_remote(repository, f"{github.address}/ada/lab.git")
    environ = {**NO_GH, "GITHUB_API_URL": github.address, "GH_TOKEN": TOKEN}
    github.moved = f"{github.address}/repositories/1"
    assert export_branch(repository, told, environ=environ).address
    with GitHub() as other:
        github.moved = f"{other.address}/repositories/1"
        done = export_branch(repository, told, environ=environ)
        assert other.asked == []
    assert "HTTP 301" in done.said[1]
    asked = len(github.asked)
    git(repository.top, "remote", "set-url", "origin", "https://gitlab.example/ada/lab.git")
    git(
        repository.top,
        "config",
        f"url.{repository.top.parent}/bare.git.pushInsteadOf",
        "https://gitlab.example/ada/lab.git",
    )
    done = export_branch(repository, told, environ=environ)
    assert (done.said[1:], len(github.asked)) == (
        ("open a pull request of revis/lr where the repository is hosted",),
        asked,
    )


def test_without_gh_and_token_it_says_what_to_do(session: tuple[Repository, SessionFold]):
    repository, told = session
    with_remote(repository, "git@github.com:ada/lab.git")
    (_, said) = export_branch(repository, told, environ=NO_GH).said
    page = "https://github.com/ada/lab/compare/revis/lr?expand=1"
    how = "set GITHUB_TOKEN, or log in with `gh auth login`, and export again"
    assert said == f"open the pull request at {page}, or {how}"


GH = """#!/bin/sh
echo "$*" >> {seen}
case "$1 $2" in
"auth status") exit {auth};;
"pr list") echo '{pulls}';;
"pr edit") cat > {body};;
"pr create") cat > {body}; echo "Warning: 1 uncommitted change" >&2; echo https://github.com/ada/lab/pull/9;;
esac
exit {status}
"""


def gh(directory: Path, *, auth: int = 0, pulls: str = "[]", status: int = 0) -> dict[str, str]:
    """An environment whose `gh` writes down what it is asked."""
    seen, body = directory / "seen", directory / "body"
    seen.unlink(missing_ok=True)
    program = directory / "bin" / "gh"
    program.parent.mkdir(exist_ok=True)
    program.write_text(GH.format(seen=seen, body=body, auth=auth, pulls=pulls, status=status))
    program.chmod(0o755)
    return {"PATH": f"{program.parent}:{os.defpath}:/usr/bin"}


def test_gh_opens_a_pull_request_or_edits_the_open_one(
    session: tuple[Repository, SessionFold], tmp_path: Path
):
    repository, told = session
    with_remote(repository, "https://github.com/ada/lab")
    done = export_branch(repository, told, environ=gh(tmp_path))
    assert done.said[1] == "opened the pull request https://github.com/ada/lab/pull/9"
    assert (tmp_path / "body").read_text() == body_of(told)
    asked = (tmp_path / "seen").read_text().splitlines()
    assert asked[0] == "auth status --hostname github.com"
    assert asked[2].startswith(
        "pr create --repo github.com/ada/lab --head revis/lr --title revis lr: val_loss"
    )
    there = '[{"number": 4, "url": "https://github.com/ada/lab/pull/4"}]'
    done = export_branch(repository, told, environ=gh(tmp_path, pulls=there))
    assert done.address == "https://github.com/ada/lab/pull/4"
    assert (tmp_path / "seen").read_text().splitlines()[2].startswith("pr edit 4 --repo github.com/ada/lab")


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"auth": 1}, "open the pull request at https://github.com/ada/lab/compare/revis/lr"),
        ({"status": 1}, "gh pr list failed: "),
        ({"pulls": "no json"}, "the answer is no JSON"),
        ({"pulls": "[{}]"}, "the answer names no pull request"),
    ],
)
def test_where_gh_does_not_help_it_says_what_to_do(
    session: tuple[Repository, SessionFold], tmp_path: Path, how: dict[str, Any], said: str
):
    repository, told = session
    with_remote(repository, "https://github.com/ada/lab.git")
    done = export_branch(repository, told, environ=gh(tmp_path, **how))
    assert done.said[1].startswith(said)
    assert done.said[-1].startswith("open the pull request at ")


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("https://github.com/ada/lab.git", Place("github.com", "ada", "lab")),
        ("https://ada:pw@GitHub.com/ada/lab", Place("github.com", "ada", "lab")),
        ("git@github.com:ada/lab.git", Place("github.com", "ada", "lab")),
        ("ssh://git@github.com:22/ada/lab.v2.git/", Place("github.com", "ada", "lab.v2")),
        ("git@ssh.corp.example:ada/lab", Place("ssh.corp.example", "ada", "lab")),
        ("/srv/git/lab.git", None),
        ("../lab", None),
        ("https://github.com/ada/lab/tree/main", None),
        ("file:///srv/ada/lab", None),
    ],
)
def test_the_place_of_a_repository_is_read_from_its_address(address: str, place: Place | None):
    assert place_of(address) == place
