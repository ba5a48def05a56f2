"""What is learned from, and measured on: any annotations, and exactly the pictures that they are about."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from learning_toys import coco_folder, load_dataset
from wild_structure import changed

from microscope_qc.core.boxes import make_rows
from microscope_qc.core.defect_class import DefectClass
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.jobs import run_job
from microscope_qc.exchange.document import Document
from microscope_qc.exchange.registry import FORMATS
from microscope_qc.ml.datasets import Dataset
from microscope_qc.ml.datasets.scaled import load_scaled
from microscope_qc.project import Project
from microscope_qc.workflows.learning.dataset import make_dataset
from microscope_qc.workflows.learning.reading import TURNED, UNTOLD

HEIGHT, WIDTH = 48, 64
BOX = [20, 10, 30, 24]
"""x, y, width and height of the dark mark in every picture."""
CORNERS = [20, 10, 50, 10, 50, 34, 20, 34]


def draw(path: Path, grey: int = 200, orientation: int = 1) -> None:
    """A grey picture with a dark mark, stored as the orientation says."""
    from PIL import Image

    pixels = np.full((HEIGHT, WIDTH), grey, np.uint8)
    pixels[10:34, 20:50] = 30
    stored = {1: pixels, 3: pixels[::-1, ::-1], 6: pixels.T[::-1], 8: pixels.T[:, ::-1]}[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif)


def coco(folder: Path, *names: str, file: str = "a.json", **changes: Any) -> Path:
    """COCO annotations with the mark in each picture; ``changes`` replace parts of the document."""
    images = [{"id": n, "file_name": name, "width": WIDTH, "height": HEIGHT} for n, name in enumerate(names)]
    annotations = [{"id": n, "image_id": n, "category_id": 1, "bbox": BOX} for n, _ in enumerate(names)]
    document = {"images": images, "categories": [{"id": 1, "name": "pore"}], "annotations": annotations}
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    (folder / file).write_text(json.dumps(document | changes))
    return folder


def marks(data: Dataset) -> int:
    """Number of boxes, each of which is checked to lie on a mark as the trainer sees it."""
    count = 0
    for image in data.images:
        loaded = load_scaled(image, None)
        for y0, x0, y1, x1 in np.round(loaded.boxes).astype(int):
            assert loaded.pixels[y0:y1, x0:x1].max() < 60 and (y1 - y0) * (x1 - x0) == 24 * 30
            count += 1
    return count


def test_coco_with_pictures_beside_it(tmp_path: Path) -> None:
    data = load_dataset(coco_folder(tmp_path))
    assert data.classes == ["SQ", "DI"] and data.counts() == {"SQ": 12, "DI": 12} and data.sentences() == []


def test_missing_pictures_are_named(tmp_path: Path) -> None:
    for number in range(6):
        draw(tmp_path / f"p{number}.png")
    data = load_dataset(coco(tmp_path, *(f"p{number}.png" for number in range(10))))
    assert len(data.images) == marks(data) == 6
    assert data.sentences() == ["4 of 10 pictures left out. p6.png, p7.png, p8.png, p9.png: not found."]
    assert data.left_out.document()["pictures"][0] == {"picture": "p6.png", "why": "not found"}


def test_pictures_are_found_by_as_much_of_their_path_as_is_given(tmp_path: Path) -> None:
    for grey, name in enumerate(["images/A/1.png", "images/B/1.png", "images/A/2.png"], start=180):
        draw(tmp_path / name, grey)
    for names in (
        ["images/A/1.png", "images/B/1.png", "images/A/2.png"],
        ["A/1.png", "B/1.png", "A/2.png"],
        ["C:\\data\\A\\1.png", "C:\\data\\B\\1.png", "C:\\data\\A\\2.png"],
        ["/home/somebody/set/A/1.PNG", "/home/somebody/set/B/1.PNG", "../2.png"],
    ):
        data = load_dataset(coco(tmp_path, *names))
        assert [image.path.relative_to(tmp_path).as_posix() for image in data.images] == [
            "images/A/1.png", "images/B/1.png", "images/A/2.png",
        ]  # fmt: skip
        assert marks(data) == 3


def test_pictures_of_one_name_are_never_mixed_up(tmp_path: Path) -> None:
    draw(tmp_path / "1.png")
    draw(tmp_path / "A" / "2.png")
    draw(tmp_path / "B" / "3.png")
    with pytest.raises(MicroscopeQCError, match=r"1\.png may be any of X/1\.png, Y/1\.png"):
        load_dataset(coco(tmp_path, "X/1.png", "Y/1.png"))
    data = load_dataset(coco(tmp_path, "A/2.png", "B/2.png", "B/3.png", "A/3.png"))
    assert [image.path.name for image in data.images] == ["2.png", "3.png"]
    assert set(data.left_out.pictures) == {"B/2.png", "A/3.png"}, "the folders are there, and these are not in them"
    draw(tmp_path / "B" / "2.png")
    with pytest.raises(MicroscopeQCError, match=r"2\.png: several pictures fit: A/2\.png, B/2\.png"):
        load_dataset(coco(tmp_path, "2.png"))


def test_the_pictures_beside_each_file_of_annotations_are_meant(tmp_path: Path) -> None:
    for part in ("train", "valid"):
        draw(tmp_path / part / "1.png")
        coco(tmp_path, "1.png", file=f"{part}/_annotations.coco.json")
        draw(tmp_path / "set" / part / "images" / "2.png")
        coco(tmp_path, "2.png", file=f"set/{part}/labels/a.json")
    data = load_dataset(tmp_path)
    assert [image.path.relative_to(tmp_path).as_posix() for image in data.images] == [
        "set/train/images/2.png", "set/valid/images/2.png", "train/1.png", "valid/1.png",
    ]  # fmt: skip
    (tmp_path / "annotations").mkdir()
    coco(tmp_path / "annotations", "train/1.png", file="one.json")
    assert load_dataset(tmp_path / "annotations" / "one.json").images[0].path == tmp_path / "train" / "1.png"


def test_pictures_beside_a_folder_of_annotations_with_pictures_of_its_own(tmp_path: Path) -> None:
    draw(tmp_path / "images" / "1.png")
    draw(tmp_path / "annotations" / "drawn" / "1_boxes.png")
    draw(tmp_path / "annotations" / "2_boxes.png")
    coco(tmp_path / "annotations", "1.png")
    for chosen in (tmp_path, tmp_path / "annotations", tmp_path / "annotations" / "a.json"):
        assert [image.path for image in load_dataset(chosen).images] == [tmp_path / "images" / "1.png"]


def test_parts_that_folders_keep_apart_stay_apart(tmp_path: Path) -> None:
    from microscope_qc.workflows.learning.kept_apart import part_of, to_learn_from, to_measure_on

    names = ["train/images/0.png", "train/images/1.png", "Validation_Images/2.png", "images/test2017/3.png", "4.png"]
    for name in names:
        draw(tmp_path / name)
    data = load_dataset(coco(tmp_path, *names))
    learned, held, said = to_learn_from(data)
    assert [image.path.stem for image in learned.images] == ["0", "1", "4"]
    assert held is not None and [image.path.stem for image in held.images] == ["2"]
    assert said == [
        "1 picture in validation folders: measured on, and not learned from.",
        "1 picture in test folders: left aside.",
    ]
    measured, told = to_measure_on(data)
    assert [image.path.stem for image in measured.images] == ["3"]
    assert told == ["Measured on 1 picture in test folders; the 4 others may have been learned from."]
    alone = load_dataset(coco(tmp_path / "train", "0.png", "1.png"))
    assert to_learn_from(alone) == (alone, None, []) and to_measure_on(alone) == (alone, [])
    assert [part_of([name]) for name in ("testimony", "trainee", "valve", "My test")] == [""] * 4


def test_nothing_outside_of_the_folder_is_opened(tmp_path: Path) -> None:
    draw(tmp_path / "secret" / "1.png")
    data = tmp_path / "data"
    draw(data / "2.png")
    (data / "1.png").symlink_to(tmp_path / "secret" / "1.png")
    (data / "link").symlink_to(tmp_path / "secret")
    (data / "round").symlink_to(data)
    read = load_dataset(coco(data, "1.png", "2.png", "link/1.png", "../secret/1.png", str(tmp_path / "secret/1.png")))
    assert [image.path for image in read.images] == [data / "2.png"]
    assert read.left_out.pictures["1.png"] == "a link that leads out of the folder of the data set"


def test_another_size_than_annotated_is_left_out(tmp_path: Path) -> None:
    draw(tmp_path / "p0.png")
    draw(tmp_path / "p1.png")
    coco(tmp_path, "p0.png", "p1.png")
    document = json.loads((tmp_path / "a.json").read_text())
    document["images"][1] |= {"width": 2 * WIDTH, "height": 2 * HEIGHT}
    (tmp_path / "a.json").write_text(json.dumps(document))
    data = load_dataset(tmp_path)
    assert marks(data) == 1
    assert data.sentences() == ["1 of 2 pictures left out. p1.png: has 64 x 48 px, but 128 x 96 px in the annotations."]
    for image in document["images"]:
        del image["width"]
    (tmp_path / "a.json").write_text(json.dumps(document))
    assert marks(load_dataset(tmp_path)) == 2, "without a size it is that of the picture"


@pytest.mark.parametrize("orientation", [3, 6, 8])
@pytest.mark.parametrize("suffix", ["jpg", "tif", "png"])
def test_pictures_that_are_stored_turned(tmp_path: Path, orientation: int, suffix: str) -> None:
    draw(tmp_path / f"p0.{suffix}", orientation=orientation)
    data = load_dataset(coco(tmp_path, f"p0.{suffix}"))
    assert data.images[0].shape == (HEIGHT, WIDTH) and marks(data) == 1
    if orientation == 3:
        (said,) = data.sentences()
        assert said == f"Noted: {UNTOLD} (1: p0.{suffix})."
        return
    assert data.sentences() == []
    # marked in a program that shows pictures as they are stored
    x, y, width, height = BOX
    turned = {6: [y, WIDTH - x - width], 8: [HEIGHT - y - height, x]}[orientation]
    coco(
        tmp_path, f"p0.{suffix}",
        images=[{"id": 0, "file_name": f"p0.{suffix}", "width": HEIGHT, "height": WIDTH}],
        annotations=[{"id": 0, "image_id": 0, "category_id": 1, "bbox": [*turned, height, width]}],
    )  # fmt: skip
    data = load_dataset(tmp_path)
    assert marks(data) == 1 and data.left_out.noted == {TURNED: 1}


def annotated(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda document: document["annotations"].append(document["annotations"][0] | {"id": 9} | fields)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (annotated(bbox=[900, 900, 20, 20]), "1 box left out: outside the picture (1: p0.png)."),
        (annotated(), "1 box left out: there twice (1: p0.png)."),
        (annotated(bbox=[0, 0, WIDTH, HEIGHT], iscrowd=1), "No truth: 1 crowd annotation as neither defect nor back"),
        (annotated(bbox=[1, 1, 5, 5], category_id=7), "1 box left out: no class (1: p0.png)."),
        (annotated(image_id=7), "1 box left out: picture is not listed in the file (1: a.json, annotation 3)."),
        (annotated(bbox=["a", 1, 5, 5]), "1 box left out: coordinates are not numbers (1: a.json, annotation 3)."),
        (lambda document: document["annotations"][1].update(image_id="1"), ""),
        (lambda document: document["annotations"][1].update(image_id=1.0, category_id="1"), ""),
        (
            lambda document: document["annotations"][0].update(
                bbox=[], segmentation=[[20, 10, 50, 10, 50, 34, 20, 34]]
            ),
            "",
        ),
    ],
)
def test_what_is_left_out_is_counted(tmp_path: Path, change: Callable[[dict[str, Any]], None], said: str) -> None:
    draw(tmp_path / "p0.png")
    draw(tmp_path / "p1.png")
    document = json.loads((coco(tmp_path, "p0.png", "p1.png") / "a.json").read_text())
    change(document)
    (tmp_path / "a.json").write_text(json.dumps(document))
    data = load_dataset(tmp_path)
    assert marks(data) == 2
    assert [sentence[: len(said)] for sentence in data.sentences()[:1]] == ([said] if said else [])


def test_pictures_without_boxes_are_background(tmp_path: Path) -> None:
    draw(tmp_path / "p0.png")
    draw(tmp_path / "p1.png")
    data = load_dataset(coco(tmp_path, "p0.png", "p1.png", annotations=[]))
    assert data.background == 2 and data.sentences() == ["2 of 2 pictures have no boxes and count as background."]


@pytest.mark.parametrize("name", FORMATS.names())
def test_every_format_with_pictures_beside_it(tmp_path: Path, name: str) -> None:
    draw(tmp_path / "images" / "p0.png")
    draw(tmp_path / "images" / "p1.png")
    document = Document(classes=[DefectClass("pore", "Pore")])
    for number in range(2):
        image = document.image(f"images/p{number}.png", (HEIGHT, WIDTH))
        x, y, width, height = BOX
        document.take(image, "pore", (y, x, y + height, x + width))
    known = FORMATS.get(name)
    known.write(tmp_path if known.is_folder else tmp_path / f"all{known.suffix}", document)
    data = load_dataset(tmp_path)
    assert data.classes == ["pore"] and marks(data) == 2 and data.sentences() == []


def test_a_damaged_file_among_others_is_named(tmp_path: Path) -> None:
    draw(tmp_path / "p0.png")
    coco(tmp_path, "p0.png")
    (tmp_path / "b.json").write_text("{")
    data = load_dataset(tmp_path)
    assert marks(data) == 1 and data.sentences() == [
        "1 file of annotations left out: b.json is not valid JSON (line 1)."
    ]
    assert data.left_out.document()["files"] == [{"file": "b.json", "why": "b.json is not valid JSON (line 1)"}]


@pytest.mark.parametrize("corners", [(20, 10, 50, 34), (50, 34, 20, 10)])
@pytest.mark.parametrize("size", ["<size><width>64</width><height>48</height></size>", ""])
def test_voc_with_and_without_a_size(tmp_path: Path, size: str, corners: tuple[int, int, int, int]) -> None:
    draw(tmp_path / "IMAGES" / "p0.png")
    (tmp_path / "ANNOTATIONS").mkdir()
    box = "<bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox>".format(*corners)
    text = f"<annotation><filename>../p0.png</filename>{size}<object><name>pore</name>{box}</object></annotation>"
    (tmp_path / "ANNOTATIONS" / "p0.xml").write_text(text)
    assert marks(load_dataset(tmp_path)) == 1


@pytest.mark.parametrize("layout", ["images/train labels/train", "train/images train/labels", "data data"])
def test_yolo_in_the_layouts_of_other_programs(tmp_path: Path, layout: str) -> None:
    pictures, labels = layout.split()
    x, y, width, height = BOX
    shares = (x + width / 2) / WIDTH, (y + height / 2) / HEIGHT, width / WIDTH, height / HEIGHT
    for number, orientation in enumerate((1, 6)):
        draw(tmp_path / pictures / f"p{number}.jpg", orientation=orientation)
        (tmp_path / labels).mkdir(parents=True, exist_ok=True)
        (tmp_path / labels / f"p{number}.txt").write_text("1 " + " ".join(map(str, shares)))
    draw(tmp_path / "val" / "images" / "p0.jpg")
    (tmp_path / "data.yaml").write_text("names:\n- crack\n- pore\n")
    (tmp_path / "README.dataset.txt").write_text("# pores > 2024\nProvided by somebody\n")
    data = load_dataset(tmp_path)
    assert data.counts() == {"crack": 0, "pore": 2} and marks(data) == 2


def test_pixel_sizes_of_pictures_and_of_the_file(tmp_path: Path) -> None:
    from microscope_qc.workflows.learning.train import common_pixel_size

    draw(tmp_path / "p0.png")
    draw(tmp_path / "p1.png")
    coco(tmp_path, "p0.png", "p1.png", info={"pixel_size_um": 0.25})
    assert [image.pixel_size_um for image in load_dataset(tmp_path).images] == [(0.25, 0.25)] * 2
    document = json.loads((tmp_path / "a.json").read_text())
    document["images"][0]["pixel_size_um"] = [1, 4]
    (tmp_path / "a.json").write_text(json.dumps(document))
    data = load_dataset(tmp_path)
    assert data.images[0].pixel_size_um == (1.0, 4.0)
    with pytest.raises(MicroscopeQCError, match="differ in pixel size"):
        common_pixel_size(data)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.json", "{", r"a\.json is not valid JSON"),
        ("a.json", '{"images": [{}], "annotations": []}', r"a\.json: \"file_name\" of image 1 must be text"),
        ("a.xml", "<annotation>", r"a\.xml is not valid XML"),
        ("a.xml", '<!DOCTYPE a [<!ENTITY b "c">]><annotation>&b;</annotation>', r"a\.xml defines XML entities"),
        ("notes.md", "hello", "not in an annotation format"),
    ],
)
def test_damaged_annotations_are_a_sentence(tmp_path: Path, name: str, content: str, words: str) -> None:
    draw(tmp_path / "p0.png")
    (tmp_path / name).write_text(content)
    with pytest.raises(MicroscopeQCError, match=words):
        load_dataset(tmp_path)
    with pytest.raises(MicroscopeQCError, match="does not exist"):
        load_dataset(tmp_path / "missing")


def test_a_picture_that_is_damaged_is_left_out(tmp_path: Path) -> None:
    draw(tmp_path / "p0.png")
    (tmp_path / "p1.png").write_bytes(b"no picture")
    cv2.imwrite(str(tmp_path / "p2.png"), np.zeros((HEIGHT, WIDTH + 1), np.uint8))
    data = load_dataset(coco(tmp_path, "p0.png", "p1.png", "p2.png"))
    assert marks(data) == 1 and "does not hold what its name says" in data.left_out.pictures["p1.png"]
    assert data.left_out.pictures["p2.png"] == "has 65 x 48 px, but 64 x 48 px in the annotations"


def test_a_class_without_a_box_is_not_learned(tmp_path: Path) -> None:
    from microscope_qc.workflows.learning.train import train

    draw(tmp_path / "p0.png")
    categories = [{"id": number, "name": code} for number, code in enumerate(["CRK", "pore", "GEO"])]
    job = train(coco(tmp_path, "p0.png", "gone.png", categories=categories), tmp_path / "m", tell=(said := []).append)
    while next(job).note != "loading images":
        pass
    job.close()
    assert said == [
        "1 of 2 pictures left out. gone.png: not found.",
        "There is no box of CRK and GEO: the model does not learn these classes.",
        "1 of 1 picture does not give a pixel size: the model takes every pixel of a slide as it is, whatever its "
        "size.",
    ]


@pytest.mark.parametrize(
    ("names", "changes", "words"),
    [
        (["p0.png", "p1.png"], {"annotations": []}, "The data set has no boxes"),
        (["p0.png", "p1.png"], {"annotations": [], "categories": []}, "The data set has no boxes"),
        (["p0.png"], {}, "too small to hold out a part"),
        (["p0.png", "gone.png"], {}, "too small to hold out a part"),
        (["gone.png"], {}, r"None of the pictures that .* lists can be used: gone\.png: not found"),
    ],
)
def test_a_set_that_cannot_be_learned_from_is_a_sentence(
    tmp_path: Path, names: list[str], changes: dict[str, Any], words: str
) -> None:
    from microscope_qc.workflows.learning.train import train

    draw(tmp_path / "p0.png")
    draw(tmp_path / "p1.png")
    with pytest.raises(MicroscopeQCError, match=words):
        run_job(train(coco(tmp_path, *names, **changes), tmp_path / "m"))
    assert not (tmp_path / "m").exists()


def test_what_no_model_can_be_made_of_is_refused_before_the_training(tmp_path: Path) -> None:
    from microscope_qc.workflows.learning.train import train

    def begun(out: Path, **options: float) -> None:
        job = train(data, out, **options)
        while next(job).note != "loading images":
            pass
        job.close()

    draw(tmp_path / "p0.png")
    data = coco(tmp_path, "p0.png", info={"pixel_size_um": 0.5})
    begun(tmp_path / "m", pixel_size_um=1.0)
    with pytest.raises(MicroscopeQCError, match="pixel_size_um: "):
        begun(tmp_path / "m", pixel_size_um=1e-30)
    with pytest.raises(
        MicroscopeQCError, match=r"A pixel of p0\.png is 0\.5 µm; a model that works at 0\.01 µm cannot"
    ):
        begun(tmp_path / "m", pixel_size_um=0.01)
    with pytest.raises(MicroscopeQCError, match="name: String should have at most 200 characters"):
        begun(tmp_path / ("m" * 230))


@pytest.mark.parametrize("name", FORMATS.names())
def test_what_was_cut_from_a_project_is_read_in_every_format(tmp_path: Path, name: str) -> None:
    draw(tmp_path / "S.png")
    with Project.create(tmp_path / "P.mqc", slides=[tmp_path / "S.png"]) as project:
        x, y, width, height = BOX
        rows = make_rows(1, class_id=[project.classes[0].id], y0=[y], x0=[x], y1=[y + height], x1=[x + width])
        project.boxes.add(project.slides[0].id, rows)
    run_job(make_dataset([tmp_path / "P.mqc"], tmp_path / "set", tile_px=48, background=0.0, format=name))
    data = load_dataset(tmp_path / "set")
    assert len(data.images) == marks(data) == 1 and not data.sentences()


STRUCTURE = {
    "info": {"pixel_size_um": 0.5},
    "images": [
        {"id": 1, "file_name": "A/p0.png", "width": WIDTH, "height": HEIGHT, "pixel_size_um": [0.5, 0.5]},
        {"id": 2, "file_name": "p1.png", "width": WIDTH, "height": HEIGHT},
    ],
    "categories": [{"id": 1, "name": "pore", "full_name": "Pore"}, {"id": 2, "name": "CRK"}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": BOX, "iscrowd": 0, "segmentation": [CORNERS]},
        {"id": 2, "image_id": 2, "category_id": 2, "bbox": BOX, "score": 0.5, "attributes": {"state": "confirmed"}},
        {"id": 3, "image_id": 2, "category_id": 1, "bbox": [1, 2, 3, 4], "iscrowd": 1},
    ],
}


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    draw(folder / "A" / "p0.png")
    draw(folder / "p1.png")
    return folder


@given(document=changed(STRUCTURE))
def test_annotations_of_any_structure_are_read_or_refused_with_a_sentence(two: Path, document: Any) -> None:
    (two / "a.json").write_text(json.dumps(document))
    try:
        data = load_dataset(two)
    except MicroscopeQCError as error:
        assert str(error).isprintable()
        return
    json.dumps(data.left_out.document(), allow_nan=False).encode()
    assert all(sentence.isprintable() for sentence in data.sentences())
    for image in data.images:
        assert len(image.boxes) == len(image.labels) and (image.labels < len(data.classes)).all()
        for y0, x0, y1, x1 in image.boxes:
            assert 0 <= y0 < y1 <= HEIGHT and 0 <= x0 < x1 <= WIDTH
