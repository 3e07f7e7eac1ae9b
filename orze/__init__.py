"""orze: a farm of machine-learning experiments, coordinated by a shared directory."""
