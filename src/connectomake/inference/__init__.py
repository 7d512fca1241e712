"""Network inference over the global patch lattice, streamed through one block at a time."""
