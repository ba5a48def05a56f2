"""Pictures of annotation files find their slides by name and folders; what fits twice is asked, never guessed."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from microscope_qc.core.boxes import make_rows
from microscope_qc.core.errors import ExchangeError, InputError
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import run_job
from microscope_qc.core.orientation import upright_pixels
from microscope_qc.core.outline import Outline
from microscope_qc.exchange.document import Document
from microscope_qc.exchange.pictures import picture_path
from microscope_qc.exchange.registry import FORMATS, detect_format
from microscope_qc.project import Project
from microscope_qc.slides import open_slide
from microscope_qc.workflows.exchange.export import export_boxes
from microscope_qc.workflows.exchange.importing import import_annotations

PLACES = ("A/scan.png", "B/scan.png", "B/scan.tif", "B/Scan.jpg", "A/other.png", "C 1.5/scan.png")
MakeProject = Callable[..., Project]


@pytest.fixture
def make_project(tmp_path: Path) -> MakeProject:
    """Projects of small slides, whose sizes differ."""

    def make(name: str, places: tuple[str, ...] = PLACES, *, equal: bool = False) -> Project:
        for number, place in enumerate(places):
            path = tmp_path / place
            path.parent.mkdir(parents=True, exist_ok=True)
            width = 60 if equal else 60 + 4 * number
            pixels = np.random.default_rng(number).integers(0, 255, (40, width), dtype=np.uint8)
            if not path.exists():
                Image.fromarray(pixels).save(path)
        return Project.create(tmp_path / f"{name}.mqc", slides=[tmp_path / place for place in places], classes=())

    return make


def boxes_by_path(project: Project) -> dict[str, list[float]]:
    return {str(slide.path): project.boxes.rows(slide.id)["x0"].tolist() for slide in project.slides}


def coco(path: Path, *names: str, shape: tuple[int, int] = (40, 60)) -> Path:
    """A COCO file with one box in each picture, at x = 1, 2, ..."""
    numbers = range(1, len(names) + 1)
    images = [
        {"id": n, "file_name": name, "width": shape[1], "height": shape[0]}
        for n, name in zip(numbers, names, strict=True)
    ]
    boxes = [{"id": n, "image_id": n, "category_id": 1, "bbox": [n, 5, 10, 10]} for n in numbers]
    path.write_text(json.dumps({"images": images, "categories": [{"id": 1, "name": "pore"}], "annotations": boxes}))
    return path


@pytest.mark.parametrize("equal", [False, True])
@pytest.mark.parametrize("name", FORMATS)
def test_slides_of_equal_names_come_back_exactly(name: str, equal: bool, make_project: MakeProject, tmp_path: Path):
    with make_project("from", equal=equal) as project, make_project("to", PLACES[::-1], equal=equal) as other:
        project.classes.add("pore")
        for number, slide in enumerate(project.slides):
            rows = make_rows(1, class_id=[project.classes[0].id], y0=[5], x0=[number + 1], y1=[15], x1=[20])
            project.boxes.add(slide.id, rows)
        known = FORMATS.get(name)
        target = tmp_path / ("out" if known.is_folder else f"out{known.suffix}")
        run_job(export_boxes(project, target, name))
        summary = run_job(import_annotations(other, target, format=name))
        assert summary.boxes == len(PLACES) and not summary.unmatched
        assert boxes_by_path(other) == boxes_by_path(project)


HOSTILE = (
    "..a.png", ".b.png", "-rf.png", "=1+1.png", "%20 #1.png", "a&b<c>'d'.png", "part 1.5.png", "x.json.png",
    "classes.png", "README.png", "train.png", "data.png", "obj.png", "裂纹 ü.png", "e .png", "._f.png",
)  # fmt: skip
FORBIDDEN = ('g"h?.png', "i:j*.png", "k|l.png", "m\\n.png")
"""Where files are called so, too."""


@pytest.mark.parametrize("name", FORMATS)
def test_slides_of_any_name_come_back(name: str, make_project: MakeProject, tmp_path: Path):
    names = HOSTILE + (() if sys.platform == "win32" else FORBIDDEN)
    known = FORMATS.get(name)
    out = tmp_path / ("out" if known.is_folder else f"out{known.suffix}")
    with make_project("given", tuple(f"S/{place}" for place in names)) as given:
        given.classes.add("pore")
        for number, slide in enumerate(given.slides):
            rows = make_rows(1, y0=[1], x0=[number + 1], y1=[20], x1=[number + 12], class_id=[given.classes[0].id])
            given.boxes.add(slide.id, rows)
        run_job(export_boxes(given, out, name))
    with make_project("taken", tuple(f"S/{place}" for place in names)) as taken:
        run_job(import_annotations(taken, out))
        found = boxes_by_path(taken)
    assert {Path(path).name: xs for path, xs in found.items()} == {
        place: [pytest.approx(number + 1, abs=1e-6)] for number, place in enumerate(names)
    }


@pytest.mark.parametrize("suffix", ["", ".5", ".bak"])
@pytest.mark.parametrize("name", [name for name, known in FORMATS.items() if not known.is_folder])
def test_a_file_saved_without_its_suffix_is_recognised(
    name: str, suffix: str, make_project: MakeProject, tmp_path: Path
):
    out = tmp_path / f"cell 1{suffix}"
    with make_project("given", PLACES[:1]) as given:
        given.classes.add("pore")
        rows = make_rows(1, y0=[1], x0=[2], y1=[20], x1=[30], class_id=[given.classes[0].id])
        given.boxes.add(given.slides[0].id, rows)
        run_job(export_boxes(given, out, name))
    assert detect_format(out).name == name
    with make_project("taken", PLACES[:1]) as taken:
        run_job(import_annotations(taken, out))
        assert list(boxes_by_path(taken).values()) == [[2]]


def test_a_file_that_is_no_text_is_not_read_for_its_format(tmp_path: Path):
    (tmp_path / "large.bin").write_bytes(bytes(100))
    with pytest.raises(ExchangeError, match="not in an annotation format"):
        detect_format(tmp_path / "large.bin")


@pytest.mark.parametrize("name", ["coco", "voc", "yolo"])
def test_one_of_two_equal_names_comes_back_to_its_slide(name: str, make_project: MakeProject, tmp_path: Path):
    with make_project("from", equal=True) as project, make_project("to", equal=True) as other:
        project.classes.add("pore")
        second = project.slides[1]
        rows = make_rows(1, class_id=[project.classes[0].id], y0=[5], x0=[9], y1=[15], x1=[20])
        project.boxes.add(second.id, rows)
        known = FORMATS.get(name)
        target = tmp_path / ("out" if known.is_folder else f"out{known.suffix}")
        run_job(export_boxes(project, target, name, slide_ids=[second.id]))
        if name == "yolo":  # B/scan.txt may be scan.png, scan.tif and Scan.jpg
            with pytest.raises(ExchangeError, match="may be any of"):
                run_job(import_annotations(other, target))
        else:
            run_job(import_annotations(other, target))
            assert boxes_by_path(other) == boxes_by_path(project)


def test_only_the_slide_that_is_in_the_project_gets_boxes(make_project: MakeProject, tmp_path: Path):
    with make_project("p", ("A/scan.png",)) as project:
        path = coco(tmp_path / "in.json", "A/scan.png", "B/scan.png")
        for slide in (None, "scan"):
            summary = run_job(import_annotations(project, path, slide=slide, dry_run=True))
            assert summary.slides == {"scan": 1}
            assert "fits the slide scan better" in summary.unmatched["B/scan.png"]


def test_what_fits_twice_is_refused_until_the_user_says(make_project: MakeProject, tmp_path: Path):
    with make_project("p", ("A/scan.png", "B/scan.png"), equal=True) as project:
        first, second = (slide.name for slide in project.slides)
        path = coco(tmp_path / "in.json", "scan.png")
        with pytest.raises(ExchangeError, match=f"{first}, {second}.*--slide"):
            run_job(import_annotations(project, path, dry_run=True))
        assert run_job(import_annotations(project, path, slide=second, dry_run=True)).slides == {second: 1}
        chosen = run_job(import_annotations(project, path, picture_map={"scan.png": first}, dry_run=True))
        assert chosen.slides == {first: 1}
        with pytest.raises(InputError, match="no picture x"):
            run_job(import_annotations(project, path, picture_map={"x": first}))
        with pytest.raises(InputError, match="no slide x"):
            run_job(import_annotations(project, path, picture_map={"scan.png": "x"}))


def test_two_pictures_that_fit_one_slide_alike_are_never_both_taken(make_project: MakeProject, tmp_path: Path):
    with make_project("p", ("A/scan.png",)) as project:
        path = coco(tmp_path / "in.json", "B/scan.png", "C/scan.png")
        for slide in (None, "scan"):
            with pytest.raises(ExchangeError, match="any of the pictures B/scan.png, C/scan.png"):
                run_job(import_annotations(project, path, slide=slide))
        picture_map = {"B/scan.png": None, "C/scan.png": "scan"}
        assert run_job(import_annotations(project, path, picture_map=picture_map)).boxes == 1
        assert project.boxes.rows()["x0"].tolist() == [2]


def test_a_picture_of_another_slide_is_not_put_on_the_chosen_one(make_project: MakeProject, tmp_path: Path):
    with make_project("p", ("A/one.png", "A/two.png"), equal=True) as project:
        path = coco(tmp_path / "in.json", "two.png")
        with pytest.raises(ExchangeError, match="is the slide two, not one"):
            run_job(import_annotations(project, path, slide="one"))


def test_a_picture_whose_size_only_one_of_the_slides_has_is_that_one(make_project: MakeProject, tmp_path: Path):
    with make_project("p", ("A/scan.png", "B/scan.png")) as project:
        path = coco(tmp_path / "in.json", "scan.png", shape=(40, 64))
        run_job(import_annotations(project, path))
        assert len(project.boxes.rows(project.slides[1].id)) == 1


def test_shares_of_a_picture_are_scaled_to_its_own_slide(make_project: MakeProject, tmp_path: Path):
    with make_project("p", ("A/scan.png", "B/scan.png")) as project:
        (tmp_path / "labels" / "B").mkdir(parents=True)
        (tmp_path / "labels" / "B" / "scan.txt").write_text("0 0.5 0.5 0.5 0.5\n")
        run_job(import_annotations(project, tmp_path / "labels"))
        (row,) = project.boxes.rows(project.slides[1].id)
        assert (row["x0"], row["x1"]) == (16, 48)


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("A/scan.tif", "A/scan.tif"),
        ("C:\\data\\A\\scan.tif", "data/A/scan.tif"),
        ("C:/data/scan.tif", "data/scan.tif"),
        ("/etc/./passwd", "etc/passwd"),
        ("../../x/../scan.tif", "scan.tif"),
        ("https://host/a/b.png", "host/a/b.png"),
        ("a\x00b\n\x1b.png", "ab .png"),
        ("", "picture"),
        ("/", "picture"),
    ],
)
def test_paths_of_pictures_are_cleaned(given: str, path: str):
    document = Document()
    assert document.image(given).path == path
    assert document.image(given) is document.image(path)
    assert picture_path(path) == path
    assert picture_path("b.png", folder="x/y") == "x/y/b.png" and picture_path("../b.png", folder="x/y") == "x/b.png"


# -- small files of public bug reports --------------------------------------------------------------------------------


@pytest.fixture
def cases(real_data: Path) -> Path:
    """Small inputs and what is right for them."""
    folder = real_data / "cases" / "exchange"
    if not folder.is_dir():
        pytest.skip("the small cases are not there")
    return folder


@pytest.mark.parametrize(
    ("file", "slides", "chosen", "right"),
    [
        ("same_names.json", ["same/A/scan.tif", "same/B/scan.tif"], None, {"A scan": 1, "B scan": 1}),
        ("same_names.json", ["same/A/scan.tif"], "scan", {"scan": 1}),
        ("same_names_coco/ann.json", ["same_names_coco/kos01/Part0.png"], None, {"Part0": 1}),
        ("ls_field/ls.json", ["ls_field/s1.png", "ls_field/s2.png"], None, {"s2": 1}),
        ("labelstudio_two_tasks_operator.json", ["slide.tif"], "slide", {"slide": 1}),
        ("yolo_layout", ["yolo_layout/images/train/k1.png"], None, {"k1": 1}),
    ],
)
def test_cases_of_names(
    file: str, slides: list[str], chosen: str | None, right: dict[str, int], cases: Path, tmp_path: Path
):
    with Project.create(tmp_path / "p.mqc", slides=[cases / slide for slide in slides], classes=()) as project:
        summary = run_job(import_annotations(project, cases / file, slide=chosen))
        assert {name: count for name, count in summary.slides.items() if count} == right


@pytest.mark.parametrize(
    ("file", "classes"),
    [
        ("yolo_multiline_list", ["pore", "crack", "phase"]),
        ("yolo_block_flow", ["pore", "crack", "phase"]),
        ("yolo_comments", ["pore", "crack"]),
        ("yolo_comma_in_name", ["pore, large", "crack"]),
        ("yolo_float_class", ["pore", "crack"]),
        ("roboflow", ["pore", "crack"]),
        ("coco_crowd_rle.json", ["pore", "pore", "pore"]),
        ("csv_semicolon_decimalcomma.csv", ["pore"]),
        ("csv_sep_line.csv", ["pore"]),
        ("labelstudio_min.json", ["pore"]),
        ("voc_swapped.xml", ["pore"]),
    ],
)
def test_cases_of_one_slide(file: str, classes: list[str], cases: Path, tmp_path: Path):
    with Project.create(tmp_path / "p.mqc", slides=[cases / "slide.tif"], classes=()) as project:
        summary = run_job(import_annotations(project, cases / file, slide="slide"))
        code_of = {cls.id: cls.code for cls in project.classes}
        rows = project.boxes.rows()
        assert [code_of[number] for number in rows["class_id"]] == classes
        assert not summary.skipped and not summary.files_left_out
        if file.endswith(".csv"):
            assert [rows[side][0] for side in ("x0", "y0", "x1", "y1")] == [10.5, 20.25, 30.5, 40.75]
        if file == "voc_swapped.xml":
            assert [rows[side][0] for side in ("x0", "y0", "x1", "y1")] == [20, 10, 80, 60]
        if file == "coco_crowd_rle.json":
            assert list(project.attributes.of_slide(project.slides[0].id).values()) == [{"iscrowd": 1}]


def test_cases_without_a_class(cases: Path, tmp_path: Path):
    with Project.create(tmp_path / "p.mqc", slides=[cases / "via" / "p.png"], classes=()) as project:
        with pytest.raises(ExchangeError, match="--class CODE"):
            run_job(import_annotations(project, cases / "via" / "via.json"))
        run_job(import_annotations(project, cases / "via" / "via.json", class_map={"": "pore"}))
        (row,) = project.boxes.rows()
        assert [row[side] for side in ("x0", "y0", "x1", "y1")] == [10, 10, 40, 40]


# -- pictures that are stored lying on their side ---------------------------------------------------------------------


@pytest.mark.parametrize("orientation", [2, 3, 5, 6, 7, 8])
@pytest.mark.parametrize("frame", ["stored", "upright"])
def test_boxes_lie_on_the_mark_in_whichever_frame_they_were_made(orientation: int, frame: str, tmp_path: Path):
    stored = np.full((40, 60), 200, np.uint8)
    stored[5:12, 30:50] = 20
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(stored).save(tmp_path / "s.png", exif=exif)
    with Project.create(tmp_path / "p.mqc", slides=[tmp_path / "s.png"], classes=()) as project:
        record = project.slides[0]
        pixels = stored if frame == "stored" else upright_pixels(stored, orientation)
        ys, xs = np.nonzero(pixels < 100)
        x0, y0, x1, y1 = (int(side) for side in (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1))
        path = coco(tmp_path / "in.json", "s.png", shape=pixels.shape)
        content = json.loads(path.read_text())
        content["annotations"][0] |= {
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "segmentation": [[x0, y0, x1, y0, x1, y1 - 2, x0, y1]],
        }
        path.write_text(json.dumps(content))
        summary = run_job(import_annotations(project, path))
        (row,) = project.boxes.rows()
        (outline,) = project.outlines.of_slide(record.id).values()
        told = record.shape_px != record.stored_shape_px
        assert bool(summary.noted) == (not told or frame == "stored")
        if frame == "stored" and not told:  # nothing in the file says it: the note asks the user to look
            assert summary.unclear_turn == 1
            project.history.undo()
            run_job(import_annotations(project, path, as_stored=True))
            (row,) = project.boxes.rows()
            (outline,) = project.outlines.of_slide(record.id).values()
        ys, xs = np.nonzero(upright_pixels(stored, orientation) < 100)
        right = (ys.min(), xs.min(), ys.max() + 1, xs.max() + 1)
        assert tuple(row[side] for side in ("y0", "x0", "y1", "x1")) == right == outline.bounds


@pytest.mark.parametrize("name", ["exif6_square.jpg exif6_square.json", "exif6.jpg exif6_labelme.json"])
def test_cases_of_turned_pictures(name: str, real_data: Path, tmp_path: Path):
    slide, labels = (real_data / "cases" / "slides" / part for part in name.split())
    if not slide.exists():
        pytest.skip("the small cases are not there")
    with Project.create(tmp_path / "p.mqc", slides=[slide], classes=()) as project, open_slide(slide) as opened:
        run_job(import_annotations(project, labels))
        (row,) = project.boxes.rows()
        y0, x0, y1, x1 = (int(row[side]) for side in ("y0", "x0", "y1", "x1"))
        pixels = opened.scene(None).read(Region(y0, x0, y1, x1))
        assert abs(float(np.mean(pixels)) - 30) < 5


def test_shares_of_a_turned_picture_in_either_frame(tmp_path: Path):
    stored = np.full((40, 60), 200, np.uint8)
    stored[5:12, 30:50] = 20
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(stored).save(tmp_path / "s.png", exif=exif)
    with Project.create(tmp_path / "p.mqc", slides=[tmp_path / "s.png"], classes=()) as project:
        for as_stored in (False, True):
            pixels = stored if as_stored else upright_pixels(stored, 6)
            ys, xs = np.nonzero(pixels < 100)
            y0, x0, y1, x1 = ys.min(), xs.min(), ys.max() + 1, xs.max() + 1
            height, width = pixels.shape
            numbers = ((x0 + x1) / 2 / width, (y0 + y1) / 2 / height, (x1 - x0) / width, (y1 - y0) / height)
            (tmp_path / "s.txt").write_text(f"0 {' '.join(map(str, numbers))}\n")
            summary = run_job(import_annotations(project, tmp_path / "s.txt", as_stored=as_stored))
            assert summary.unclear_turn == 1 and summary.noted
            row = project.boxes.rows()[-1]
            ys, xs = np.nonzero(upright_pixels(stored, 6) < 100)
            right = (ys.min(), xs.min(), ys.max() + 1, xs.max() + 1)
            np.testing.assert_allclose([row[side] for side in ("y0", "x0", "y1", "x1")], right)


@pytest.mark.parametrize(
    ("file", "right"),
    [
        ("coco_mask_bomb.json", ["CRK"]),
        ("csv_long.csv", ["CRK"]),
        ("gj_classdict.geojson", "no class"),
        ("gj_classlist.geojson", "no class"),
        ("ls_ipv6.json", "no slide of this name"),
    ],
)
def test_hostile_cases(
    file: str, right: list[str] | str, real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = real_data / "cases" / "hostile" / file
    if not path.exists():
        pytest.skip("the small cases are not there")
    monkeypatch.setattr(Outline, "pixels", None)  # no mask is unpacked
    Image.fromarray(np.zeros((2048, 2048), np.uint8)).save(tmp_path / "s2k.png")
    with Project.create(tmp_path / "p.mqc", slides=[tmp_path / "s2k.png"], classes=()) as project:
        if isinstance(right, str):
            with pytest.raises(ExchangeError, match=right):
                run_job(import_annotations(project, path))
            return
        run_job(import_annotations(project, path))
        assert [cls.code for cls in project.classes] == right
        (row,) = project.boxes.rows()
        x0, y0, x1, y1 = (1, 1, 10, 10) if file.startswith("coco") else (1, 1, 9, 9)
        assert tuple(row[side] for side in ("x0", "y0", "x1", "y1")) == (x0, y0, x1, y1)


def test_a_file_that_fits_no_slide_names_some_and_how_many_more_there_are(
    make_project: MakeProject, tmp_path: Path
) -> None:
    places = tuple(f"p{number}.png" for number in range(10))
    with make_project("many", places) as project, pytest.raises(ExchangeError) as caught:
        run_job(import_annotations(project, coco(tmp_path / "c.json", "other.png")))
    assert "p7 and 2 more." in caught.value.hint and "choose it (--slide on the command line)" in caught.value.hint
