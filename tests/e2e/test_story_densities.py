"""Marks, a declared area, its density, undo and redo; the process is killed, and the density is still the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from microscope_qc.project import Project

if TYPE_CHECKING:
    from window_driver import User

pytestmark = [pytest.mark.window, pytest.mark.story, pytest.mark.timeout(900)]

CHILD = Path(__file__).with_name("densities_session.py")
PIXEL_UM = 0.5
SHAPE = (1200, 1600)
Acts = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of one picture with a pixel size."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("densities")
    pixels = np.random.default_rng(3).integers(60, 190, SHAPE, np.uint8)
    Image.fromarray(pixels).save(folder / "S1.png")
    with Project.create(folder / "P.mqc", slides=[folder / "S1.png"]) as made:
        made.slides.set_pixel_size(made.slides[0].id, PIXEL_UM)
    return folder / "P.mqc"


@pytest.fixture(scope="module")
def acts(place: Path, tmp_path_factory: pytest.TempPathFactory, display: None) -> Acts:
    """What each act of the killed process told."""
    config = tmp_path_factory.mktemp("config")
    environment = {**os.environ, "MICROSCOPE_QC_CONFIG_DIR": str(config), "PYTHONUNBUFFERED": "1"}
    said = config / "said.txt"
    told: Acts = {}
    with said.open("w+", encoding="utf-8") as stderr:
        child = subprocess.Popen(
            [sys.executable, str(CHILD), str(place)],
            stdout=subprocess.PIPE, stderr=stderr, text=True, encoding="utf-8", env=environment,
        )  # fmt: skip
        assert child.stdout is not None
        for line in child.stdout:
            act = json.loads(line)
            told[act["act"]] = act
            if act["act"] == "last":
                break
        alive = child.poll() is None
        child.kill()  # SIGKILL: no handler, no clean-up
        child.communicate()
    assert "last" in told and alive, f"it ended after {list(told)}:\n{said.read_text(encoding='utf-8')[-6000:]}"
    return told


def test_the_density_is_that_of_the_declared_area(acts: Acts) -> None:
    code = next(code for code in acts["draw"]["densities"] if code != "All")
    before = acts["draw"]["densities"][code]
    assert before[1] == "6" and before[5] == "–" and before[7].startswith("Nothing was scanned or declared complete")
    line = acts["declare"]["densities"][code]
    assert line[1:3] == ["6", "4"], "two of six are outside"
    area_mm2 = float(line[3])
    assert area_mm2 == pytest.approx(0.1, rel=0.02)  # drawn at less than full size
    assert float(line[5]) == pytest.approx(4 / area_mm2, rel=0.01)
    low, high = (float(limit) for limit in line[6].split(" – "))
    # Garwood 1936, table: 4 observed, 1.09 to 10.24 expected
    assert low == pytest.approx(1.09 / area_mm2, rel=0.01) and high == pytest.approx(10.24 / area_mm2, rel=0.01)
    assert acts["declare"]["toast"].startswith("Declared complete for all classes: an area of S1, 0.")


def test_undo_takes_the_area_back_and_redo_brings_it_again(acts: Acts) -> None:
    assert acts["undo"]["toast"] == "Undone: Declare an area of S1 complete for all classes"
    assert acts["undo"]["densities"] == acts["draw"]["densities"]
    assert acts["undo"]["state"]["areas"] == []
    assert acts["last"]["densities"] == acts["declare"]["densities"]
    assert acts["last"]["state"]["areas"] == acts["declare"]["state"]["areas"] != []


def test_after_the_kill_window_and_workflow_say_the_same(acts: Acts, place: Path, user: User) -> None:
    from densities_session import densities
    from window_driver import state_of

    from microscope_qc.workflows.results.statistics import project_statistics

    session = user.session
    user.window.navigator.open_paths([place])
    user.wait_until(lambda: session.project is not None, "the project")
    user.wait_for_slide()
    project = session.project
    assert project is not None and project.check() == []
    assert state_of(project) == acts["last"]["state"]
    assert densities(user) == acts["last"]["densities"]
    found = project_statistics(project)["slides"][0]
    line = acts["last"]["densities"]["All"]
    assert (found["kept"], found["in_area"]) == (6, 4)
    assert float(line[5]) == pytest.approx(found["per_mm2"], abs=0.05)
    assert float(line[3]) == pytest.approx(found["area_mm2"], rel=0.01)
    session.set_project(None)
