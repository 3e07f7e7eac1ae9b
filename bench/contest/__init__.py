"""The comparison of proposers that bench/research.py runs: its task, its arms, its statistics, its tables."""
