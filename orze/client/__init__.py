"""What someone who is no daemon does with a farm's directory: reads it, and leaves requests."""
