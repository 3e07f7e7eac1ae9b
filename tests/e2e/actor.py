"""What the farms of these tests run: an idea's `train: |` block, as Python, with the verbs below.

It is copied into each project. As a training script it gets the flags of the contract; as any other script
it is called with its role (`evaluate`, `pre`, a post script's name) and runs the block of that name.
Everything that it does goes into history.jsonl of the project, one line each.
"""

import fcntl
import json
import os
import select
import signal
import sys
import time
import traceback  # noqa: F401 - for the scripts of the ideas

HISTORY, FLAGS, LOCKS = "history.jsonl", "flags", "locks"
env = os.environ
idea, attempt = env["ORZE_IDEA_ID"], env["ORZE_ATTEMPT"]
home = os.path.dirname(env["ORZE_IDEA_CONFIG"])
out = env["REVIS_OUTPUT_DIR"]
host = os.uname().nodename
with open(f"{home}/environment.json", encoding="utf-8") as about:
    slots = json.load(about)["gpu"]


def note(what, **more):
    """Append a line to the history, in one write."""
    told = {"what": what, "idea": idea, "attempt": attempt, "host": host, "slot": slots, "pid": os.getpid()}
    clocks = {"at": time.time(), "steady": time.monotonic()}  # the second is one for all machines of a test
    line = json.dumps({**told, **clocks, **more}) + "\n"
    descriptor = os.open(HISTORY, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.write(descriptor, line.encode())
    os.close(descriptor)


def touch(name):
    """Raise a flag that the test waits for."""
    open(f"{FLAGS}/{name}", "w", encoding="utf-8").close()


def wait(name):
    """Go on when the test raises this flag."""
    while not os.path.exists(f"{FLAGS}/{name}"):
        pause(0.01)


def pause(seconds):
    """Let time pass, as a training does."""
    select.select([], [], [], seconds)


def rest():
    """Stay until killed."""
    while True:
        signal.pause()


def write(name, text):
    """Write a file of the idea through its --results-dir."""
    os.makedirs(out, exist_ok=True)
    with open(f"{out}/{name}", "w", encoding="utf-8") as stream:
        stream.write(text)


def metrics(status="COMPLETED", **values):
    """Write metrics.json; `by` says which attempt measured."""
    write("metrics.json", json.dumps({"status": status, "by": attempt, **values}))


def progress(**values):
    """Append one line to progress.jsonl."""
    with open(f"{out}/progress.jsonl", "a", encoding="utf-8") as stream:
        stream.write(json.dumps(values) + "\n")


def save(text):
    """Save a checkpoint."""
    with open(f"{env['ORZE_CHECKPOINT_DIR']}/checkpoint", "w", encoding="utf-8") as stream:
        stream.write(text)


def resumed():
    """The text of the checkpoint that this attempt may go on from; empty at first."""
    source = env["ORZE_RESUME_FROM"]
    return open(f"{source}/checkpoint", encoding="utf-8").read() if source else ""


def on_term(action):
    """Do this on SIGTERM, then end as a script does that was asked to."""

    def handle(*_):
        note("term")
        action()
        os._exit(143)

    signal.signal(signal.SIGTERM, handle)


def ignore_term():
    """Be deaf to SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: note("deaf"))


def leave_children():
    """Leave a grandchild behind that has a session of its own, is deaf to SIGTERM and never ends."""
    if os.fork() == 0:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if os.fork() == 0:
            note("grandchild")
            rest()
        os._exit(0)


def hold(name):
    """Hold a lock for as long as this process or a child of it lives; tell where another has it."""
    descriptor = os.open(f"{LOCKS}/{name}", os.O_RDWR | os.O_CREAT, 0o666)
    os.set_inheritable(descriptor, True)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        note("overlap", lock=name)
    return descriptor


def block(name):
    """The lines of a block of the claimed section, without their indentation."""
    with open(f"{home}/input/ideas.md", encoding="utf-8") as stream:
        lines = stream.read().splitlines()
    if f"{name}: |" not in lines:
        return ""
    behind = lines[lines.index(f"{name}: |") + 1 :]
    end = next((at for at, line in enumerate(behind) if line and not line.startswith("  ")), len(behind))
    return "\n".join(line[2:] for line in behind[:end])


role = "train" if sys.argv[1].startswith("--") else sys.argv[1]
if role == "train":
    machine = os.readlink("/proc/self/ns/pid")
    held = [hold(name) for name in (idea, *(f"{machine}.{slot}" for slot in slots.split(",")))]
note("start", role=role, argv=sys.argv[1:], cwd=os.getcwd())
code = block(role) or ("metrics(val_accuracy=0.5)" if role == "train" else "")
exec(compile(code, f"<{role} of {idea}>", "exec"))
note("end", role=role)
