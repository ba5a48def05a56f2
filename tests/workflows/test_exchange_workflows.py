"""Boxes out of a project and into another one."""

from __future__ import annotations

import json

import numpy as np
import pytest

from microscope_qc.core.boxes import BoxFilter, ReviewState
from microscope_qc.core.errors import ExchangeError, InputError
from microscope_qc.core.jobs import run_job
from microscope_qc.exchange.registry import FORMATS
from microscope_qc.project import Project
from microscope_qc.workflows.dataset import make_dataset
from microscope_qc.workflows.export import export_boxes
from microscope_qc.workflows.importing import import_annotations


@pytest.fixture
def other(tmp_path, project):
    """A project of the same slide without boxes and classes."""
    with Project.create(tmp_path / "other.mqc", slides=[tmp_path / "S1.png"], classes=()) as made:
        yield made


@pytest.mark.parametrize("name", FORMATS)
def test_boxes_travel_to_another_project(name, project, other, tmp_path):
    known = FORMATS[name]
    target = tmp_path / ("out" if known.is_folder else f"out{known.suffix}")
    assert run_job(export_boxes(project, target, name)).boxes == 8
    result = run_job(import_annotations(other, target))
    assert (result.format, result.boxes, result.slides) == (name, 8, {"S1": 8})
    assert not result.skipped and not result.unmatched
    before, after = project.all_rows(), other.all_rows()
    order = [np.lexsort((rows["x0"], rows["y0"])) for rows in (before, after)]
    before, after = before[order[0]], after[order[1]]
    codes = [{cls.id: cls.code for cls in p.classes} for p in (project, other)]
    for side in ("y0", "x0", "y1", "x1"):
        np.testing.assert_array_equal(before[side], after[side])
    assert [codes[0][i] for i in before["class_id"]] == [codes[1][i] for i in after["class_id"]]
    np.testing.assert_allclose(before["confidence"], after["confidence"], atol=1e-5)
    if name != "yolo":
        for column in ("state", "chosen", "reason", "note"):
            assert before[column].tolist() == after[column].tolist(), column


def test_an_import_is_one_step_of_undo(project, other, tmp_path):
    run_job(export_boxes(project, tmp_path / "out.json", "coco"))
    run_job(import_annotations(other, tmp_path / "out.json"))
    assert len(other.classes) == 6 and "Import 8 boxes" in other.undo_title
    other.undo()
    assert len(other.all_rows()) == 0 and len(other.classes) == 0
    other.redo()
    assert len(other.all_rows()) == 8


def test_a_dry_run_changes_nothing(project, other, tmp_path):
    run_job(export_boxes(project, tmp_path / "out.json", "coco"))
    result = run_job(import_annotations(other, tmp_path / "out.json", dry_run=True))
    assert result.dry_run and result.boxes == 8 and len(result.new_classes) == 6
    assert len(other.all_rows()) == 0 and not other.can_undo


def test_exports_hold_what_is_shown(project, tmp_path):
    project.set_filter(BoxFilter(min_confidence=0.65))
    run_job(export_boxes(project, tmp_path / "out.json", "coco"))
    annotations = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["annotations"]
    # what a person drew or judged stays, whatever the confidence
    assert [a["attributes"]["state"] for a in annotations] == [
        "confirmed", "unreviewed", "unreviewed", "rejected", "confirmed",
    ]  # fmt: skip
    assert [("score" in a) for a in annotations] == [True, True, False, True, True]
    result = run_job(export_boxes(project, tmp_path / "out.json", "coco", states=[ReviewState.CONFIRMED]))
    assert result.boxes == 2
    assert run_job(export_boxes(project, tmp_path / "out.json", "coco", chosen_only=True)).boxes == 3
    with pytest.raises(InputError, match="docx"):
        run_job(export_boxes(project, tmp_path / "out", "docx"))


def test_pictures_are_matched_by_name_only(project, tmp_path):
    def coco(name, **size):
        image = {"id": 1, "file_name": name, **size}
        box = {"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}
        path = tmp_path / "in.json"
        document = {"images": [image], "categories": [{"id": 1, "name": "new"}], "annotations": [box]}
        path.write_text(json.dumps(document))
        return path

    assert run_job(import_annotations(project, coco("/etc/S1.JPG"), dry_run=True)).slides == {"S1": 1}
    with pytest.raises(ExchangeError, match="no slide of this name"):
        run_job(import_annotations(project, coco("S2.png")))
    assert run_job(import_annotations(project, coco("S2.png"), slide="S1", dry_run=True)).slides == {"S1": 1}
    with pytest.raises(ExchangeError, match="10 x 20 px"):
        run_job(import_annotations(project, coco("S1.png", width=10, height=20)))
    with pytest.raises(InputError, match="S9"):
        run_job(import_annotations(project, coco("S1.png"), slide="S9"))


def test_boxes_outside_the_slide_are_counted(project, tmp_path):
    path = tmp_path / "in.csv"
    path.write_text("class,x0_px,y0_px,x1_px,y1_px\nACP,10,10,20,20\nACP,700,10,720,20\nACP,5,5,5,9\n")
    result = run_job(import_annotations(project, path))
    assert result.boxes == 1 and result.skipped == {"outside the slide": 1, "no area": 1}
    assert result.new_classes == ()


def test_training_pictures_hold_what_a_person_stands_for(project, tmp_path):
    project.close()
    result = run_job(make_dataset([project.path], tmp_path / "set", tile_px=96, background=0.5))
    assert set(result.classes) == {"ACP", "AOP", "CFA"}
    document = FORMATS["coco"].read(tmp_path / "set" / "annotations.json")
    assert len(list((tmp_path / "set" / "images").glob("*.png"))) == result.pictures == len(document.images)
    assert document.box_count == result.boxes
    assert all(image.shape_px == (96, 96) for image in document.images)
    with pytest.raises(InputError, match="not empty"):
        run_job(make_dataset([project.path], tmp_path / "set"))


def test_training_pictures_show_the_box_where_it_says(project, tmp_path):
    from PIL import Image

    slide = np.asarray(Image.open(tmp_path / "S1.png"))
    confirmed = project.all_rows()[0]
    project.close()
    run_job(make_dataset([project.path], tmp_path / "set", tile_px=128, background=0, seed=3))
    document = FORMATS["coco"].read(tmp_path / "set" / "annotations.json")
    image, box = next((i, b) for i in document.images for b in i.boxes if b.class_code == "ACP")
    picture = np.asarray(Image.open(tmp_path / "set" / "images" / image.name))
    cut = picture[int(box.y0) : int(box.y1), int(box.x0) : int(box.x1)]
    y0, x0, y1, x1 = (int(confirmed[n]) for n in ("y0", "x0", "y1", "x1"))
    np.testing.assert_array_equal(cut, slide[y0:y1, x0:x1])


def test_nothing_confirmed_is_said(tmp_path, other):
    other.close()
    with pytest.raises(InputError, match="confirmed"):
        run_job(make_dataset([other.path], tmp_path / "set"))
