"""Actions that belong to no panel, by subject; each module lists its own in ``ACTIONS``."""
