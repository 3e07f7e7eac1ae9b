"""Coverage-guided fuzzing: `fuzz.py TARGET MINUTES` (TARGET `all`: one after the other, in equal parts).

It begins with the inputs of corpus.py and keeps what reaches new code. An input on which a target fails, or
takes longer than 5 seconds or more than 1 GiB, is kept and named; the exit status is then 1.
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SECONDS, MEBIBYTES, LONGEST = 5, 1024, 1 << 16  # of one input
_CODE = ("orze.ideas", "orze.config", "orze.coord", "orze.attempt.metrics", "orze.attempt.projections",
         "orze.farm.outcomes", "orze.farm.board", "orze.farm.hosts", "orze.report")  # fmt: skip


def main() -> int:
    """Fuzz the targets that are asked for, each in a process of its own."""
    sys.path.insert(0, str(ROOT))
    from tests.fuzz.corpus import CORPUS

    parser = argparse.ArgumentParser(description="Coverage-guided fuzzing of what comes from outside.")
    parser.add_argument("target", choices=["all", *CORPUS])
    parser.add_argument("minutes", type=float)
    parser.add_argument("--keep", type=Path, default=ROOT / ".fuzz", help="where inputs are kept")
    if sys.argv[1:2] == ["--one"]:
        fuzz(sys.argv[2], sys.argv[3:])
    options = parser.parse_args()
    names = list(CORPUS) if options.target == "all" else [options.target]
    failed = [name for name in names if not run(name, 60 * options.minutes / len(names), options.keep)]
    print(f"fuzz: {len(names)} targets, {options.minutes:g} minutes: {', '.join(failed) or 'no'} failures")
    return 1 if failed else 0


def run(name: str, seconds: float, keep: Path) -> bool:
    """Fuzz one target for so long; whether it bore everything."""
    from tests.fuzz.corpus import CORPUS

    folder = keep / name
    folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(CORPUS[name]):
        (folder / f"known-{number:04d}").write_bytes(data[:LONGEST])
    argv = [sys.executable, __file__, "--one", name, str(folder)]
    limits = [f"-max_total_time={max(1, int(seconds))}", f"-timeout={SECONDS}", f"-rss_limit_mb={MEBIBYTES}"]
    flags = [*limits, f"-max_len={LONGEST}", f"-artifact_prefix={keep}/{name}-", "-print_final_stats=1"]
    ended = subprocess.run([*argv, *flags], cwd=ROOT, capture_output=True, text=True, check=False)
    told = dict(line[6:].split(":") for line in ended.stderr.splitlines() if line.startswith("stat::"))
    print(f"{name}: {told.get('number_of_executed_units', '?').strip()} inputs,", end=" ")
    print(f"{told.get('new_units_added', '?').strip()} reached new code,", end=" ")
    print("bore all" if not ended.returncode else f"FAILED\n{ended.stdout[-3000:]}\n{ended.stderr[-3000:]}")
    return not ended.returncode


def fuzz(name: str, flags: list[str]) -> None:
    """Be the process that fuzzes one target, with the flags of libFuzzer; it ends by itself."""
    import atheris

    with atheris.instrument_imports(include=list(_CODE)):
        targets = importlib.import_module("tests.fuzz.targets")
    atheris.Setup([sys.argv[0], *flags], targets.TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
