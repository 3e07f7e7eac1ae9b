"""Values, paths under results/, files, clocks and processes."""
