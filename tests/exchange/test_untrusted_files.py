"""Untrusted files: files of real tools are counted right, broken ones give one sentence."""

from __future__ import annotations

import json
import math
import threading
import time
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from microscope_qc.core.errors import ExchangeError
from microscope_qc.exchange.document import Document, ImageEntry
from microscope_qc.exchange.loading import LARGEST_BYTES, read_json, read_text
from microscope_qc.exchange.registry import FORMATS, detect_format


@pytest.mark.parametrize(
    ("place", "name", "count"),
    [
        ("labelImg", "voc", 25),
        ("coco1.0", "coco", 23),  # CVAT leaves lines out of COCO
        ("cvat1.1", "cvat", 25),
        ("labelme", "labelme", 25),
        ("yolo", "yolo", 25),
        ("via/via_region_data.csv", "via", 25),
        ("via/via_region_data.json", "via", 42),  # its 17 strawberries are in the file twice
        ("qupath-geojson", "geojson", 6),
    ],
)
def test_real_label_files_count_right(real_data, place, name, count):
    path = real_data / "labels" / place
    known = detect_format(path)
    assert known.name == name
    document = known.read(path)
    assert document.box_count == count
    assert all(b.y0 < b.y1 and b.x0 < b.x1 for image in document.images for b in image.boxes)
    if name == "geojson":
        assert document.skipped == {"Point instead of an area": 3}
        assert {cls.code for cls in document.classes} == {"class_1", "class_2"}


def test_tools_agree_on_the_same_bird(real_data):
    labels = real_data / "labels"
    boxes = {}
    for name in ("labelImg", "coco1.0", "cvat1.1", "labelme", "yolo"):
        document = detect_format(labels / name).read(labels / name)
        (birds,) = (image for image in document.images if image.name == "birds.jpg")
        boxes[name] = max(birds.boxes, key=lambda box: box.x0)
    for name, box in boxes.items():
        first = boxes["labelImg"]
        distance = max(abs(getattr(box, s) - getattr(first, s)) for s in ("y0", "x0", "y1", "x1"))
        assert distance < 20, name  # drawn by hand several times


def test_neu_det_files_of_a_labelling_tool(real_data):
    folder = real_data / "detection" / "neu-det" / "Validation_Annotations"
    if not folder.exists():
        pytest.skip("the validation annotations are not there")
    document = FORMATS.get("voc").read(folder)
    assert len(document.images) == len(list(folder.glob("*.xml")))
    assert not document.skipped


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", "{"),
        ("a.json", "[" * 100_000),
        ("a.json", json.dumps({"images": 3, "annotations": []})),
        ("a.json", json.dumps({"images": [], "annotations": [{"image_id": 1}]})),
        ("a.json", json.dumps({"images": [{"id": 1}], "annotations": []})),
        ("a.json", json.dumps({"shapes": {"a": 1}})),
        ("a.json", json.dumps({"a": {"filename": 1, "regions": []}})),
        ("a.json", json.dumps([{"data": 1, "annotations": []}])),
        ("a.json", "42"),
        ("a.geojson", json.dumps({"type": "FeatureCollection", "features": 7})),
        ("a.xml", "<annotation><object>"),
        ("a.xml", '<!DOCTYPE a [<!ENTITY e "x">]><annotation>&e;</annotation>'),
        ("a.xml", "<other/>"),
        ("a.csv", "a,b\n1,2\n"),
        ("a.csv", ""),
        ("a.txt", "0 0.5 0.5 0.1\n"),
        ("a.bin", "nothing"),
    ],
)
def test_broken_files_give_one_sentence(tmp_path, name, content):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(ExchangeError) as caught:
        detect_format(path).read(path, sizes={"a": (10, 10)})
    assert "a." in caught.value.message and caught.value.hint


def test_a_binary_file_and_a_missing_one(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b"\x80\x81\xff\x00")
    with pytest.raises(ExchangeError, match="UTF-8"):
        detect_format(path)
    with pytest.raises(ExchangeError, match="does not exist"):
        detect_format(tmp_path / "no.json")


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
keys = ["images", "annotations", "categories", "shapes", "features", "type", "regions", "filename", "bbox", "id",
        "image_id", "category_id", "file_name", "data", "result", "points", "label", "geometry", "value"]  # fmt: skip
wild = st.recursive(
    json_values,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(keys), inner, max_size=5),
    max_leaves=12,
)


@pytest.mark.parametrize("name", ["coco", "geojson", "labelme", "via", "label-studio"])
@settings(max_examples=40, deadline=None)
@given(value=wild)
def test_any_json_is_read_or_refused(name, value, tmp_path_factory):
    path = tmp_path_factory.mktemp("wild") / "a.json"
    path.write_text(json.dumps(value))
    try:
        document = FORMATS.get(name).read(path)
    except ExchangeError:
        return
    for image in document.images:
        for box in image.boxes:
            assert math.isfinite(box.y0 + box.x0 + box.y1 + box.x1)
            assert box.y0 < box.y1 and box.x0 < box.x1


@pytest.mark.parametrize(
    ("sides", "reason"),
    [
        ((0, 0, 0, 5), "no area"),
        ((0, 0, float("nan"), 5), "coordinates are not numbers"),
        ((0, 0, "1e999", 5), "coordinates are not numbers"),
        ((0, 0, None, 5), "coordinates are not numbers"),
        ((0, 0, True, 5), "coordinates are not numbers"),
        ((0, 0, 1e12, 5), "coordinates are too large"),
    ],
)
def test_impossible_boxes_are_counted_not_added(sides, reason):
    document = Document()
    image = ImageEntry("a")
    document.take(image, "ACP", sides)
    assert not image.boxes and document.skipped == {reason: 1}


def test_negative_sizes_and_missing_classes_in_coco(tmp_path):
    path = tmp_path / "a.json"
    boxes = [[0, 0, -5, 5], [0, 0, 5, 5], [0, 0, 5, 5], [1, 2], "x"]
    annotations = [{"image_id": 1, "category_id": 1, "bbox": box} for box in boxes]
    annotations[2]["category_id"] = 9
    content = {"images": [{"id": 1, "file_name": "../../etc/a.png"}], "categories": [{"id": 1, "name": "X"}]}
    path.write_text(json.dumps({**content, "annotations": annotations}))
    document = FORMATS.get("coco").read(path)
    assert [box.class_code for box in document.images[0].boxes] == ["X", ""]
    assert document.images[0].name == "a.png"
    assert document.skipped == {"no area": 1, "no box": 2}
    assert document.places["no box"] == ["a.json, annotation 4", "a.json, annotation 5"]


def raw_boxes(place, name):
    """Boxes of a format, read as plainly as possible: (picture, x0, y0, x1, y1); other shapes are left out."""
    files = sorted(file for file in (place.rglob("*") if place.is_dir() else [place]) if file.is_file())
    if name == "yolo":
        for file in (f for f in files if f.suffix == ".txt" and f.stem != "classes"):
            (picture,) = (f for f in files if f.stem == file.stem and f.suffix != ".txt")
            width, height = Image.open(picture).size
            for line in file.read_text().splitlines():
                x, y, w, h = (float(part) for part in line.split()[1:5])
                edges = ((x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height)
                yield (picture.name, *edges)
    for file in (f for f in files if f.suffix == ".xml"):
        root = ElementTree.parse(file).getroot()
        for entry in root.findall("object"):
            edges = (float(entry.find("bndbox").findtext(tag)) for tag in ("xmin", "ymin", "xmax", "ymax"))
            yield (root.findtext("filename"), *edges)
        for image in root.findall("image"):
            for box in image.findall("box"):
                yield (image.get("name"), *(float(box.get(tag)) for tag in ("xtl", "ytl", "xbr", "ybr")))
    for file in (f for f in files if f.suffix == ".json"):
        root = json.loads(file.read_text(encoding="utf-8"))
        if name == "coco":
            names = {image["id"]: image["file_name"] for image in root["images"]}
            for annotation in root["annotations"]:
                x, y, w, h = annotation["bbox"]
                yield (names[annotation["image_id"]], x, y, x + w, y + h)
        elif name == "labelme":
            for shape in (s for s in root["shapes"] if s["shape_type"] == "rectangle"):
                xs, ys = zip(*shape["points"], strict=True)
                yield (root["imagePath"], min(xs), min(ys), max(xs), max(ys))
        else:
            for entry in root.values():
                for shape in (region["shape_attributes"] for region in entry["regions"]):
                    if shape["name"] == "rect":
                        x, y, w, h = (shape[key] for key in ("x", "y", "width", "height"))
                        yield (entry["filename"], x, y, x + w, y + h)


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("labelImg", "voc"),
        ("coco1.0", "coco"),
        ("cvat1.1", "cvat"),
        ("labelme", "labelme"),
        ("yolo", "yolo"),
        ("via/via_region_data.json", "via"),
    ],
)
def test_real_boxes_lie_where_the_file_says(real_data, place, name):
    document = FORMATS.get(name).read(real_data / "labels" / place)
    found = [(image.name, b.x0, b.y0, b.x1, b.y1) for image in document.images for b in image.boxes]
    expected = list(raw_boxes(real_data / "labels" / place, name))
    assert len(expected) >= 18
    for picture, *edges in expected:
        same = [box for box in found if box[0] == picture.rsplit("/", 1)[-1] and np.allclose(box[1:], edges, atol=1e-5)]
        assert same, (picture, edges)
        found.remove(same[0])
    assert len(found) == document.box_count - len(expected), "the others have other shapes"


@pytest.mark.parametrize("name", ["a.json", "a.xml", "a.csv", "a.txt", "a.geojson"])
def test_a_file_that_would_fill_the_memory_is_not_read(name, tmp_path):
    path = tmp_path / name
    with path.open("wb") as file:
        file.truncate(LARGEST_BYTES + 1)  # takes no room on the disk
    with pytest.raises(ExchangeError, match=r"a\..* (has 537 MB|is too large)"):
        detect_format(path).read(path, sizes={"a": (10, 10)})


def test_the_window_can_respond_while_a_large_file_is_read(tmp_path, monkeypatch):
    path = tmp_path / "large.json"
    path.write_text(json.dumps([{"bbox": [1, 2, 3, 4], "of": {"id": number}} for number in range(100_000)]))
    text, begun = read_text(path), threading.Event()

    def read(_path):
        begun.set()
        return text

    monkeypatch.setattr("microscope_qc.exchange.loading.read_text", read)
    monkeypatch.setattr("microscope_qc.exchange.loading._check_depth", lambda *_: None)  # only the parser counts
    reader = threading.Thread(target=read_json, args=(path,))
    reader.start()
    begun.wait()
    turns = 0
    while reader.is_alive():
        time.sleep(0.001)
        turns += 1
    assert turns >= 10
