"""Tells people at once of what happens in a farm."""
