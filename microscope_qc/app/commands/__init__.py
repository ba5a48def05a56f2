"""What the actions do, by subject; the table of actions names these methods."""
