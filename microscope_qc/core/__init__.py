"""The vocabulary every room speaks: boxes, classes, tiles, merging, jobs, errors."""
