"""The commands of `orze`, one module a group; each imports what it needs when it is called."""
