"""What cards there are and which are free."""
