"""Training: the loop and its checkpoints; what is specific to a network is in its recipe."""
