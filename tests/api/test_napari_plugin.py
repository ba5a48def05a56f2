"""What napari is offered: its own check of the manifest, layers in its viewer model, and the way back."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import cv2
import npe2
import numpy as np
import pytest
from npe2 import PluginManager, PluginManifest

from microscope_qc.cli import main
from microscope_qc.core.boxes import make_rows
from microscope_qc.core.errors import InputError
from microscope_qc.core.jobs import run_job
from microscope_qc.napari_plugin import reading
from microscope_qc.napari_plugin.reading import layer_reader, read_layers
from microscope_qc.napari_plugin.writing import write_findings
from microscope_qc.project import Project
from microscope_qc.workflows.exchange.importing import import_annotations

MANIFEST = Path(reading.__file__).parent.parent / "napari.yaml"


@pytest.fixture
def cell(tmp_path: Path) -> Path:
    """A project of a slide of 60 x 90 px at 0.5 um, with two findings."""
    cv2.imwrite(str(tmp_path / "slide.png"), np.arange(5400, dtype=np.uint32).reshape(60, 90).astype(np.uint8))
    path = tmp_path / "cell.mqc"
    assert main(["new", str(path), str(tmp_path / "slide.png")]) == 0
    assert main(["slides", str(path), "set-pixel-size", "0.5"]) == 0
    with Project.open(path) as project:
        crack = project.classes.by_code("CRK").id
        rows = make_rows(2, class_id=crack, y0=[10.0, 30], x0=[20.0, 40], y1=[15.0, 40], x1=[28.0, 60])
        project.boxes.add(project.slides[0].id, rows)
    return path


def test_the_manifest_is_valid_and_every_command_is_there() -> None:
    line = [sys.executable, "-m", "npe2", "validate", str(MANIFEST)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    manifest = PluginManifest.from_file(MANIFEST)
    manifest.validate_imports()
    offered = {entry.command for entry in manifest.contributions.readers or ()}
    assert offered == {"microscope-qc.read"}
    named = tomllib.loads((MANIFEST.parent.parent / "pyproject.toml").read_text(encoding="utf-8"))
    assert named["project"]["entry-points"]["napari.manifest"] == {manifest.name: "microscope_qc:napari.yaml"}


def test_napari_reads_a_project_and_its_slide_by_the_manifest(cell: Path) -> None:
    from napari.components import ViewerModel

    manager = PluginManager.instance()
    if "microscope-qc" not in manager:  # it is where this checkout is installed
        manager.register(PluginManifest.from_file(MANIFEST))
    layers = npe2.read([str(cell)], stack=False, plugin_name="microscope-qc")
    viewer = ViewerModel()
    for data, settings, kind in layers:
        getattr(viewer, f"add_{kind}")(data, **settings)
    picture, found = viewer.layers
    assert picture.scale.tolist() == [0.5, 0.5] and found.scale.tolist() == [0.5, 0.5]
    assert found.features["class"].tolist() == ["CRK", "CRK"]
    # the rectangle encloses just the pixels y 10 to 14 and x 20 to 27, whose centres napari counts from 0
    assert found.data[0].min(0).tolist() == [9.5, 19.5] and found.data[0].max(0).tolist() == [14.5, 27.5]
    assert picture.get_value((10 * 0.5, 20 * 0.5), world=True)[1] == (10 * 90 + 20) % 256


def test_what_is_drawn_in_napari_comes_back_as_findings(cell: Path) -> None:
    data, settings, _ = read_layers(str(cell))[1]
    for suffix, format in ((".csv", "csv"), (".geojson", "geojson")):
        file = cell.parent / f"out{suffix}"
        assert write_findings(str(file), data, settings) == [str(file)]
        with Project.open(cell) as project:
            done = run_job(import_annotations(project, file, format=format, slide="slide"))
            assert done.boxes == 2
            rows = project.boxes.rows()[-2:]
            assert rows[["y0", "x0", "y1", "x1"]].tolist() == [(10, 20, 15, 28), (30, 40, 40, 60)]
            assert {project.classes.by_id(int(number)).code for number in rows["class_id"]} == {"CRK"}


def test_many_findings_are_points(cell: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_RECTANGLES", 1)
    data, settings, kind = read_layers(str(cell))[1]
    assert kind == "points" and data.tolist() == [[12, 23.5], [34.5, 49.5]] and settings["size"].tolist() == [8, 20]


def test_what_is_not_ours_is_left_to_others(tmp_path: Path, cell: Path) -> None:
    (tmp_path / "text.tif").write_text("no picture")
    (tmp_path / "file.mqc").write_text("no folder")
    assert layer_reader(str(tmp_path / "text.tif")) is None or layer_reader(str(tmp_path / "gone.tif")) is None
    assert layer_reader(str(tmp_path / "file.mqc")) is None
    assert layer_reader([str(cell), str(tmp_path / "gone.czi")]) is None
    assert layer_reader([]) is None
    assert layer_reader(str(cell)) is read_layers


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [("out.txt", [[[0, 0], [1, 1]]], "does not end in .csv or .geojson"), ("out.csv", [], "There is no shape")],
)
def test_what_cannot_be_written_says_why(tmp_path: Path, name: str, data: list, words: str) -> None:
    with pytest.raises(InputError, match=words):
        write_findings(str(tmp_path / name), data, {"name": "slide"})
    assert not (tmp_path / name).exists()
