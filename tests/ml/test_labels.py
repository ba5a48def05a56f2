"""Label maps of a task and a network from another package: written tile by tile, complete after a kill."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from example_package import use
from label_toys import CELL, CLASSES, EDGES, band_model

from microscope_qc.core.errors import ModelError, ProjectError
from microscope_qc.core.geometry import Region, TileGrid
from microscope_qc.core.jobs import run_job
from microscope_qc.ml.architectures.loading import open_task
from microscope_qc.ml.engine import run_model
from microscope_qc.ml.tiling import own_part
from microscope_qc.project import Project
from microscope_qc.project.runs.journal import JOURNAL_NAME, read_journal
from microscope_qc.project.runs.label_map import LABELS_NAME, LabelMap
from microscope_qc.project.runs.map_card import MapCard
from microscope_qc.workflows.detection.intake import RunIntake
from microscope_qc.workflows.detection.run import prepare_run

SIDE = 208


def picture(side: int = SIDE) -> np.ndarray:
    """Waves of grey, uint8 (side, side, 3)."""
    y, x = np.mgrid[:side, :side]
    grey = 120 + 110 * np.sin(y / 17) * np.cos(x / 23)
    return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)


def truth(pixels: np.ndarray) -> np.ndarray:
    """Class of every cell, computed for the whole picture."""
    rows, columns = pixels.shape[0] // CELL, pixels.shape[1] // CELL
    means = pixels[..., 0].astype(np.float32).reshape(rows, CELL, columns, CELL).mean(axis=(1, 3))
    return np.digitize(means, EDGES, right=True)


@pytest.fixture
def packages(installed_example: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the other package is installed, for child processes too."""
    use(installed_example, monkeypatch)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(installed_example), os.environ.get("PYTHONPATH", "")]))
    return installed_example


@pytest.fixture
def project(tmp_path: Path, packages: Path):
    cv2.imwrite(str(tmp_path / "slide.png"), picture())
    with Project.create(tmp_path / "p", slides=[tmp_path / "slide.png"]) as made:
        made.slides.set_pixel_size(made.slides[0].id, 0.5)
        yield made


def labels_of(folder: Path) -> np.ndarray:
    found = LabelMap.open(folder)
    assert found is not None and found.card.classes == tuple(CLASSES)
    return found.read()


def test_a_killed_run_gives_the_map_of_an_uninterrupted_one(project: Project, tmp_path: Path) -> None:
    slide = project.slides[0].id
    whole = prepare_run(project, slide, band_model(tmp_path / "quick"), device="cpu", everything=True)
    assert whole.plan.lattice_px == (float(CELL), float(CELL)), "the stride is asked of the architecture"
    assert run_job(run_model(whole.folder))["tiles_done"] == 16
    np.testing.assert_array_equal(labels_of(whole.folder), truth(picture()))
    assert RunIntake(project, whole).finish("finished").found == 0

    slow = prepare_run(project, slide, band_model(tmp_path / "slow", pause_s=0.4), device="cpu", everything=True)
    child = subprocess.Popen([sys.executable, "-m", "microscope_qc", "worker", str(slow.folder)])
    end = time.monotonic() + 120
    while len(read_journal(slow.folder)[0]) < 3 and time.monotonic() < end and child.poll() is None:
        time.sleep(0.02)
    child.kill()
    child.wait()
    done = len(read_journal(slow.folder)[0])
    assert 0 < done < 16
    half = labels_of(slow.folder)
    assert (half == -1).any() and (half[half >= 0] == truth(picture())[half >= 0]).all()
    # the map of its last tile is complete, but its line is truncated: it is computed again
    journal = slow.folder / JOURNAL_NAME
    journal.write_bytes(journal.read_bytes()[:-5])
    assert run_job(run_model(slow.folder))["tiles_done"] == 16
    np.testing.assert_array_equal(labels_of(slow.folder), truth(picture()))


def test_at_another_scale_every_place_has_one_label(project: Project, tmp_path: Path) -> None:
    slide = project.slides[0].id
    model = band_model(tmp_path / "coarse", pixel_um=0.65)
    run = prepare_run(project, slide, model, device="cpu", everything=True, region=Region(11, 5, 200, 190))
    assert run.plan.scale == (1.3, 1.3)
    run_job(run_model(run.folder))
    found = LabelMap.open(run.folder)
    assert found is not None and found.card.cell_px == pytest.approx((5.2, 5.2)) and found.card.origin_px == (11, 5)
    labels = found.read()
    assert labels.min() >= 0
    y = np.minimum(11 + 5.2 * (np.arange(labels.shape[0]) + 0.5), 199).astype(int)
    x = np.minimum(5 + 5.2 * (np.arange(labels.shape[1]) + 0.5), 189).astype(int)
    expected = np.digitize(picture()[np.ix_(y, x)][..., 0], EDGES, right=True)
    assert (labels == expected).mean() > 0.9, "only at borders between classes it may differ"


def test_cells_are_written_and_read_at_their_places(tmp_path: Path) -> None:
    card = MapCard((10.0, 20.0), (5.0, 5.0), (4, 6), ("A", "B"))
    written = LabelMap.create(tmp_path, card)
    both = np.array([[0, 1, 1, 1], [1, 1, 0, 0]])
    written.add((10, 20, 20, 35), Region(10, 20, 20, 40), both, start_px=(0, 0), step_px=(5, 5))
    written.add((10, 35, 20, 50), Region(10, 30, 20, 50), 1 - both, start_px=(0, 0), step_px=(5, 5))
    written.flush()
    read = LabelMap.open(tmp_path)
    assert read is not None
    assert read.read().tolist() == [[0, 1, 1, 0, 0, 0], [1, 1, 0, 0, 1, 1], [-1] * 6, [-1] * 6]
    assert read.read(Region(15, 24, 21, 36)).tolist() == [[1, 1, 0, 0], [-1] * 4]
    again = LabelMap.create(tmp_path, card)
    assert again.read().tolist() == read.read().tolist(), "a continued run keeps what is there"
    assert LabelMap.create(tmp_path, MapCard((0.0, 0.0), (5.0, 5.0), (2, 2), ("A",))).read().tolist() == [[-1, -1]] * 2
    (tmp_path / LABELS_NAME).write_bytes(b"no numbers")
    with pytest.raises(ProjectError, match="label map"):
        LabelMap.open(tmp_path)
    assert LabelMap.open(tmp_path / "elsewhere") is None


def test_without_the_other_package_its_models_are_not_run(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot run models for the task bands"):
        open_task(band_model(tmp_path / "m"))


@pytest.mark.parametrize("lattice", [0.0, 8.0])
def test_the_parts_of_tiles_meet_and_cover_the_region(lattice: float) -> None:
    grid = TileGrid(Region(30, 50, 501, 402), 128, 40, (lattice, lattice))
    told = np.zeros((471, 352), int)
    for tile in grid:
        y0, x0, y1, x1 = own_part(tile, grid, share=0.5)
        assert tile.y0 <= y0 or tile.y0 < 30 == y0
        y, x = np.arange(30, 501) + 0.5, np.arange(50, 402) + 0.5
        told += np.outer((y >= y0) & (y < y1), (x >= x0) & (x < x1))
    assert (told == 1).all()
