"""Pixels that are not square keep both of their sides in everything that states a pixel size."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tifffile

from microscope_qc.cli import main
from microscope_qc.core.boxes import ReviewState
from microscope_qc.core.jobs import run_job
from microscope_qc.project import Project
from microscope_qc.workflows.results.report import write_overview


@pytest.fixture
def unequal(project: Project) -> Project:
    """Pixels of 0.5 um in width and 0.4 um in height."""
    slide = project.slides[0]
    project.slides.set_pixel_size(slide.id, (0.4, 0.5))
    project.boxes.edit(project.boxes.rows()["id"], state=ReviewState.CONFIRMED)
    return project


def test_overview(unequal: Project, tmp_path: Path) -> None:
    run_job(write_overview(unequal, tmp_path / "a.tif"))
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        across, down = file.pages[0].get_resolution(unit=3)
    assert across / down == pytest.approx(0.4 / 0.5, rel=1e-3)


@pytest.mark.parametrize(("options", "expected"), [([], [0.4, 0.5]), (["--pixel-size", "1.0"], [0.8, 1.0])])
def test_training_pictures(unequal: Project, tmp_path: Path, options: list[str], expected: list[float]) -> None:
    path = unequal.path
    unequal.close()
    cut = ["dataset", "make", str(path), "--out", str(tmp_path / "set"), "--tile", "64", *options]
    assert main([*cut, "--progress", "none"]) == 0
    (found,) = (tmp_path / "set").rglob("*.json")
    images = json.loads(found.read_text(encoding="utf-8"))["images"]
    assert images and all(image["pixel_size_um"] == pytest.approx(expected) for image in images)


def test_exports_and_lists(unequal: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, slide = unequal.path, unequal.slides[0].path
    unequal.close()
    assert main(["export", str(path), str(tmp_path / "a.json"), "--format", "coco", "--progress", "none"]) == 0
    (image,) = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))["images"]
    assert image["pixel_size_um"] == [0.4, 0.5]
    out = tmp_path / "copy.ome.zarr"
    assert main(["convert", str(slide), str(out), "--pixel-size", "0.5x0.4", "--progress", "none"]) == 0
    capsys.readouterr()
    assert main(["new", str(tmp_path / "b.mqc"), str(out), "--progress", "none"]) == 0
    assert "0.5 um wide, 0.4 um high" in capsys.readouterr().out
