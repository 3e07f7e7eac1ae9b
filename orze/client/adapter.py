#!/usr/bin/env python3
"""Lets the farm run a training script that does not know it; `orze init` wrote this for one script.

The farm calls this file once for each attempt. It

1. reads the idea's configuration (configs/base.yaml with the idea's own values on top);
2. runs COMMAND with one flag for each value of it;
3. turns what the script measured into metrics.json: the first of METRICS_FILES that the script wrote into the
   directory of the attempt, or else the last line that it printed and that is a JSON object, such as
   `print(json.dumps({"val_loss": loss}))`.

Every JSON object that the script prints on a line of its own is shown live by the farm. Change this file as
you like: it imports nothing of the farm. RULES.md, "The training script", says what the farm expects.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import traceback
from typing import IO, Any

# ---- What `orze init` found; correct it where the script has changed.

# The script, and words that always stand behind it, such as a subcommand.
COMMAND: list[str] = ["train.py"]

# Key of the configuration: the flag that it becomes, and how its value is written:
#   value     --lr=0.1                      values  --layers 64 64       append  --tag=a --tag=b
#   set       --amp, if true                unset   --no-amp, if false   switch  --amp or --no-amp
#   count     -v as many times as told      truth   --amp=True, or --amp= where false (argparse's type=bool)
#   place     the value alone, without a flag
# A value that is null is left out, so that the script's own default holds.
FLAGS: dict[str, tuple[str, str]] = {}

# Whether the script may take flags that are not listed: other keys are then written as --key=value.
# Otherwise such a key is an error, so that a slip of the pen is not taken for a result.
TAKES_MORE: bool = False

# Keys that say where the script writes. Unless the configuration sets one, it is the attempt's own directory.
OUTPUT_KEYS: tuple[str, ...] = ()

# Files of metrics, looked for in the directory of the attempt, in this order.
METRICS_FILES: tuple[str, ...] = ("metrics.json", "eval.json", "results.json", "all_results.json")

# ---- From here on nothing depends on the script.

LINE_LIMIT = 8192  # bytes of a line of progress.jsonl
FILE_LIMIT = 1 << 20  # bytes of a metrics file
PATIENCE = 5.0  # seconds


class ProblemError(Exception):
    """Something that the author of an idea can put right; the text is one sentence."""


def load_config(path: str) -> dict[str, Any]:
    """The merged configuration."""
    try:
        import yaml
    except ModuleNotFoundError:
        raise ProblemError(f"PyYAML is missing in {sys.executable}; run: pip install pyyaml") from None
    with open(path, encoding="utf-8") as stream:
        loaded = yaml.safe_load(stream)
    if not isinstance(loaded, dict):
        raise ProblemError(f"{path}: the configuration must be a mapping such as 'lr: 0.1'")
    return loaded


def words_of(config: dict[str, Any]) -> list[str]:
    """The arguments of the script for a configuration; those without a flag come last."""
    words: list[str] = []
    places: list[str] = []
    for key, value in config.items():
        flag, kind = FLAGS.get(key, (f"--{key}", "value"))
        if key not in FLAGS and not TAKES_MORE:
            known = ", ".join(FLAGS) or "none: it takes no flags"
            raise ProblemError(f"unknown key '{key}'; the keys of {COMMAND[0]} are: {known}")
        if value is not None:
            (places if kind == "place" else words).extend(flag_words(flag, kind, value))
    return words + (["--", *places] if any(place.startswith("-") for place in places) else places)


def flag_words(flag: str, kind: str, value: Any) -> list[str]:
    """The words for one value."""
    items = value if isinstance(value, list) else [value]
    if kind in ("set", "unset", "switch"):
        if not isinstance(value, bool):
            raise ProblemError(f"{flag.lstrip('-')} must be true or false, not {value!r}")
        no = f"--no-{flag[2:]}"
        return {"set": [flag] * value, "unset": [flag] * (not value), "switch": [flag if value else no]}[kind]
    if kind == "count":
        return [flag] * int(value)
    if kind == "place":
        return [text_of(item) for item in items]
    if kind == "values":
        return [flag, *map(text_of, items)]
    if kind == "truth":
        return [f"{flag}={value if value else ''}"]
    texts = [text_of(item) for item in (items if kind == "append" else [value])]
    long = flag.startswith("--")
    return [word for text in texts for word in ([f"{flag}={text}"] if long else [flag, text])]


def text_of(value: Any) -> str:
    """A value as a word: a mapping or a list where the script wants one text is written as JSON."""
    return json.dumps(value) if isinstance(value, (dict, list)) else str(value)


class Listener(threading.Thread):
    """Passes on what the script prints, and keeps the JSON objects among its lines.

    Attributes:
        last: the last of them.
    """

    def __init__(self, stream: IO[bytes], output: str) -> None:
        super().__init__(daemon=True)
        self.stream = stream
        self.progress = os.path.join(output, "progress.jsonl")
        self.last: dict[str, Any] | None = None

    def run(self) -> None:
        """Read until the script, and whatever it started, has closed its output."""
        begun = b""
        while True:
            part = os.read(self.stream.fileno(), 1 << 16)
            sys.stdout.buffer.write(part)
            sys.stdout.buffer.flush()
            *lines, begun = (begun + part).split(b"\n")
            if not part or len(begun) > FILE_LIMIT:  # a line without an end is no result
                lines, begun = [*lines, begun[:FILE_LIMIT]], b""
            for line in lines:
                self.take(line)
            if not part:
                return

    def take(self, line: bytes) -> None:
        """Look at one line."""
        found = json_object(line)
        if found is None:
            return
        self.last = found
        if len(line) < LINE_LIMIT:
            with open(self.progress, "a", encoding="utf-8") as stream:
                stream.write(json.dumps(found) + "\n")


def run(command: list[str], output: str) -> tuple[int, dict[str, Any] | None]:
    """Run the script to its end.

    Args:
        output: the directory of the attempt.

    Returns:
        Its status, as subprocess gives it, and the last JSON object that it printed.
    """
    early: list[int] = []
    # A stop comes as SIGTERM to this process: it is passed on, and the script is given its time to save.
    signal.signal(signal.SIGTERM, lambda number, _: early.append(number))
    script = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    signal.signal(signal.SIGTERM, lambda number, _: script.send_signal(number))
    for number in early:
        script.send_signal(number)
    assert script.stdout is not None  # noqa: S101 - told to Popen above
    listener = Listener(script.stdout, output)
    listener.start()
    status = script.wait()
    listener.join(PATIENCE)  # what the script left running may keep its output open for ever
    return status, listener.last


def json_object(data: bytes) -> dict[str, Any] | None:
    """The JSON object that these bytes are; None where they are none."""
    if not data.lstrip().startswith(b"{"):
        return None
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def metrics_of(output: str, printed: dict[str, Any] | None) -> dict[str, Any]:
    """What the script measured."""
    for name in METRICS_FILES:
        path = os.path.join(output, name)
        if os.path.isfile(path):
            with open(path, "rb") as stream:
                found = json_object(stream.read(FILE_LIMIT))
            if found is None:
                raise ProblemError(f"{name} holds no JSON object of at most {FILE_LIMIT >> 20} MiB")
            return found
    if printed is None:
        raise ProblemError(
            f"{COMMAND[0]} ended well, but told no metrics: let it print them as its last line, such as "
            'print(json.dumps({"val_loss": loss}))'
        )
    return printed


def write_metrics(output: str, metrics: dict[str, Any]) -> None:
    """Replace metrics.json in one step: a reader sees the old one or the new one, never a part."""
    path = os.path.join(output, "metrics.json")
    with open(f"{path}.tmp", "w", encoding="utf-8") as stream:
        json.dump(metrics, stream)
    os.replace(f"{path}.tmp", path)


def attempt(args: argparse.Namespace, more: list[str], output: str) -> int:
    """Run the script and write metrics.json; the exit status of this program."""
    config = load_config(os.environ.get("ORZE_IDEA_CONFIG") or args.config)
    own = {key: output for key in OUTPUT_KEYS if config.get(key) is None}
    command = [sys.executable, *COMMAND, *more, *words_of({**config, **own})]
    print("running:", *command, flush=True)
    status, printed = run(command, output)
    if status < 0:  # a signal ended the script: end the same way, so that the farm tells the cause
        signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    # Of several processes on one idea (torchrun) only the first one reports. A script that failed says
    # nothing here either: its log and exit status tell the farm why.
    if status == 0 and os.environ.get("RANK", "0") == "0":
        metrics = metrics_of(output, printed)
        ended = "FAILED" if metrics.get("status") == "FAILED" else "COMPLETED"
        write_metrics(output, {**metrics, "status": ended})
    return status


def main() -> int:
    """Run one attempt."""
    parser = argparse.ArgumentParser(description=f"Runs {' '.join(COMMAND)} for one idea of the farm.")
    for flag in ("--idea-id", "--results-dir", "--ideas-md", "--config"):
        parser.add_argument(flag, required=True)
    args, more = parser.parse_known_args()  # train_extra_args of orze.yaml are for the script
    output = os.path.join(args.results_dir, args.idea_id)
    os.makedirs(output, exist_ok=True)
    try:
        return attempt(args, more, output)
    except Exception as error:  # noqa: BLE001 - whatever went wrong, metrics.json tells it
        if not isinstance(error, ProblemError):
            traceback.print_exc()
        sentence = str(error) if isinstance(error, ProblemError) else f"{type(error).__name__}: {error}"
        print(f"FAILED: {sentence}", file=sys.stderr)
        write_metrics(output, {"status": "FAILED", "error": sentence[:500]})
        return 1


if __name__ == "__main__":
    sys.exit(main())
