"""The parts of the comparison lie beside the benchmark that runs them, in no package that is installed."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
sys.path += [str(ROOT / "bench"), str(ROOT)]
