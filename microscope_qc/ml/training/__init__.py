"""Training: the loop and its checkpoints; what a network needs is in its recipe."""
