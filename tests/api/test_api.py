"""The API against the command line, other readers and its own examples."""

from __future__ import annotations

import csv
import doctest
import importlib
import inspect
import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import tifffile
from detection_toys import ChildHere
from learning_toys import coco_folder, draw, untrained_model

from microscope_qc import api
from microscope_qc.cli import main
from microscope_qc.core.boxes import ReviewState, make_rows
from microscope_qc.core.errors import InputError, RegistrationError
from microscope_qc.core.jobs import Progress
from microscope_qc.core.query import QueryError
from microscope_qc.project import Project
from microscope_qc.workflows.detection import following


@pytest.fixture
def cell(tmp_path: Path) -> Path:
    """A project of one slide of 400 x 600 px at 0.5 um with three cracks, two of them confirmed, and what was drawn."""
    cv2.imwrite(str(tmp_path / "slide.png"), np.full((400, 600), 90, np.uint8))
    path = tmp_path / "cell.mqc"
    assert main(["new", str(path), str(tmp_path / "slide.png"), "--json"]) == 0
    assert main(["slides", str(path), "set-pixel-size", "0.5"]) == 0
    with Project.open(path) as project:
        crack, other = project.classes.by_code("CRK").id, project.classes.by_code("COP").id
        sides = np.arange(3) * 50.0
        rows = make_rows(3, class_id=crack, y0=sides, x0=sides, y1=sides + 20, x1=sides + 30)
        ids = project.boxes.add(project.slides[0].id, rows)
        project.boxes.edit(ids[:2], state=ReviewState.CONFIRMED)
        project.boxes.edit(ids[2:], class_id=other, note="near the tab", chosen=True, state=ReviewState.UNREVIEWED)
    return path


def test_the_examples_are_true(cell: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(cell.parent)
    tried = 0
    for module in pkgutil.iter_modules(api.__path__, "microscope_qc.api."):
        failed, count = doctest.testmod(importlib.import_module(module.name))
        tried += count
        assert failed == 0
    assert tried >= 8


def test_everything_public_says_what_it_takes_and_gives() -> None:
    assert api.__all__ == sorted(api.__all__)
    functions = {name for name, thing in vars(api).items() if inspect.isfunction(thing)}
    assert functions | {"LazySlide", "OpenProject"} == set(api.__all__)
    for name in api.__all__:
        thing = getattr(api, name)
        assert inspect.getdoc(thing)
        if inspect.isfunction(thing):
            assert "return" in thing.__annotations__ and "Raises\n------" in str(inspect.getdoc(thing)), name


def test_importing_it_imports_neither_window_nor_torch() -> None:
    code = (
        "import sys, microscope_qc.api; print([n for n in ('qtpy', 'PySide6', 'torch', 'napari') if n in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_arrays_of_a_slide_are_its_pixels(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 4000, (3, 2, 70, 110)).astype(np.uint16)
    path = tmp_path / "stack.ome.tif"
    tifffile.imwrite(
        path, pixels, ome=True, metadata={"axes": "ZCYX", "Channel": {"Name": ["BSE", "SE"]}}, tile=(32, 48)
    )
    with api.open_slide(path) as slide:
        assert slide.axes == ("z", "channel", "y", "x") and slide.channels == ("BSE", "SE")
        full = slide.levels[0]
        assert full.shape == pixels.shape and full.dtype == np.uint16
        assert (full.compute() == pixels).all()
        assert (full[1, 1, 60:3:-7, 5:100:9].compute() == pixels[1, 1, 60:3:-7, 5:100:9]).all()
        assert full[:, :, :0].compute().shape == (3, 2, 0, 110)
        assert full.mean().compute() == pytest.approx(pixels.mean())


def test_levels_and_colour(tmp_path: Path) -> None:
    colours = np.random.default_rng(1).integers(0, 255, (300, 420, 3)).astype(np.uint8)
    path = tmp_path / "levels.tif"
    with tifffile.TiffWriter(path, bigtiff=False) as writer:
        writer.write(colours, tile=(64, 64), subifds=1, photometric="rgb")
        writer.write(colours[::2, ::2], tile=(64, 64), subfiletype=1, photometric="rgb")
    with api.open_slide(path) as slide:
        assert slide.axes == ("y", "x", "rgb") and slide.downsample[0] == (1.0, 1.0)
        assert (slide.levels[0].compute() == colours).all()
        assert (slide.levels[0][10:20, 5, ::-1].compute() == colours[10:20, 5, ::-1]).all()
        assert len(slide.levels) == len(slide.downsample)
        assert (slide.levels[1].compute() == colours[::2, ::2]).all()


def test_findings_are_those_of_the_table_that_is_exported(cell: Path) -> None:
    seen: list[Progress] = []
    files = api.export(cell, cell.parent / "out.csv", "csv", on_progress=seen.append)
    with files[0].open(newline="") as file:
        exported = list(csv.DictReader(file))
    with api.open_project(cell) as project:
        found = project.findings()
        assert found["id"].tolist() == [int(row["defect_id"]) for row in exported]
        for ours, theirs in (("class", "class"), ("state", "state"), ("note", "note")):
            assert found[ours].tolist() == [row[theirs] for row in exported]
        for ours, theirs in (("x0", "x0_px"), ("y1", "y1_px"), ("width_um", "width_um"), ("height_um", "height_um")):
            assert found[ours].tolist() == pytest.approx([float(row[theirs]) for row in exported])
        assert found["confidence"].isna().all() and found["chosen"].tolist() == [False, False, True]
        assert project.findings("class=COP")["id"].tolist() == found["id"].tolist()[2:]
        assert project.findings("class=AOP").columns.tolist() == found.columns.tolist()
        with pytest.raises(QueryError):
            project.findings("colour=red")
        slides = project.slides()
        assert slides[["slide", "height_px", "width_px", "um_per_px_y"]].values.tolist() == [["slide", 400, 600, 0.5]]
        assert "CRK" in set(project.classes()["code"])
        with project.open_slide() as slide:
            assert slide.pixel_size_um == (0.5, 0.5)
            box = found.iloc[0]
            cut = slide.levels[0][int(box.y0) : int(box.y1), int(box.x0) : int(box.x1)]
            assert cut.shape == (20, 30) and (cut == 90).all().compute()
    assert seen


def test_measured_elements_are_columns(cell: Path) -> None:
    with api.open_project(cell) as project:
        number = int(project.findings()["id"][1])
    table = cell.parent / "edx.csv"
    table.write_text(f"Spectrum;O at%;Si at%\n#{number};66,6;33,4\n")
    api.import_edx(cell, table)
    with api.open_project(cell) as project:
        found = project.findings()
    assert found["O at%"].tolist() == pytest.approx([np.nan, 66.6, np.nan], nan_ok=True)


def test_a_stage_is_fitted_from_a_table_as_from_its_file(cell: Path, capsys: pytest.CaptureFixture[str]) -> None:
    marks = pd.DataFrame({
        "name": ["A", "B", "C", "D"], "slide_x_px": [10, 590, 10, 300], "slide_y_px": [10, 10, 390, 200],
        "stage_x_mm": [1.005, 1.295, 1.005, 1.15], "stage_y_mm": [2.005, 2.005, 2.195, 2.1],
    })  # fmt: skip
    ours = api.fit_stage(cell, marks, name="first")
    marks.to_csv(cell.parent / "marks.csv", index=False)
    capsys.readouterr()
    asked = ["--marks", str(cell.parent / "marks.csv"), "--name", "first", "--json"]
    assert main(["stage", "fit", str(cell), *asked]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(ours))
    assert ours["rotation_deg"] == pytest.approx(0, abs=1e-6)
    with pytest.raises(RegistrationError):
        api.fit_stage(cell, marks[:1])
    now = {"A": (1.015, 2.0), "B": (1.305, 2.0)}
    drift = api.stage_drift(cell, now)
    assert (drift["shift_x_um"], drift["shift_y_um"]) == pytest.approx((10, -5)) and drift["kept_as"] is None
    (cell.parent / "now.csv").write_text("name,stage_x_mm,stage_y_mm\nA,1.015,2.0\nB,1.305,2.0\n")
    assert api.stage_drift(cell, cell.parent / "now.csv", name="second") == drift | {"kept_as": "second"}
    assert api.stage_drift(cell, now)["distance_um"] == pytest.approx(0, abs=1e-6)
    with pytest.raises(InputError, match="seem to be in µm"):
        api.stage_drift(cell, {"A": (1015, 2000)})


def test_a_model_is_trained_measured_and_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "Child", ChildHere)  # a process takes seconds to load what this one has loaded
    data = coco_folder(tmp_path / "data")
    seen: list[Progress] = []
    card = api.train(
        data, out=tmp_path / "model", network="ssd-tiny", epochs=1, crop_px=128, batch=2, device="cpu",
        validation=data, on_progress=seen.append,
    )  # fmt: skip
    assert set(card["classes"]) == {"SQ", "DI"} and seen
    measured = api.evaluate(tmp_path / "model", data, part="all", device="cpu")
    assert measured["pictures"] == 4 and 0 <= measured["map50"] <= 1
    cv2.imwrite(str(tmp_path / "slide.png"), draw(9)[0])
    project = api.new_project(tmp_path / "cell.mqc", [tmp_path / "slide.png"], classes="patches")
    assert main(["slides", str(project), "set-pixel-size", "1"]) == 0
    everywhere = untrained_model(tmp_path / "everywhere")
    found = api.detect(project, str(everywhere), device="cpu").iloc[0]
    assert (found["why_not"], found["slide"]) == ("", "slide") and found["findings"] > 0
    with api.open_project(project) as opened:
        assert len(opened.findings(hidden=True)) == found["findings"]
    with pytest.raises(InputError):
        api.detect(project, str(everywhere), slides=["another"])
