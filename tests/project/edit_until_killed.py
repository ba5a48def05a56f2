"""Child of the kill test: edits a project at random and says the number of every edit that was acknowledged."""

from __future__ import annotations

import random
import sys

from project_support import edit_at_random

from microscope_qc.project import Project

with Project.open(sys.argv[1]) as project:
    random_edits = random.Random(int(sys.argv[2]))
    for number in range(1, 100_000):
        edit_at_random(project, random_edits)
        print(number, flush=True)
