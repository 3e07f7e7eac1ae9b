"""The flags of `python farm.py`; nothing heavy is imported to print them."""

from __future__ import annotations

import argparse

FLAG_SETTINGS = {
    "gpus": "gpus",
    "timeout": "timeout",
    "poll": "poll",
    "ideas_md": "ideas_file",
    "base_config": "base_config",
    "results_dir": "results_dir",
    "train_script": "train_script",
}


def parser() -> argparse.ArgumentParser:
    """The parser of the command line; flags that were not given are None, so that they override nothing."""
    made = argparse.ArgumentParser(
        prog="farm.py",
        description="Run the ideas of ideas.md on this host's cards, together with every other host that "
        "shares the directory. See README.md and RULES.md.",
        epilog="Flags win over orze.yaml. Exit status: 0 well, 1 an attempt of --once failed, 2 wrong usage.",
    )
    made.add_argument(
        "-c", "--config-file", metavar="PATH", help="settings (default: orze.yaml here, if there is one)"
    )
    made.add_argument(
        "--gpus", metavar="IDS", help="cards: 0,1 (NVML indices), UUIDs, cpu or cpu:N (default: all)"
    )
    made.add_argument(
        "--timeout", type=float, metavar="SECONDS", help="longest training of an idea (default: 3600)"
    )
    made.add_argument(
        "--poll", type=float, metavar="SECONDS", help="time between two looks around (default: 30)"
    )
    mode = made.add_mutually_exclusive_group()
    mode.add_argument("--once", action="store_true", help="each free slot runs one idea, then exit")
    mode.add_argument(
        "--report-only", action="store_true", help="write results/report.md and status.json, and exit"
    )
    mode.add_argument("--research-only", action="store_true", help="run the researcher once, and exit")
    mode.add_argument(
        "--stop-attempts",
        action="store_true",
        help="stop this host's attempts cleanly, queue them again, and exit",
    )
    mode.add_argument("--dry-run", action="store_true", help="show what would be started, in order, and exit")
    made.add_argument("--json", action="store_true", help="with --dry-run: as JSON")
    made.add_argument("--ideas-md", metavar="PATH", help="the ideas (default: ideas.md)")
    made.add_argument(
        "--base-config", metavar="PATH", help="what ideas start from (default: configs/base.yaml)"
    )
    made.add_argument("--results-dir", metavar="PATH", help="where results go (default: results)")
    made.add_argument("--train-script", metavar="PATH", help="what trains an idea (default: train_idea.py)")
    made.add_argument(
        "--metrics-port", type=_port, metavar="PORT", help="tell Prometheus of this host, on 127.0.0.1:PORT"
    )
    made.add_argument("-v", "--verbose", action="store_true", help="tell more")
    return made


def _port(text: str) -> int:
    port = int(text) if text.isascii() and text.isdigit() and len(text) <= 5 else 0
    if not 0 < port < 1 << 16:
        raise argparse.ArgumentTypeError(f"must be a number from 1 to 65535, not {text[:20]!r}")
    return port
