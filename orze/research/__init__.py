"""Agents that propose ideas: each round a process of its own, told in a chain."""
