"""Long tasks of a person, each a generator that the window, the command line and the tests drive alike."""
