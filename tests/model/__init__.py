"""The protocol over a simulated share, simulated clocks and simulated processes."""
