"""The parts of a project, one module each: what can be read and done, over one store."""
