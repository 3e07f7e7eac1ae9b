"""What a daemon tells a keeper: the shapes of the two messages, and nothing that runs."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NotRequired, TypedDict

    class Prepare(TypedDict):
        """The first message: take the locks and make the heartbeat, before anything is claimed."""

        results: str  # the farm's results directory
        idea_id: str
        token: str
        locks: list[str]  # the lock files of its slots; a keeper that cannot have them all answers so

    class Lease(TypedDict):
        """Seconds, as docs/protocol.md names them."""

        heartbeat: float
        fence: float
        kill: float

    class Command(TypedDict):
        """A command of the user's."""

        name: str
        argv: list[str]
        timeout: float
        output: str  # a file that it must write, relative to the idea's directory; empty for none
        as_it_is: NotRequired[bool]  # no places of the attempt's own are filled in: it is a line of a shell

    class Checkout(TypedDict):
        """The commit whose code runs."""

        repository: str  # the directory that holds what all its worktrees share, such as /project/.git
        commit: str  # its whole hash
        prefix: str  # where in it the commands run, such as `` or `code/training`

    class Trained(TypedDict):
        """An earlier attempt that trained, whose evaluation is all that is left."""

        directory: str  # name under attempts/
        metrics: dict[str, object]
        seconds: float

    class Go(TypedDict):
        """The second message: the claim stands, run the attempt."""

        attempt: int
        frame: dict[str, object]  # host, boot, pid namespace, pid and start time of the keeper
        gpu: str  # the slots, as people name them
        doors: bool
        delay: float  # seconds to wait before anything starts (C, behind a LOST)
        section: str
        config: str  # idea.yaml: base and section merged
        base: str  # the base configuration's text
        environment: dict[str, object]  # environment.json
        cwd: str  # the directory of the code; with a checkout, the commands run in its place in the worktree
        checkout: Checkout | None
        protected: list[str]  # patterns of files that no training may change
        env: dict[str, str]
        train: Command
        pre: Command | None
        evaluation: Command | None
        posts: list[Command]
        trained: Trained | None
        links: dict[str, str]  # other ideas to be reached through the door -> their directory under results/
        resume_above: int  # checkpoints of attempts above this number may be gone on from
        stall: float  # seconds without growth of log or progress; 0 for no limit
        grace: float
        lease: Lease
        primary: str | None
        retry: dict[str, int]
        max_failures: int
        elsewhere: NotRequired[bool]  # processes here stand for commands there (orze.attempt.told)


LOG = "train_output.log"
EVAL_LOG = "eval_output.log"
PROGRESS = "progress.jsonl"
CHECKPOINTS = "checkpoints"
CONFIG = "idea.yaml"
ENVIRONMENT = "environment.json"
CODE = "code"  # the worktree of a commit
OWN_LOG = "farm.log"
INPUT = "input"  # the snapshots that the script gets as --ideas-md and --config
SECTION = "ideas.md"
BASE = "base.yaml"
