"""Orze.yaml to validated settings."""
