"""Writes docs/revis-cli.md: `python -m orze.cli.revis.manual > docs/revis-cli.md`."""

from __future__ import annotations

import sys
from typing import Final

from orze.cli.manual import Manual
from orze.cli.revis.app import PROGRAM

HEAD: Final = """\
# The command `revis`

<!-- Written by `python -m orze.cli.revis.manual > docs/revis-cli.md`; a test holds it to the code. -->

Lets a model improve a training script, and shows what came of it. [howto/revis.md](howto/revis.md) tells how
it works and has every key of revis.yaml.

```text
revis [-c PATH] COMMAND ...
```

It works on the project in the working directory, that of `revis.yaml` there, or on the one whose settings
`-c` names. `-c` may also stand behind the command. `revis COMMAND --help` tells what this page tells.
"""

SCRIPTS: Final = """\
## For scripts

- `--json` prints plain values in ASCII; a number that JSON does not know is `null`.
- Faults are one sentence on stderr; stdout holds the result alone.
- Without a terminal, output is plain and 80 columns wide. `NO_COLOR` is honoured.

| exit status | meaning |
| --- | --- |
| 0 | done; of a loop: the target was reached |
| 1 | the answer is no |
| 2 | wrong usage or settings |
| 3 | the loop did not answer in time; what was asked of it stays |
| 4 | of a loop: the budget is used up |
| 5 | of a loop: a plateau |
| 6 | of a loop: somebody stopped it |
| 7 | of a loop: it failed |
| 8 | of a loop: it diverged |
| 130 | Ctrl-C |
"""

EXAMPLES: Final = {
    "init": ("revis init", "revis init --yes"),
    "loop": (
        "revis loop --name first --budget 4h",
        "revis loop --budget '20 runs, $5' --background",
    ),
    "stop": ("revis stop first", "revis stop first --now"),
    "resume": ("revis resume first", "revis resume first --budget 2h --background"),
    "status": ("revis status", "revis status -w", "revis status first --json"),
    "list": ("revis list",),
    "logs": ("revis logs first -f", "revis logs first --step 3 -n 200"),
    "watch": ("revis watch first",),
    "show": ("revis show first", "revis show first 3"),
    "compare": ("revis compare first 0 3",),
    "export": ("revis export first", "revis export first --csv steps.csv --patch kept.patch"),
    "delete": ("revis delete first", "revis delete first --branch --yes"),
}

MANUAL: Final = Manual(PROGRAM, HEAD, SCRIPTS, EXAMPLES)

if __name__ == "__main__":
    sys.stdout.write(MANUAL.page())
