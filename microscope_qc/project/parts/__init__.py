"""The parts of a project, one module each, over one store."""
