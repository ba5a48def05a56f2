"""Boxes exported from a project and imported into another one."""

from __future__ import annotations

import dataclasses
import json
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from microscope_qc.core.boxes import BoxFilter, ReviewState, make_rows
from microscope_qc.core.errors import ExchangeError, InputError
from microscope_qc.core.jobs import run_job
from microscope_qc.core.outline import Outline
from microscope_qc.exchange.registry import FORMATS
from microscope_qc.project import Project
from microscope_qc.workflows.exchange.export import export_boxes
from microscope_qc.workflows.exchange.importing import import_annotations
from microscope_qc.workflows.learning.dataset import make_dataset, trusted


@pytest.fixture
def other(tmp_path, project):
    """A project of the same slide without boxes and classes."""
    with Project.create(tmp_path / "other.mqc", slides=[tmp_path / "S1.png"], classes=()) as made:
        yield made


@pytest.mark.parametrize("name", FORMATS)
def test_boxes_are_copied_to_another_project(name, project, other, tmp_path):
    known = FORMATS.get(name)
    target = tmp_path / ("out" if known.is_folder else f"out{known.suffix}")
    assert run_job(export_boxes(project, target, name)).boxes == 8
    result = run_job(import_annotations(other, target))
    assert (result.format, result.boxes, result.slides) == (name, 8, {"S1": 8})
    assert not result.skipped and not result.unmatched
    before, after = project.boxes.rows(), other.boxes.rows()
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
    assert len(other.classes) == 6 and "Import 8 boxes" in other.history.undo_title
    other.history.undo()
    assert len(other.boxes.rows()) == 0 and len(other.classes) == 0
    other.history.redo()
    assert len(other.boxes.rows()) == 8


def test_a_dry_run_changes_nothing(project, other, tmp_path):
    run_job(export_boxes(project, tmp_path / "out.json", "coco"))
    result = run_job(import_annotations(other, tmp_path / "out.json", dry_run=True))
    assert result.dry_run and result.boxes == 8 and len(result.new_classes) == 6
    assert len(other.boxes.rows()) == 0 and not other.history.can_undo


def test_exports_hold_what_counts(project, tmp_path):
    project.inclusion.set_limit(0.65)
    project.filters.set(BoxFilter(states=frozenset({ReviewState.CONFIRMED})))
    run_job(export_boxes(project, tmp_path / "out.json", "coco"))
    annotations = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["annotations"]
    # what a user drew or judged stays, whatever the confidence
    assert [a["attributes"]["state"] for a in annotations] == [
        "confirmed", "unreviewed", "unreviewed", "rejected", "confirmed",
    ]  # fmt: skip
    assert [("score" in a) for a in annotations] == [True, True, False, True, True]
    result = run_job(export_boxes(project, tmp_path / "out.json", "coco", states=[ReviewState.CONFIRMED]))
    assert result.boxes == 2
    assert run_job(export_boxes(project, tmp_path / "out.json", "coco", chosen_only=True)).boxes == 3
    assert run_job(export_boxes(project, tmp_path / "out.json", "coco", shown=True)).boxes == 2
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


def test_training_pictures_hold_what_a_user_confirmed_or_drew(project, tmp_path):
    project.close()
    result = run_job(make_dataset([project.path], tmp_path / "set", tile_px=96, background=0.5))
    assert set(result.classes) == {"ACP", "AOP", "CFA"}
    document = FORMATS.get("coco").read(tmp_path / "set" / "annotations.json")
    assert len(list((tmp_path / "set" / "images").glob("*.png"))) == result.pictures == len(document.images)
    assert document.box_count == result.boxes
    assert all(image.shape_px == (96, 96) for image in document.images)
    with pytest.raises(InputError, match="not empty"):
        run_job(make_dataset([project.path], tmp_path / "set"))


def test_training_pictures_show_boxes_at_their_positions(project, tmp_path):
    slide = np.asarray(Image.open(tmp_path / "S1.png"))
    confirmed = project.boxes.rows()[0]
    project.close()
    run_job(make_dataset([project.path], tmp_path / "set", tile_px=128, background=0, seed=3))
    document = FORMATS.get("coco").read(tmp_path / "set" / "annotations.json")
    image, box = next((i, b) for i in document.images for b in i.boxes if b.class_code == "ACP")
    picture = np.asarray(Image.open(tmp_path / "set" / "images" / image.name))
    cut = picture[int(box.y0) : int(box.y1), int(box.x0) : int(box.x1)]
    y0, x0, y1, x1 = (int(confirmed[n]) for n in ("y0", "x0", "y1", "x1"))
    np.testing.assert_array_equal(cut, slide[y0:y1, x0:x1])


def test_a_project_without_confirmed_findings_is_refused(tmp_path, other):
    other.close()
    with pytest.raises(InputError, match="confirmed"):
        run_job(make_dataset([other.path], tmp_path / "set"))


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "yolo"])
def test_outlines_and_attributes_are_copied_too(name, project, other, tmp_path):
    slide = project.slides[0].id
    first, second = project.boxes.table(slide).rows["id"][:2].tolist()
    y0, x0, y1, x1 = (float(project.boxes.table(slide).get([first])[0][side]) for side in ("y0", "x0", "y1", "x1"))
    outline = Outline.polygon([(y0, x0), (y0, x1), (y1, (x0 + x1) / 2)])
    project.outlines.set(first, outline)
    project.attributes.edit([second], {"material": "Al₂O₃", "depth": 2.5})
    known = FORMATS.get(name)
    target = tmp_path / ("out" if known.is_folder else f"out{known.suffix}")
    run_job(export_boxes(project, target, name))
    result = run_job(import_annotations(other, target))
    assert (result.boxes, result.outlines, result.attributes) == (8, 1, 1)
    there = other.slides[0].id
    assert list(other.outlines.of_slide(there).values()) == [outline]
    assert list(other.attributes.of_slide(there).values()) == [{"material": "Al₂O₃", "depth": 2.5}]
    other.history.undo()
    assert other.outlines.of_slide(there) == {} and other.attributes.of_slide(there) == {}
    other.history.redo()
    assert list(other.outlines.of_slide(there).values()) == [outline]


def test_classes_are_mapped_and_counted_before_anything_is_written(project, other, tmp_path):
    run_job(export_boxes(project, tmp_path / "out.json", "coco"))
    other.classes.add("Riss")
    entries = len(other.history.entries())
    plan = {"ACP": "Riss", "AOP": "新しい", "AFP": None}
    said = run_job(import_annotations(other, tmp_path / "out.json", class_map=plan, dry_run=True))
    assert said.classes == {"ACP": 2, "AOP": 1, "AFP": 1, "AHS": 2, "CFA": 1, "CRK": 1}
    assert said.mapped == {"ACP": "Riss", "AOP": "新しい", "AFP": "", "AHS": "AHS", "CFA": "CFA", "CRK": "CRK"}
    assert said.new_classes == ("新しい", "AHS", "CFA", "CRK") and said.boxes == 7
    assert said.skipped == {"class left out": 1} and len(other.history.entries()) == entries
    done = run_job(import_annotations(other, tmp_path / "out.json", class_map=plan))
    assert dataclasses.replace(done, dry_run=True, box_ids=()) == said
    counts = {cls.code: other.classes.box_counts()[cls.id] for cls in other.classes}
    assert counts == {"Riss": 2, "新しい": 1, "AHS": 2, "CFA": 1, "CRK": 1}
    again = run_job(import_annotations(other, tmp_path / "out.json", class_map=plan, dry_run=True))
    assert again.duplicates == 7 and again.boxes == 7, "boxes that coincide are kept unless that is declined"
    less = run_job(import_annotations(other, tmp_path / "out.json", class_map=plan, skip_duplicates=True))
    assert less.boxes == 0 and less.skipped == {"class left out": 1, "there already": 7}
    with pytest.raises(InputError, match="no name"):
        run_job(import_annotations(other, tmp_path / "out.json", class_map={"ACP": " "}))


def read_voc(folder):
    """Read VOC as LabelImg wrote it, independently of the program."""
    found = {}
    for file in sorted((folder / "annotations").glob("*.xml")):
        root = ElementTree.parse(file).getroot()
        sides = [[int(entry.find("bndbox").findtext(tag)) for tag in ("ymin", "xmin", "ymax", "xmax")]
                 for entry in root.findall("object")]  # fmt: skip
        names = [entry.findtext("name") for entry in root.findall("object")]
        size = tuple(int(root.find("size").findtext(tag)) for tag in ("height", "width"))
        found[root.findtext("filename")] = (size, list(zip(names, sides, strict=True)))
    return found


def read_yolo(folder):
    """Read YOLO as a trainer does, independently of the program."""
    names = (folder / "classes.txt").read_text(encoding="utf-8").splitlines()
    found = {}
    for file in sorted((folder / "labels").glob("*.txt")):
        (picture,) = (folder / "images").glob(f"{file.stem}.*")
        width, height = Image.open(picture).size
        boxes = []
        for line in file.read_text().splitlines():
            number, x, y, w, h = line.split()[:5]
            x, y, w, h = float(x) * width, float(y) * height, float(w) * width, float(h) * height
            boxes.append((names[int(number)], [y - h / 2, x - w / 2, y + h / 2, x + w / 2]))
        found[picture.name] = ((height, width), boxes)
    return found


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("pad", [False, True])
def test_tiles_in_any_format_show_boxes_at_their_positions(name, pad, project, tmp_path):
    slide = np.asarray(Image.open(tmp_path / "S1.png"))
    corners = {"y0": [76, 200, 380], "x0": [150, 395, 560], "y1": [90, 230, 399], "x1": [170, 418, 599]}
    project.boxes.add(project.slides[0].id, make_rows(3, class_id=project.classes[0].id, **corners))
    good = trusted(project.boxes.rows(every=True))
    code_of = {cls.id: cls.code for cls in project.classes}
    project.close()
    out = tmp_path / "set"
    result = run_job(
        make_dataset(
            [project.path], out, tile_px=96, layout="tiles", overlap_px=16, pad=pad, visible=0.5, background=0.3,
            format=name,
        )
    )  # fmt: skip
    pictures = {file.name: np.asarray(Image.open(file)) for file in (out / "images").glob("*.png")}
    assert len(pictures) == result.pictures and result.background > 0
    if name == "voc":
        found = read_voc(out)
    elif name == "yolo":
        found = read_yolo(out)
    else:
        place = {"coco": out / "annotations.json", "labelme": out / "images"}.get(name)
        place = place or next(out.glob("annotations*"))
        document = FORMATS.get(name).read(
            place, sizes={file.rsplit(".", 1)[0]: p.shape[:2] for file, p in pictures.items()}
        )
        found = {image.name: (image.shape_px, [(b.class_code, [b.y0, b.x0, b.y1, b.x1]) for b in image.boxes])
                 for image in document.images}  # fmt: skip
    assert sum(len(boxes) for _, boxes in found.values()) == result.boxes > len(good), "overlapping tiles share boxes"
    whole = set()
    for file, (size, boxes) in found.items():
        picture = pictures[file]
        assert picture.shape == (96, 96, 3) and (size is None or tuple(size) == (96, 96))
        top, left = (int(part) for part in file.removesuffix(".png").rsplit("_", 2)[1:])
        part = slide[top : top + 96, left : left + 96]
        np.testing.assert_array_equal(picture[: part.shape[0], : part.shape[1]], part)
        assert not picture[part.shape[0] :].any() and not picture[:, part.shape[1] :].any()
        for code, (y0, x0, y1, x1) in boxes:
            fits = [row for row in good if code_of[row["class_id"]] == code and row["y0"] + 96 > top]
            cut = [[max(r["y0"] - top, 0), max(r["x0"] - left, 0), min(r["y1"] - top, 96), min(r["x1"] - left, 96)]
                   for r in fits]  # fmt: skip
            match = [np.allclose(sides, [y0, x0, y1, x1], atol=1e-6) for sides in cut]
            assert any(match), (file, code)
            row = fits[match.index(True)]
            share = (y1 - y0) * (x1 - x0) / ((row["y1"] - row["y0"]) * (row["x1"] - row["x0"]))
            assert share >= 0.5
            whole |= {int(row["id"])} if share == pytest.approx(1) else set()
    assert whole, "some boxes are completely in a tile"
    if name != "csv":  # a table has no row for a picture without boxes
        assert len(found) == result.pictures


def test_impossible_cuts_are_refused(project, tmp_path):
    for wrong in ({"layout": "hexagons"}, {"overlap_px": 512}, {"visible": 2.0}, {"format": "docx"}):
        with pytest.raises(InputError):
            run_job(make_dataset([project.path], tmp_path / "set", **wrong))
    assert not (tmp_path / "set").exists()


def test_a_class_map_from_the_command_line(project, other, tmp_path, capsys):
    from microscope_qc.cli import main

    run_job(export_boxes(project, tmp_path / "out.json", "coco"))
    other.close()
    command = ["import", str(other.path), str(tmp_path / "out.json"), "--class", "ACP=Riss", "--class", "AOP="]
    assert main([*command, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["mapped"]["ACP"] == "Riss" and said["skipped"] == {"class left out": 1} and said["boxes"] == 7
    assert main([*command[:3], "--class", "ACP"]) == 2  # no box of the file is without a class
    table = tmp_path / "history.csv"
    assert main(["check", str(other.path), "--history", str(table)]) == 0
    assert "Import 7 boxes" in table.read_text(encoding="utf-8")
    assert main(["new", str(tmp_path / "n.mqc"), "--classes", "nonsense"]) == 2


def test_boxes_without_a_class_get_one_on_the_command_line(other, tmp_path, capsys):
    from microscope_qc.cli import main

    (tmp_path / "S1.csv").write_text("class,x0_px,y0_px,x1_px,y1_px\n,10,10,20,20\nACP,30,30,40,40\n,5,5,5,9\n")
    other.close()
    command = ["import", str(other.path), str(tmp_path / "S1.csv"), "--json"]
    assert main(command) == 2
    assert "no class" in capsys.readouterr().err
    assert main([*command, "--class", "=", "--dry-run"]) == 0
    assert json.loads(capsys.readouterr().out)["boxes"] == 1
    assert main([*command, "--class", "POR"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["mapped"] == {"": "POR", "ACP": "ACP"} and said["places"] == {"no area": ["S1.csv, line 4"]}
