"""Training: the loop and its checkpoints; what is specific to a network is in its recipe. No torch in this module."""

CHECKPOINT_NAME = "checkpoint.pt"
"""The file in a model's folder that an interrupted training is continued from."""
