"""What the actions do that belong to no panel, by subject; each module registers its own in ``ACTIONS``."""
