#!/usr/bin/env python3
"""A whole training script for a farm, to be replaced by yours; RULES.md tells all that a script may do.

It finds the minimum of a parabola, step by step.
"""

import argparse
import json
import os

import yaml


def main() -> None:
    """Run one attempt."""
    flags = argparse.ArgumentParser()
    for name in ("--idea-id", "--results-dir", "--ideas-md", "--config"):
        flags.add_argument(name)
    args, _ = flags.parse_known_args()
    out = os.path.join(args.results_dir, args.idea_id)  # a directory for this attempt alone; it exists
    with open(os.environ["ORZE_IDEA_CONFIG"], encoding="utf-8") as stream:
        config = yaml.safe_load(stream)  # configs/base.yaml with the idea's values on top

    weight = 0.0
    for step in range(config["steps"]):  # your training
        weight -= config["lr"] * 2 * (weight - 3)
        with open(f"{out}/progress.jsonl", "a", encoding="utf-8") as stream:  # optional: shown while it runs
            print(json.dumps({"step": step, "val_loss": (weight - 3) ** 2}), file=stream)

    with open(f"{out}/metrics.json", "w", encoding="utf-8") as stream:
        json.dump({"status": "COMPLETED", "val_loss": (weight - 3) ** 2}, stream)


if __name__ == "__main__":
    main()
