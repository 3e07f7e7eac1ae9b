"""What a step of a session costs beside the training and the model's answer: eight steps of a quick training.

The model is a server of this machine that answers at once, the training takes a fraction of a second; so what
is told is the time of the loop, its farm, git and the process that asks, from the beginning of a step to its
verdict, less what the training took by its own record.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from statistics import median

from common import ROOT, tell

sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "e2e")]

from revis_house import House, proposal  # noqa: E402

from orze.coord.record import decode  # noqa: E402
from tests.fakes.chat import says, serving  # noqa: E402

BAR = 1.0  # seconds
STEPS = 8


def overheads(house: House, name: str) -> list[float]:
    """Seconds of each step but the first two: meanwhile a model's client is loaded."""
    records = [
        decode(path.read_bytes()) for path in sorted((house.home / ".revis" / name / "chain").rglob("*.json"))
    ]
    ends = [record["at"] for record in records if record["kind"] == "VERDICT"]
    trained = [record["seconds"] for record in records if record["kind"] == "OUTCOME"]
    return [later - before - took for (before, later), took in zip(pairwise(ends), trained[1:], strict=True)][
        1:
    ]


def main() -> None:
    """Run a session, and tell."""
    if importlib.util.find_spec("litellm") is None:
        print("refine: not measured, litellm is not installed")
        return
    home = Path(tempfile.mkdtemp(prefix="revis-bench-"))
    with serving() as chat:

        def scripted(handler: object) -> None:
            text = "\n".join(message["content"] for message in chat.asked[-1]["messages"])
            says(proposal(text, len(chat.asked)))(handler)  # type: ignore[arg-type]

        chat.will(scripted)
        llm = {"model": "openai/scripted", "api_base": chat.address, "price": {"input": 1.0, "output": 1.0}}
        house = House(home, llm=llm)
        try:
            os.environ["OPENAI_API_KEY"] = "none"
            house.environ["OPENAI_API_KEY"] = "none"
            house.run("loop", "--name", "bench", "--budget", f"{STEPS + 1} runs", status=4)
            found = overheads(house, "bench")
            tell(
                f"refine: a step beside training and answer, median of {len(found)}:", median(found), "s", BAR
            )
            tell("refine: the slowest of them:", max(found), "s", BAR)
        finally:
            house.close()
            shutil.rmtree(home)


if __name__ == "__main__":
    main()
