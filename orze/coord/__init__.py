"""Who owns what in the shared directory."""
