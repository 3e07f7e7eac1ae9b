"""Every path under results/, in one place."""

from __future__ import annotations

DAEMON = "daemon"  # the subject of a daemon's heartbeat; that of a keeper is its idea


class IdeaPaths:
    """The names inside `results/<idea>/`."""

    __slots__ = ("home",)

    def __init__(self, home: str) -> None:
        self.home = home

    @property
    def chain(self) -> str:
        """The records that say where the idea stands; the truth."""
        return f"{self.home}/.chain"

    @property
    def attempts(self) -> str:
        """One directory for each attempt, never reused and never moved."""
        return f"{self.home}/attempts"

    def attempt(self, number: int, token: str) -> str:
        """The directory of one attempt."""
        return f"{self.attempts}/{attempt_name(number, token)}"

    def projection(self, name: str) -> str:
        """A file at the top of the idea's directory, shown to people and never read back."""
        return f"{self.home}/{name}"

    def stop_request(self, token: str) -> str:
        """A file that tells the keeper of one attempt to stop it; beside the records that it lists."""
        return f"{self.chain}/stop-{token}"

    def prune_request(self, token: str) -> str:
        """A file that tells the keeper of one attempt that its training is hopeless, and why."""
        return f"{self.chain}/prune-{token}"


class FarmPaths:
    """The names inside the results directory of a farm."""

    __slots__ = ("results",)

    def __init__(self, results: str) -> None:
        self.results = results.rstrip("/") or "/"

    def idea(self, idea_id: str) -> IdeaPaths:
        """The directory of one idea: making it is the gate of a claim."""
        return IdeaPaths(f"{self.results}/{idea_id}")

    @property
    def home(self) -> str:
        """What hosts tell one another."""
        return f"{self.results}/.orze"

    @property
    def heartbeats(self) -> str:
        """One counter for each living keeper and daemon."""
        return f"{self.home}/heartbeats"

    def heartbeat(self, subject: str, token: str) -> str:
        """The counter of one keeper (subject: the idea) or daemon (subject: DAEMON)."""
        return f"{self.heartbeats}/{subject}.{token}"

    @property
    def doors(self) -> str:
        """One directory for each attempt, given to its script as `--results-dir`."""
        return f"{self.home}/doors"

    def door(self, token: str) -> str:
        """The door of one attempt."""
        return f"{self.doors}/{token}"

    @property
    def leader(self) -> str:
        """The chain that says who leads."""
        return f"{self.home}/leader"

    @property
    def journal(self) -> str:
        """The chain of what the leaders took in and applied."""
        return f"{self.home}/journal"

    @property
    def requests(self) -> str:
        """What operators asked for."""
        return f"{self.home}/requests"

    @property
    def hosts(self) -> str:
        """What each daemon tells of its cards."""
        return f"{self.home}/hosts"

    def host(self, token: str) -> str:
        """The file of one daemon."""
        return f"{self.hosts}/{token}.json"

    @property
    def notify(self) -> str:
        """What people were told of, one file for each term of a leader."""
        return f"{self.home}/notify"

    def mirror(self, name: str) -> str:
        """How far an experiment tracker was told of what ended."""
        return f"{self.home}/mirrors/{name}.json"

    @property
    def research(self) -> str:
        """What research keeps."""
        return f"{self.home}/research"

    @property
    def research_chain(self) -> str:
        """The chain of its rounds."""
        return f"{self.research}/chain"

    def research_file(self, name: str) -> str:
        """A file beside that chain: ledger.jsonl, round.log, trials.json."""
        return f"{self.research}/{name}"

    @property
    def refine(self) -> str:
        """What the process that refines the code keeps."""
        return f"{self.home}/refine"

    @property
    def out(self) -> str:
        """Files that are replaced often, so that results/ itself changes only with its ideas."""
        return f"{self.home}/out"

    def output(self, name: str) -> str:
        """One of them: report.md, status.json, progress.svg."""
        return f"{self.out}/{name}"

    def face(self, name: str) -> str:
        """The symbolic link at the top of results/ that leads to it."""
        return f"{self.results}/{name}"


def attempt_name(number: int, token: str) -> str:
    """The directory name of an attempt."""
    return f"{number}-{token}"
