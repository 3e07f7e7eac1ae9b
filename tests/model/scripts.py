"""The user's training scripts: they compute for a while, write metrics.json where they are told, and end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tests.model.ghost import Execution
from tests.model.scheduler import Process
from tests.model.system import CURRENT

if TYPE_CHECKING:
    from tests.model.plan import IdeaPlan
    from tests.model.world import World

_TRIES = 5  # of a script to write its result
_REST = 5.0  # seconds between them
_EVALUATION = 10.0  # seconds


class Scripts:
    """Starts scripts, and tells the ghost when they compute."""

    def __init__(self, world: World) -> None:
        self._world = world

    def begin(self, argv: Sequence[str], env: dict[str, str], locks: list[str]) -> int:
        """Start one for the current process, whose locks it inherits."""
        kind = "evaluation" if "eval.py" in argv[1] else "training"
        number, _, token = env["ORZE_ATTEMPT"].partition("-")
        idea_id = env["ORZE_IDEA_ID"]
        plan = self._world.plan.ideas[int(idea_id.partition("-")[2]) - 1]
        script = self._start(
            idea_id, token, kind, plan, lambda: self._train(plan, kind, int(number), token, env)
        )
        script.parent_death = True
        for path in locks:
            CURRENT.host.locks.setdefault(path, []).append(script)
        return script.pid

    def _start(self, idea_id: str, token: str, kind: str, plan: IdeaPlan, body) -> Process:
        world, parent = self._world, CURRENT.process
        process = CURRENT.host.start("script", body, token=token)
        process.parent = parent
        parent.children.append(process)
        if plan.stubborn:
            process.handlers[15] = lambda *_: None
        run = Execution(idea_id, token, kind, process, world.scheduler.now)
        world.ghost.began(run)

        def ended() -> None:
            run.ended = world.scheduler.now

        process.on_end.append(ended)
        return process

    def _train(self, plan: IdeaPlan, kind: str, number: int, token: str, env: dict[str, str]) -> None:
        clock, files = CURRENT.host.clock, CURRENT.host.files
        if plan.helper and kind == "training":
            idea_id = env["ORZE_IDEA_ID"]
            self._start(idea_id, token, "helper", plan, lambda: clock.sleep(plan.seconds * 2))
        clock.sleep(plan.seconds if kind == "training" else _EVALUATION)
        if kind == "evaluation":
            return
        if plan.ends == "badly" or (plan.ends == "badly once" and number == 1):
            CURRENT.process.status = 1 << 8
            return
        metrics = {"status": "COMPLETED", "val_loss": 0.5, "token": token}
        data = b"{" if plan.ends == "misshapen" else json.dumps(metrics).encode()
        for _ in range(_TRIES):
            try:
                files.write_plain(f"{env['REVIS_OUTPUT_DIR']}/metrics.json", data)
            except OSError:
                clock.sleep(_REST)
            else:
                return
        CURRENT.process.status = 1 << 8
