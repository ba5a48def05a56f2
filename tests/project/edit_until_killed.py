"""Child of the kill test: edits a project at random and reports the number of every acknowledged edit."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable

from project_support import edit_at_random

from microscope_qc.project import Project


def edit(path: str, seed: int, say: Callable[[int], object]) -> None:
    """Edit until this process is killed."""
    with Project.open(path) as project:
        if seed % 2:  # as in the window
            project.sync_behind()
        random_edits = random.Random(seed)
        for number in range(1, 100_000):
            edit_at_random(project, random_edits)
            say(number)


if __name__ == "__main__":
    edit(sys.argv[1], int(sys.argv[2]), lambda number: os.write(1, b"%d\n" % number))
