"""Commands, flags and terminal output."""
