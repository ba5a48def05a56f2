"""Every acknowledged edit is there after the process was killed."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import BinaryIO

import pytest
from edit_until_killed import edit
from project_support import assert_memory_is_stored, edit_at_random, stored

from microscope_qc.project import Project

CHILD = Path(__file__).with_name("edit_until_killed.py")
LONGEST_S = 0.012
"""An edit takes some milliseconds: a kill so long after the last one hits any point of the next ones."""


class Child:
    """A process that edits: a fork where the system has it (nothing to import again), else a new interpreter."""

    def __init__(self, path: Path, seed: int) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        if not hasattr(os, "fork"):
            command = [sys.executable, str(CHILD), str(path), str(seed)]
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE)
            assert self._process.stdout is not None
            self.pid, self.said = self._process.pid, self._process.stdout
            return
        reading, writing = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # about threads, which do nothing here
            self.pid = os.fork()
        if self.pid == 0:
            os.close(reading)
            try:
                edit(str(path), seed, lambda number: os.write(writing, b"%d\n" % number))
            finally:
                os._exit(3)
        os.close(writing)
        self.said: BinaryIO = os.fdopen(reading, "rb")

    def kill(self) -> list[int]:
        """Kill it at any point; return the numbers that it reported and that are not read yet."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        else:
            os.kill(self.pid, signal.SIGKILL)
            _, status = os.waitpid(self.pid, 0)
            assert os.WIFSIGNALED(status), "it ended by itself"
        with self.said:
            return [int(line) for line in self.said.read().split(b"\n")[:-1]]


@pytest.mark.timeout(3600)
def test_every_acknowledged_edit_survives_a_kill(project: Project, request: pytest.FixtureRequest) -> None:
    project.close()
    fresh = project.path.with_name("fresh.mqc")
    shutil.copytree(project.path, fresh)
    kills = 200 if request.config.getoption("--long") else 20
    chance = random.Random(20)
    between = 0
    for seed in range(kills):
        if seed and seed % 20 == 0:  # checking ten thousand boxes every time would find nothing new
            shutil.rmtree(project.path)
            shutil.copytree(fresh, project.path)
            print(f"{seed} kills", flush=True)
        copy = project.path.with_name("copy.mqc")
        shutil.copytree(project.path, copy)
        child = Child(project.path, seed)
        last = 0
        for _ in range(chance.randint(1, 15)):
            last = int(child.said.readline())
        end = time.perf_counter() + chance.random() * LONGEST_S
        while time.perf_counter() < end:
            pass
        acknowledged = max([last, *child.kill()])
        owner = json.loads((project.path / "owner.json").read_text(encoding="utf-8"))
        assert owner["pid"] == child.pid
        with Project.open(project.path) as survivor:
            after_kill, undo_title = stored(survivor), survivor.history.undo_title
            assert survivor.check() == []
            assert_memory_is_stored(survivor)
        with Project.open(copy) as replay:
            replay._store.database.pragma("synchronous=OFF")  # nobody kills this one
            edits = random.Random(seed)
            for _ in range(acknowledged):
                edit_at_random(replay, edits)
            expected = [(stored(replay), replay.history.undo_title)]
            # the edit after the last acknowledged one may have been committed without being acknowledged
            edit_at_random(replay, edits)
            expected.append((stored(replay), replay.history.undo_title))
        assert (after_kill, undo_title) in expected, (seed, acknowledged)
        between += (after_kill, undo_title) != expected[0]
        shutil.rmtree(copy)
    print(f"{kills} kills, all acknowledged edits found; {between} times the next edit was in the file too")
