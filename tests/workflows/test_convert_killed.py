"""A conversion is killed at any moment; the next one continues it, and the result is the same as without the kill."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from conversion_toys import micrograph, same_store, write_tiff

from microscope_qc.core.jobs import run_job
from microscope_qc.workflows.conversion.convert import convert

CHILD = """
    import sys
    from microscope_qc.workflows.conversion.convert import convert
    for progress in convert(sys.argv[1], sys.argv[2]):
        print(int(progress.done), progress.unit, flush=True)
"""


def killed(tiff: Path, out: Path, steps: int) -> list[str] | None:
    """Convert in a child and kill it after so many steps of progress; return these, None where it finished."""
    command = [sys.executable, "-c", textwrap.dedent(CHILD), str(tiff), str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        told: list[str] = []
        for line in process.stdout:
            told.append(line.strip())
            if len(told) >= steps:
                break
        process.kill()  # it continues in the meantime, so that the kill may hit any moment
        process.wait()
        assert process.returncode in (0, -9), process.stderr.read()
        return None if process.returncode == 0 else told


@pytest.mark.timeout(1800)
def test_a_killed_conversion_is_continued_to_the_same_result(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    tiff = write_tiff(tmp_path / "a.tif", micrograph((4500, 8300)), compression=None)
    steps: list[str] = []
    (whole,) = run_job(convert(tiff, tmp_path / "whole.ome.zarr"), lambda p: steps.append(p.unit))
    out = tmp_path / "out.ome.zarr"
    part = tmp_path / ".out.ome.zarr.part"
    chance = random.Random(11)
    kills = continued = 0
    wanted = 30 if request.config.getoption("--long") else 3
    while kills < wanted:
        told = killed(tiff, out, chance.randint(1, len(steps)))
        if told is not None:
            kills += 1
            assert not out.exists()
            if chance.random() < 0.6:
                continue  # and kill the one that continues it as well
        notes: list[str] = []
        run_job(convert(tiff, out), lambda progress, notes=notes: notes.append(progress.note))
        continued += "continuing" in notes[0]
        same_store(out, whole)
        assert not part.exists()
        shutil.rmtree(out)
    if not out.exists():
        run_job(convert(tiff, out))
    same_store(out, whole)
    assert continued > 0, "every kill came too early for anything to be continued"
