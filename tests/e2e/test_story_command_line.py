"""The whole workflow by commands alone: exit codes, one JSON document on stdout, one sentence for bad input."""

from __future__ import annotations

import csv
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from microscope_qc.project import Project

pytestmark = [pytest.mark.story, pytest.mark.timeout(900)]

DETECTOR = "li-ion-ssd"
SIZE = 1536
SEED = 7
DEFECTS = 12
LIMIT_S = 240


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    """One command in a process of its own, as from a terminal."""
    command = [sys.executable, "-m", "microscope_qc", *map(str, arguments)]
    environment = {**os.environ, "PYTHONUTF8": "1"}
    return subprocess.run(
        command, capture_output=True, text=True, encoding="utf-8", timeout=LIMIT_S, env=environment, check=False
    )


def good(*arguments: object) -> str:
    """Output of a command that must succeed."""
    done = run(*arguments)
    assert done.returncode == 0, f"{arguments}: {done.returncode}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done.stdout


def document(*arguments: object) -> Any:
    """The one JSON document that a command with --json prints."""
    return json.loads(good(*arguments, "--json"))


def refused(*arguments: object) -> str:
    """The sentence of a command that must refuse its input."""
    done = run(*arguments)
    assert done.returncode == 2, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1 and lines[0].rstrip().endswith((".", "?")), done.stderr
    return lines[0]


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawn slide with its truth beside it, and nothing else in its folder."""
    path = tmp_path_factory.mktemp("drawn") / "electrode.ome.zarr"
    written = document("synth", "electrode", path, "--size", SIZE, "--seed", SEED, "--defects", DEFECTS)["written"]
    assert [Path(name).name for name in written] == ["electrode.ome.zarr", "electrode.truth.json"]
    return path


def test_from_a_slide_to_every_result(slide: Path, tmp_path: Path) -> None:
    info = document("info", slide)
    (scene,) = info["scenes"]
    assert scene["shape"] == [SIZE, SIZE] and scene["rgb"] is True
    assert scene["pixel_size_um"] == pytest.approx([0.3, 0.3])
    project = tmp_path / "one.mqc"
    assert "1 slide, " in good("new", project, slide)

    found = document("detect", project, "--model", DETECTOR, "--device", "cpu", "--progress", "json")
    assert found["state"] == "finished" and found["damaged_tiles"] == 0
    assert 0 < found["shown"] <= found["finds"]
    again = document("detect", project, "--model", DETECTOR, "--device", "cpu")
    assert (again["run"], again["finds"]) == (found["run"], found["finds"]), "a finished run is not done twice"

    check_annotations(project, tmp_path, shown=found["shown"])
    check_stage(project, tmp_path)
    check_summaries(project, tmp_path, shown=found["shown"])
    assert "Everything is in order" in good("check", project)

    measured = document("evaluate", DETECTOR, slide.parent, "--device", "cpu")
    truth = json.loads((slide.parent / "electrode.truth.json").read_text(encoding="utf-8"))
    assert measured["pictures"] == 1 and measured["truth"] == len(truth["annotations"])
    assert 0 <= measured["precision"] <= 1 and 0 <= measured["recall"] <= 1


def check_annotations(project: Path, tmp_path: Path, *, shown: int) -> None:
    """COCO and VOC hold what is shown."""
    coco_file, voc_folder = tmp_path / "findings.json", tmp_path / "voc"
    summary = document("export", project, coco_file, "--format", "coco")
    assert summary["boxes"] == shown and Path(summary["files"][0]) == coco_file
    coco = json.loads(coco_file.read_text(encoding="utf-8"))
    assert len(coco["annotations"]) == shown
    with Project.open(project, write=False) as opened:
        codes = {item.id: item.code for item in opened.classes}
        rows = {int(row["id"]): row for row in opened.boxes.rows()}
    names = {category["id"]: category["name"] for category in coco["categories"]}
    for entry in coco["annotations"]:
        row = rows[entry["id"]]
        x, y, width, height = entry["bbox"]
        assert np.allclose([y, x, y + height, x + width], [row[side] for side in ("y0", "x0", "y1", "x1")], atol=1e-3)
        assert names[entry["category_id"]] == codes[int(row["class_id"])]
        assert entry["score"] == pytest.approx(float(row["confidence"]), abs=1e-5)
        assert entry["attributes"]["state"] == "unreviewed"
    good("export", project, voc_folder, "--format", "voc")
    (voc,) = voc_folder.glob("*.xml")
    assert len(ET.parse(voc).getroot().findall("object")) == shown


def check_stage(project: Path, tmp_path: Path) -> None:
    """Marks from a table, an alignment, and the positions of what was chosen."""
    angle, size_um = np.radians(-3.0), 0.3

    def stage(y: float, x: float) -> tuple[float, float]:
        u, v = x * size_um / 1000, -y * size_um / 1000
        return 10 + u * np.cos(angle) - v * np.sin(angle), 20 + u * np.sin(angle) + v * np.cos(angle)

    marks = tmp_path / "marks.csv"
    with marks.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["name", "slide_x_px", "slide_y_px", "stage_x_mm", "stage_y_mm"])
        for number, (y, x) in enumerate([(100, 120), (90, 1400), (1400, 200), (1450, 1380)], 1):
            writer.writerow([f"M{number}", x, y, *(f"{value:.6f}" for value in stage(y, x))])
    fitted = document("stage", "fit", project, "--marks", marks, "--name", "R1")
    assert fitted["n"] == 4 and fitted["mirror"] is False
    assert fitted["rotation_deg"] == pytest.approx(-3.0, abs=1e-2)
    places = tmp_path / "places.csv"
    assert "chosen" in refused("stage", "export", project, places, "--registration", "R1", "--format", "csv")
    with Project.open(project) as opened:  # a user chooses in the window
        rows = opened.boxes.rows()[:3].copy()
        opened.boxes.edit(rows["id"], title="Choose 3 findings for the SEM", chosen=True)
    written = document("stage", "export", project, places, "--registration", "R1", "--format", "csv")
    assert written["positions"] == len(rows)
    with places.open(newline="", encoding="utf-8") as file:
        lines = {int(line["defect_id"]): line for line in csv.DictReader(file)}
    assert set(lines) == set(rows["id"].tolist())
    for row in rows:
        line = lines[int(row["id"])]
        expected = stage((row["y0"] + row["y1"]) / 2, (row["x0"] + row["x1"]) / 2)
        assert (float(line["stage_x_mm"]), float(line["stage_y_mm"])) == pytest.approx(expected, abs=1e-5)


def check_summaries(project: Path, tmp_path: Path, *, shown: int) -> None:
    """Statistics, report and overview agree with the project."""
    stats = document("stats", project)
    assert stats["total"]["total"] == shown and stats["total"]["states"]["unreviewed"] == shown
    area_mm2 = (SIZE * 0.3 / 1000) ** 2
    assert stats["total"]["area_mm2"] == pytest.approx(area_mm2)
    assert stats["total"]["per_mm2"] == pytest.approx(shown / area_mm2)
    page, picture = tmp_path / "report.html", tmp_path / "overview.png"
    good("report", project, page)
    text = page.read_text(encoding="utf-8")
    assert "<html" in text and "electrode" in text
    good("overview", project, picture, "--selected")
    with Image.open(picture) as opened:
        assert min(opened.size) > 1000


# -- bad input -------------------------------------------------------------------------------------------------------


def test_files_that_are_not_slides(tmp_path: Path) -> None:
    empty, letter = tmp_path / "empty.tif", tmp_path / "letter.czi"
    empty.write_bytes(b"")
    letter.write_bytes(b"Dear colleague, these are no pixels. " * 50)
    assert "gone.czi" in refused("info", tmp_path / "gone.czi")
    assert "empty" in refused("info", empty, "--json")
    assert "letter.czi" in refused("new", tmp_path / "p.mqc", letter)
    assert not (tmp_path / "p.mqc").exists(), "a project of nothing is not left behind"


def test_a_slide_that_was_cut_off(real_data: Path, tmp_path: Path) -> None:
    whole = (real_data / "slides" / "czi" / "RGB-8bit.czi").read_bytes()
    cut = tmp_path / "cut.czi"
    cut.write_bytes(whole[: len(whole) // 2])
    assert "cut.czi" in refused("info", cut)


def test_a_model_without_weights(slide: Path, tmp_path: Path) -> None:
    project, model = tmp_path / "p.mqc", tmp_path / "half-a-model"
    Project.create(project, slides=[slide]).close()
    model.mkdir()
    (model / "model.json").write_text(json.dumps({"name": "half-a-model", "task": "detect"}), encoding="utf-8")
    assert "weights" in refused("detect", project, "--model", model)
    assert "no-such-model" in refused("detect", project, "--model", "no-such-model")
    with Project.open(project) as opened:
        assert list(opened.runs) == [], "a detection that could not start leaves no run"


def test_a_slide_that_was_moved_away(slide: Path, tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.mkdir()
    copy = here / "electrode.ome.zarr"
    shutil.copytree(slide, copy)
    project = tmp_path / "p.mqc"
    Project.create(project, slides=[copy]).close()
    copy.rename(tmp_path / "elsewhere.ome.zarr")
    sentence = refused("detect", project, "--model", DETECTOR)
    assert "electrode" in sentence
    assert json.loads(good("stats", project, "--json"))["slides"][0]["total"] == 0


def test_a_project_of_a_newer_version_is_left_alone(slide: Path, tmp_path: Path) -> None:
    project = tmp_path / "p.mqc"
    Project.create(project, slides=[slide]).close()
    with sqlite3.connect(project / "project.sqlite") as database:
        database.execute("UPDATE meta SET value = '999' WHERE key = 'schema_version'")
    database.close()
    before = (project / "project.sqlite").read_bytes()
    for command in (["check", project], ["stats", project, "--json"]):
        assert "newer version" in refused(*command)
    assert (project / "project.sqlite").read_bytes() == before
    assert "no project" in refused("stats", tmp_path / "none.mqc")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="permissions do not bind root")
def test_an_output_folder_that_cannot_be_written(slide: Path, tmp_path: Path) -> None:
    project, locked = tmp_path / "p.mqc", tmp_path / "locked"
    Project.create(project, slides=[slide]).close()
    locked.mkdir()
    locked.chmod(0o500)
    try:
        assert "locked" in refused("export", project, locked / "x.json", "--format", "coco")
    finally:
        locked.chmod(0o700)


def test_an_output_folder_that_is_a_file(slide: Path, tmp_path: Path) -> None:
    project, blocked = tmp_path / "p.mqc", tmp_path / "blocked"
    Project.create(project, slides=[slide]).close()
    blocked.write_text("no folder", encoding="utf-8")
    assert "blocked" in refused("export", project, blocked / "x.json", "--format", "coco")
    assert "no-such-format" in refused("export", project, tmp_path / "x", "--format", "no-such-format")
