"""Runs the shipped ideas through the real daemon until they are done, then prints the leaderboard."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 900  # seconds for all of it


def finished(status: Path) -> bool:
    """Whether the farm's status says that nothing runs or waits any more."""
    try:
        told = json.loads(status.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return told["queue_depth"] == 0 and not told["active"] and told["completed"] + told["failed"] > 0


def leaderboard(report: Path) -> str:
    """The report up to the end of its leaderboard."""
    shown: list[str] = []
    for line in report.read_text(encoding="utf-8").splitlines():
        if line.startswith("## ") and any(part.startswith("## ") for part in shown):
            break
        shown.append(line)
    return "\n".join(shown)


def main() -> int:
    """Run the demo; exit status 1 if it did not come to an end in time."""
    results = ROOT / "results"
    command = [sys.executable, str(ROOT / "farm.py"), "--gpus", "cpu:2", "--poll", "5"]
    daemon = subprocess.Popen(command, cwd=ROOT)
    deadline = time.monotonic() + LIMIT
    try:
        while not finished(results / "status.json"):
            if daemon.poll() is not None:
                return daemon.returncode or 1
            if time.monotonic() > deadline:
                print("the demo did not end in time; see results/report.md", file=sys.stderr)
                return 1
            time.sleep(0.5)
    finally:
        if daemon.poll() is None:
            daemon.send_signal(signal.SIGTERM)
        daemon.wait()
    print()
    print(leaderboard(results / "report.md"))
    print(f"\nThe whole report: {results / 'report.md'}   the picture: {results / 'progress.svg'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
