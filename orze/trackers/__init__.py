"""Mirrors of finished ideas in experiment trackers."""
