"""Opens or updates a pull request: by GitHub's program `gh`, else by its REST API, else says what to do."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from orze.core.errors import OrzeError
from orze.report.text import clean
from orze.research.hiding import hidden

_PUBLIC: Final = "github.com"
_API: Final = "https://api.github.com"
_OF_COMPANIES: Final = ("GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN")
_SECONDS: Final = 60.0
_MOST_BYTES: Final = 4 << 20
# scp-like (git@host:owner/name.git), or an address with a scheme; gitremote-helpers(7), git-push(1)
_SCP: Final = re.compile(r"(?:[^/@:\s]+@)?([\w.-]+):(?!//)/?([\w.-]+)/([\w.-]+?)(?:\.git)?/?", re.ASCII)
_URL: Final = re.compile(
    r"(?:https?|ssh|git)://(?:[^/@\s]+@)?([\w.-]+)(?::\d+)?/([\w.-]+)/([\w.-]+?)(?:\.git)?/?", re.ASCII
)
_ADDRESS: Final = re.compile(r"https?://[!-~]{1,500}", re.ASCII)


class _Failed(OrzeError):
    """A pull request cannot be opened in this way."""


@dataclass(frozen=True, slots=True)
class PullRequest:
    """What is wanted: to merge a branch into the default one."""

    branch: str
    title: str
    body: str


@dataclass(frozen=True, slots=True)
class Offered:
    """The address of the pull request, empty where there is none, and sentences for people."""

    address: str
    said: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """A repository on a host that may be GitHub's."""

    host: str
    owner: str
    name: str


def place_of(address: str) -> Place | None:
    """The host, owner and name in a remote's address; None where it has another form."""
    found = _URL.fullmatch(address) or _SCP.fullmatch(address)
    return Place(found[1].lower(), found[2], found[3]) if found else None


def offer(wanted: PullRequest, address: str, environ: Mapping[str, str], directory: Path) -> Offered:
    """Open a pull request, or write the text of the one that is open for this branch.

    Args:
        address: of the remote that has the branch.
        environ: with PATH, and what `gh` needs, or GH_TOKEN or GITHUB_TOKEN. A token is sent to
            api.github.com for remotes there, or to GITHUB_API_URL where that is the remote's host, and to no
            other.
        directory: where `gh` runs.
    """
    place = place_of(address)
    if place is None:
        return Offered("", (_elsewhere(wanted),))
    said = []
    for way in (_by_gh(place, environ, directory), _by_api(place, environ)):
        if way is None:
            continue
        try:
            found, is_new = way.offer(wanted)
            return Offered(found, (f"{'opened' if is_new else 'updated'} the pull request {found}",))
        except _Failed as error:
            said.append(hidden(str(error), environ))
    if place.host != _PUBLIC:
        return Offered("", (*said, _elsewhere(wanted)))
    page = f"https://{place.host}/{place.owner}/{place.name}/compare/{wanted.branch}?expand=1"
    how = "" if said else ", or set GITHUB_TOKEN, or log in with `gh auth login`, and export again"
    return Offered("", (*said, f"open the pull request at {page}{how}"))


def _elsewhere(wanted: PullRequest) -> str:
    return f"open a pull request of {wanted.branch} where the repository is hosted"


@dataclass(frozen=True, slots=True)
class _Gh:
    """GitHub's own program."""

    program: str
    place: Place
    environ: Mapping[str, str]
    directory: Path

    def offer(self, wanted: PullRequest) -> tuple[str, bool]:
        """The address, and whether it is new."""
        query = ("--head", wanted.branch, "--state", "open", "--json", "number,url", "--limit", "1")
        found = _json(self.run("pr", "list", *self._where, *query))
        if isinstance(found, list) and found:
            number, address = _number(found[0]), _address(found[0].get("url"))
            self.run("pr", "edit", str(number), *self._where, "--body-file", "-", text=wanted.body)
            return address, False
        texts = ("--head", wanted.branch, "--title", wanted.title, "--body-file", "-")
        said = self.run("pr", "create", *self._where, *texts, text=wanted.body)
        return _address((said.split() or [""])[-1]), True

    @property
    def _where(self) -> tuple[str, str]:
        return "--repo", f"{self.place.host}/{self.place.owner}/{self.place.name}"

    def run(self, *words: str, text: str = "") -> str:
        """What it prints."""
        quiet = {"GH_PROMPT_DISABLED": "1", "GH_NO_UPDATE_NOTIFIER": "1", "NO_COLOR": "1"}
        try:
            ended = subprocess.run(
                [self.program, *words],
                input=text,
                cwd=self.directory,
                env={**self.environ, **quiet},
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_SECONDS,
                start_new_session=True,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise _Failed(f"gh {words[0]} {words[1]}: {clean(str(error), 200)}") from None
        if ended.returncode:
            told = clean(ended.stderr or f"exit status {ended.returncode}", 300)
            raise _Failed(f"gh {words[0]} {words[1]} failed: {told}")
        return ended.stdout[:_MOST_BYTES]


def _by_gh(place: Place, environ: Mapping[str, str], directory: Path) -> _Gh | None:
    """`gh`, where it is installed and logged in to that host."""
    program = shutil.which("gh", path=environ.get("PATH", ""))
    if program is None:
        return None
    gh = _Gh(program, place, environ, directory)
    try:
        gh.run("auth", "status", "--hostname", place.host)
    except _Failed:
        return None
    return gh


class _SameHost(urllib.request.HTTPRedirectHandler):
    """Follows a repository to its new name, and takes the token to no other host."""

    def redirect_request(self, req: Any, *reply: Any) -> Any:
        before, after = (urllib.parse.urlsplit(url) for url in (req.full_url, reply[-1]))
        if (before.scheme, before.netloc) != (after.scheme, after.netloc):
            return None
        return super().redirect_request(req, *reply)


@dataclass(frozen=True, slots=True)
class _Api:
    """GitHub's REST API, version 2022-11-28 (https://docs.github.com/en/rest/pulls/pulls)."""

    base: str
    token: str
    place: Place

    def offer(self, wanted: PullRequest) -> tuple[str, bool]:
        """The address, and whether it is new."""
        about = self._call("GET", f"/repos/{self.place.owner}/{self.place.name}")
        full, base = str(about.get("full_name", "")), str(about.get("default_branch", ""))
        owner = full.partition("/")[0]
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", full, re.ASCII) or not base:
            raise _Failed("GitHub's API does not tell the name and the default branch of the repository")
        query = urllib.parse.urlencode({"state": "open", "head": f"{owner}:{wanted.branch}"})
        found = self._call("GET", f"/repos/{full}/pulls?{query}")
        if isinstance(found, list) and found:
            path = f"/repos/{full}/pulls/{_number(found[0])}"
            return _address(self._call("PATCH", path, {"body": wanted.body}).get("html_url")), False
        body = {"title": wanted.title, "head": wanted.branch, "base": base, "body": wanted.body}
        return _address(self._call("POST", f"/repos/{full}/pulls", body).get("html_url")), True

    def _call(self, method: str, path: str, body: Mapping[str, str] | None = None) -> Any:
        request = urllib.request.Request(  # noqa: S310 - the scheme is looked at where `base` is chosen
            self.base + path,
            data=None if body is None else json.dumps(body).encode(),
            method=method,
            headers={
                "Accept": "application/vnd.github+json",
                "Authorization": f"Bearer {self.token}",
                "Content-Type": "application/json",
                "User-Agent": "orze",
                "X-GitHub-Api-Version": "2022-11-28",
            },
        )
        try:
            with urllib.request.build_opener(_SameHost).open(request, timeout=_SECONDS) as reply:
                return _json(reply.read(_MOST_BYTES + 1).decode("utf-8", "replace"))
        except urllib.error.HTTPError as error:
            with error:
                said = error.read(2000).decode("utf-8", "replace")
            raise _Failed(
                f"GitHub's API answers {method} with HTTP {error.code}: {clean(said, 300)}"
            ) from None
        except (OSError, ValueError) as error:
            raise _Failed(f"GitHub's API at {clean(self.base)}: {clean(str(error), 200)}") from None


def _by_api(place: Place, environ: Mapping[str, str]) -> _Api | None:
    """The API, where there is a token for it."""
    base = environ.get("GITHUB_API_URL", "")
    if not _ADDRESS.fullmatch(base) or _host(base) not in (place.host, f"api.{place.host}"):
        base = _API if place.host == _PUBLIC else ""
    names = [*(_OF_COMPANIES if place.host != _PUBLIC else ()), "GH_TOKEN", "GITHUB_TOKEN"]
    token = next((environ[name] for name in names if environ.get(name)), "")
    if not base or not token or not token.isprintable():
        return None
    return _Api(base.rstrip("/"), token, place)


def _host(address: str) -> str:
    try:
        return urllib.parse.urlsplit(address).hostname or ""
    except ValueError:
        return ""


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise _Failed("the answer is no JSON") from None


def _number(found: Any) -> int:
    number = found.get("number") if isinstance(found, dict) else None
    if type(number) is not int:
        raise _Failed("the answer names no pull request")
    return number


def _address(found: Any) -> str:
    if not isinstance(found, str) or not _ADDRESS.fullmatch(found):
        raise _Failed("the answer holds no address of the pull request")
    return found
