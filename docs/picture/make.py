"""Draws docs/picture/status.svg and show.svg from a farm that really runs: python docs/picture/make.py."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from io import StringIO
from pathlib import Path

from rich.console import Console, RenderableType

from orze.cli.views.idea import idea_view
from orze.cli.views.status import StatusView
from orze.client.project import Project, open_project
from orze.client.reader import Reader
from orze.client.status import Farm, look
from orze.client.whole import gather
from orze.core.states import SUCCEEDED
from orze.gpu.inventory import Inventory

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
LIMIT = 300  # seconds for all of it
COLUMNS = 100
ENDED, CURVE = 3, 6  # results and values of a curve that make a picture worth looking at
TOLD = ("git_commit", "python", "packages_sha256", "gpu")  # of the environment; paths of this machine are not
FONTS = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)  # of a server elsewhere; any fixed font will do


def main() -> int:
    """Run the shipped ideas until there is something to see, and draw it; 1 if that took too long."""
    with tempfile.TemporaryDirectory(prefix="digits-") as directory:
        home = Path(directory)
        for name in ("train_idea.py", "ideas.md"):
            shutil.copy(ROOT / name, home / name)
        shutil.copytree(ROOT / "configs", home / "configs")
        (home / "orze.yaml").write_text("report: {title: Digits}\n")
        cards = ["--gpus", "cpu:3"] if not Inventory().probe() else []
        daemon = subprocess.Popen(
            [sys.executable, str(ROOT / "farm.py"), "--poll", "1", *cards],
            cwd=home,
            stderr=subprocess.DEVNULL,
        )
        try:
            return draw(open_project(None, cwd=home, environ={}))
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait()
            subprocess.run(
                [sys.executable, str(ROOT / "farm.py"), "--stop-attempts", *cards], cwd=home, check=False
            )


def draw(project: Project) -> int:
    """Wait until there is enough to see, then draw both pictures."""
    until = time.monotonic() + LIMIT
    farm = look(project)
    while not worth_showing(farm):
        if time.monotonic() > until:
            print("the farm showed too little in time", file=sys.stderr)
            return 1
        time.sleep(0.1)
        farm = look(project)
    save(StatusView(farm, start="orze run"), "status.svg", "orze status -w")
    reader = Reader(project)
    while not (idea_id := child(reader)):
        if time.monotonic() > until:
            print("no idea with a parent ended in time", file=sys.stderr)
            return 1
        time.sleep(0.5)
        reader.read()
    whole = gather(project, reader, idea_id)
    known = {name: value for name, value in whole.environment.items() if name in TOLD}
    parent = gather(project, reader, whole.parent)
    save(
        idea_view(replace(whole, environment=known, files=(), section=""), parent),
        "show.svg",
        f"orze show {idea_id}",
    )
    return 0


def worth_showing(farm: Farm) -> bool:
    """Whether some ideas have ended and one that runs has a curve."""
    ended = farm.told.get("recent_results") or []
    return len(ended) >= ENDED and any(len(run.curve.values) >= CURVE for run in farm.runs)


def child(reader: Reader) -> str:
    """An idea that completed and builds on another that did; empty where there is none yet."""
    done = {idea_id for state in SUCCEEDED for idea_id in reader.queue.by_state[state]}
    entries = ((idea_id, reader.queue.get(idea_id)) for idea_id in sorted(done))
    return next((name for name, entry in entries if entry and entry.idea and entry.idea.parent in done), "")


def save(view: RenderableType, name: str, title: str) -> None:
    """Draw one view as a terminal shows it."""
    console = Console(
        file=StringIO(), record=True, width=COLUMNS, force_terminal=True, color_system="truecolor",
        markup=False, highlight=False,
    )  # fmt: skip
    console.print(view)
    drawn = console.export_svg(title=title, unique_id=name.partition(".")[0])
    drawn = FONTS.sub("", drawn).replace("<svg ", '<svg xml:space="preserve" ', 1)
    (HERE / name).write_text(drawn, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
