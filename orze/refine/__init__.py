"""Revis: the loop that changes code and configuration, has it run by a farm, and keeps what is better."""
