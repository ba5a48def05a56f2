"""Long tasks of a user, each a generator that window, command line and tests run in the same way."""
