"""Flags and terminal output."""
