"""The command `revis`: what a user sees of sessions of refinement and changes in them."""
