"""Features of whole slides, computed once and kept; what learns from them while a user judges."""
