"""Whatever was acknowledged is there after the process was killed."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from project_support import assert_memory_is_stored, edit_at_random, stored

from microscope_qc.project import Project

CHILD = Path(__file__).with_name("edit_until_killed.py")


@pytest.mark.timeout(3600)
def test_every_acknowledged_edit_survives_a_kill(project: Project, request: pytest.FixtureRequest) -> None:
    project.close()
    kills = 200 if request.config.getoption("--long") else 5
    chance = random.Random(20)
    for seed in range(kills):
        copy = project.path.with_name("copy.mqc")
        shutil.copytree(project.path, copy)
        command = [sys.executable, str(CHILD), str(project.path), str(seed)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert child.stdout is not None
        last = 0
        for _ in range(chance.randint(1, 60)):
            last = int(child.stdout.readline())
        child.kill()  # SIGKILL: wherever it is now, in the middle of a transaction or between two
        rest, errors = child.communicate()
        assert child.returncode != 0 and not errors, errors
        owner = json.loads((project.path / "owner.json").read_text(encoding="utf-8"))
        assert owner["pid"] == child.pid
        acknowledged = max([last, *(int(line) for line in rest.split("\n")[:-1])])
        with Project.open(project.path) as survivor:
            after_kill, undo_title = stored(survivor), survivor.undo_title
            assert survivor.check() == []
            assert_memory_is_stored(survivor)
        with Project.open(copy) as replay:
            edits = random.Random(seed)
            for _ in range(acknowledged):
                edit_at_random(replay, edits)
            expected = [(stored(replay), replay.undo_title)]
            # the edit after the last acknowledged one may have been committed without a word about it
            edit_at_random(replay, edits)
            expected.append((stored(replay), replay.undo_title))
        assert (after_kill, undo_title) in expected
        shutil.rmtree(copy)
