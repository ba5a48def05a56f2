"""Panels around the canvas, each built when it is first shown."""
