"""Reads the report of a farm for ever, as people do on any host, and notes every one that is not whole.

usage: reader.py RESULTS NOTES. NOTES gets one JSON object: how many were read, and what was wrong.
"""

import json
import os
import sys
import time


def fault(name: str, text: str) -> str:
    """What is wrong with the text of one of the two; empty where it is whole."""
    if name == "report.md":
        whole = text.startswith("# ") and "\n## Hosts\n" in text and text.endswith("|\n")
        return "" if whole else f"{name}: {text!r}"
    try:
        status = json.loads(text)
    except ValueError as error:
        return f"{name}: {error}: {text!r}"
    return "" if "hosts" in status and "states" in status else f"{name}: {text!r}"


def main(results: str, notes: str) -> None:
    """Read both in turn; an error of the share is no answer, and not half of one."""
    told: dict[str, object] = {"reads": 0, "errors": 0}
    faults: list[str] = []
    begun = False
    while True:
        for name in ("status.json", "report.md"):
            try:
                if not begun and name not in os.listdir(results):
                    continue
                with open(f"{results}/{name}", encoding="utf-8") as stream:
                    text = stream.read()
            except OSError as error:
                if not begun:
                    continue
                told["errors"] = int(str(told["errors"])) + 1
                if isinstance(error, FileNotFoundError):
                    faults.append(f"{name}: {error}")
                continue
            begun = True
            told["reads"] = int(str(told["reads"])) + 1
            if wrong := fault(name, text):
                faults.append(wrong)
        with open(f"{notes}.new", "w", encoding="utf-8") as stream:
            json.dump({**told, "faults": faults}, stream)
        os.replace(f"{notes}.new", notes)
        time.sleep(0.5)


main(*sys.argv[1:])
