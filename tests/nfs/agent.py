"""Runs commands in a guest for the host: one JSON object a line in each direction, over a serial line."""

import contextlib
import json
import os
import subprocess
import threading
import tty

LINE = os.open("/dev/ttyS0", os.O_RDWR | os.O_NOCTTY)
TURN = threading.Lock()  # answers of different threads do not mix


def answer(**content: object) -> None:
    """Send one line."""
    data = memoryview(json.dumps(content).encode() + b"\n")
    with TURN:
        while data:
            data = data[os.write(LINE, data) :]


def work(job: dict) -> None:
    """Run one command to its end and answer with its status and what it printed."""
    try:
        done = subprocess.run(
            job["command"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            check=False,
        )
        answer(id=job["id"], status=done.returncode, output=done.stdout.decode(errors="replace"))
    except OSError as error:
        answer(id=job["id"], status=127, output=str(error))


def main() -> None:
    """Serve for ever; a command that hangs hangs only its own thread."""
    tty.setraw(LINE)
    answer(id=0)
    with contextlib.closing(os.fdopen(LINE, "rb", closefd=False)) as stream:
        for line in stream:
            threading.Thread(target=work, args=(json.loads(line),), daemon=True).start()


main()
