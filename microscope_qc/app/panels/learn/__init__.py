"""The page of the Learn workspace: what there is to learn from, the training, and what became of it."""
