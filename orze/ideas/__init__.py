"""Ideas.md to ideas."""
