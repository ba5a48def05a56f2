"""Outlines and free attributes: what is written is read back, and shapes of other programs are kept."""

from __future__ import annotations

import base64
import io
import json
import math
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from microscope_qc.core.outline import Outline
from microscope_qc.exchange.document import Box, Document, ImageEntry
from microscope_qc.exchange.registry import FORMATS

SHAPE = (900, 1200)
WITHOUT = ("yolo",)  # a line of YOLO with more numbers would change what the other lines mean to trainers
sides = st.integers(0, 800).map(float) | st.floats(0, 800, allow_subnormal=False)


@st.composite
def rings(draw):
    """A ring around a point: never flat, and not closed by repeating its first point."""
    cy, cx, count = draw(st.floats(100, 700)), draw(st.floats(100, 700)), draw(st.integers(3, 9))
    radius = draw(st.floats(5, 90))
    turns = [2 * math.pi * number / count for number in range(count)]
    ring = [(cy + radius * math.sin(turn), cx + radius * math.cos(turn)) for turn in turns]
    return [(round(y), round(x)) for y, x in ring] if draw(st.booleans()) else ring


@st.composite
def masks(draw):
    pixels = np.array(draw(st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=1, max_size=5)))
    pixels[0, 0] = pixels[-1, -1] = True  # the mask fills its rectangle, as masks in files do
    return Outline.mask(pixels, draw(st.integers(0, 800)), draw(st.integers(0, 800)))


outlines = st.one_of(
    rings().map(Outline.polygon),
    st.lists(rings(), min_size=2, max_size=3).map(lambda parts: Outline.polygons([[part] for part in parts])),
    rings().map(lambda ring: Outline.polygon(ring, [(400, 400), (401, 400), (400, 401)])),
    st.lists(rings(), min_size=1, max_size=2).map(Outline.lines),
    st.tuples(sides, sides, st.floats(1, 50), st.floats(1, 50)).map(lambda n: Outline.ellipse(*n)),
    st.tuples(sides, st.floats(1, 50), st.floats(1, 359)).map(
        lambda n: Outline.ellipse(n[0], 400, n[1], 20, angle_deg=n[2])
    ),
    masks(),
)
attributes = st.dictionaries(
    st.sampled_from(["material", "Tiefe µm", "label", "state", "attributes", "=cmd"]),
    st.sampled_from(["Al₂O₃", "=1+1", " x ", 'a"b<c>', 3, 2.5, True, ["a", 1], {"b": 2}]),
    max_size=3,
)


@st.composite
def boxes(draw):
    outline = draw(outlines)
    y0, x0, y1, x1 = outline.bounds
    if draw(st.booleans()):  # a box that is not the one around its outline
        y0, x1 = y0 - 3, x1 + 4.5
    return Box("ACP", y0, x0, y1, x1, outline=outline, attributes=draw(attributes))


@pytest.mark.parametrize("name", [name for name in FORMATS if name not in WITHOUT])
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(found=st.lists(boxes(), min_size=1, max_size=3))
def test_outlines_and_attributes_come_back(name, found, tmp_path_factory):
    known = FORMATS.get(name)
    target = tmp_path_factory.mktemp(name) / ("out" if known.is_folder else f"out{known.suffix}")
    numbered = [
        Box(b.class_code, b.y0, b.x0, b.y1, b.x1, outline=b.outline, attributes=b.attributes, id=number)
        for number, b in enumerate(found, start=1)
    ]
    known.write(target, Document([ImageEntry("a.tif", SHAPE, None, numbered)]))
    read = known.read(target)
    assert not read.skipped
    (image,) = read.images
    for before, after in zip(numbered, sorted(image.boxes, key=lambda box: box.id), strict=True):
        # COCO has widths: the far side is a sum
        assert (after.y0, after.x0, after.y1, after.x1) == pytest.approx((before.y0, before.x0, before.y1, before.x1))
        assert same(after.outline, before.outline), (after.outline, before.outline)
        assert after.attributes == {key: value for key, value in before.attributes.items() if value != ""}


def same(one: Outline | None, other: Outline | None) -> bool:
    """The same to a millionth of a pixel (VIA has angles in radians)."""
    if one is None or other is None or one.kind != other.kind:
        return False
    numbers = [[side for point in outline.points() for side in point] + [outline.angle_deg] for outline in (one, other)]
    return numbers[0] == pytest.approx(numbers[1]) and (one.mask_px, one.counts) == (other.mask_px, other.counts)


def test_a_shape_moved_in_another_program_counts_more_than_the_extension(tmp_path):
    target = tmp_path / "out.json"
    mask = Outline.mask(np.ones((4, 5), bool), 10, 20)
    FORMATS.get("geojson").write(
        target, Document([ImageEntry("a", SHAPE, None, [Box("A", 10, 20, 14, 25, outline=mask)])])
    )
    assert FORMATS.get("geojson").read(target).images[0].boxes[0].outline == mask
    root = json.loads(target.read_text(encoding="utf-8"))
    ring = root["features"][0]["geometry"]["coordinates"][0]
    root["features"][0]["geometry"]["coordinates"][0] = [[x + 50, y] for x, y in ring]
    target.write_text(json.dumps(root), encoding="utf-8")
    (box,) = FORMATS.get("geojson").read(target).images[0].boxes
    assert (box.y0, box.x0, box.y1, box.x1) == (10, 70, 14, 75)
    assert box.outline is None, "a rectangle is a box"


def test_coco_masks_of_pycocotools(tmp_path):
    coding = pytest.importorskip("pycocotools.mask")
    rng = np.random.default_rng(4)
    mask = np.zeros(SHAPE, np.uint8)
    mask[100:140, 300:380] = rng.random((40, 80)) > 0.4
    mask[100, 300] = mask[139, 379] = 1
    packed = coding.encode(np.asfortranarray(mask))
    x, y, width, height = coding.toBbox(packed).tolist()
    annotation = {"id": 7, "image_id": 1, "category_id": 1, "bbox": [x, y, width, height], "iscrowd": 1}
    annotation["segmentation"] = {"size": list(SHAPE), "counts": packed["counts"].decode("ascii")}
    content = {"images": [{"id": 1, "file_name": "a.png", "height": SHAPE[0], "width": SHAPE[1]}]}
    content |= {"categories": [{"id": 1, "name": "裂纹"}], "annotations": [annotation]}
    source, target = tmp_path / "in.json", tmp_path / "out.json"
    source.write_text(json.dumps(content))
    document = FORMATS.get("coco").read(source)
    (box,) = document.images[0].boxes
    assert (box.y0, box.x0, box.y1, box.x1) == (100, 300, 140, 380)
    np.testing.assert_array_equal(box.outline.pixels(), mask[100:140, 300:380].astype(bool))
    FORMATS.get("coco").write(target, document)
    coco = pytest.importorskip("pycocotools.coco").COCO(str(target))
    np.testing.assert_array_equal(coco.annToMask(coco.anns[7]), mask)
    assert coco.anns[7]["area"] == mask.sum() and coco.cats[1]["name"] == "裂纹"


def test_polygons_fill_the_same_pixels_in_pycocotools(tmp_path):
    tools = pytest.importorskip("pycocotools.coco")
    outline = Outline.polygon([(100, 300), (100, 380), (160, 340)])
    box = Box("A", 100, 300, 160, 380, outline=outline, id=3)
    FORMATS.get("coco").write(tmp_path / "out.json", Document([ImageEntry("a.png", SHAPE, None, [box])]))
    coco = tools.COCO(str(tmp_path / "out.json"))
    mask = coco.annToMask(coco.anns[3])
    assert coco.anns[3]["bbox"] == [300, 100, 80, 60] and coco.anns[3]["area"] == 2400
    assert abs(int(mask.sum()) - 2400) < 80
    rows, columns = np.nonzero(mask)
    assert (rows.min(), columns.min()) == (100, 300) and rows.max() < 160 and columns.max() < 380


def test_geojson_is_read_by_the_geojson_package(tmp_path):
    geojson = pytest.importorskip("geojson")
    ring, hole = [(10, 20), (10, 60), (50, 40)], [(15, 35), (15, 45), (25, 40)]
    shapes = [Outline.polygon(ring, hole), Outline.lines([ring]), Outline.ellipse(100, 200, 10, 20), None]
    found = [Box("A", *(o.bounds if o else (1, 2, 3, 4)), outline=o, id=n) for n, o in enumerate(shapes, start=1)]
    FORMATS.get("geojson").write(tmp_path / "out.geojson", Document([ImageEntry("a", SHAPE, None, found)]))
    collection = geojson.loads((tmp_path / "out.geojson").read_text(encoding="utf-8"))
    assert collection.is_valid
    assert [f.geometry.type for f in collection.features] == ["Polygon", "LineString", "Polygon", "Polygon"]
    assert collection.features[0].geometry.coordinates[1][:3] == [[35, 15], [45, 15], [40, 25]]
    assert collection.features[3].geometry.coordinates == [[[2, 1], [4, 1], [4, 3], [2, 3], [2, 1]]]


def test_labelme_masks_and_circles(tmp_path):
    pixels = np.array([[1, 0, 1], [0, 1, 1]], np.uint8)
    picture = io.BytesIO()
    Image.fromarray(pixels * 255).save(picture, "PNG")
    text = base64.b64encode(picture.getvalue()).decode()
    shapes = [
        {"label": "A", "shape_type": "mask", "points": [[20, 10], [22, 11]], "mask": text},
        {"label": "A", "shape_type": "circle", "points": [[50, 60], [53, 64]]},
        {"label": "A", "shape_type": "mask", "points": [[20, 10], [22, 11]], "mask": "no picture"},
    ]
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"shapes": shapes, "imagePath": "a.png", "imageHeight": 90, "imageWidth": 90}))
    document = FORMATS.get("labelme").read(path)
    mask, circle = document.images[0].boxes
    assert mask.outline == Outline.mask(pixels > 0, 10, 20)
    assert (mask.y0, mask.x0, mask.y1, mask.x1) == (10, 20, 12, 23), "LabelMe names the last pixel, not the edge"
    assert circle.outline == Outline.ellipse(60, 50, 5, 5)
    assert document.skipped == {"coordinates are not numbers": 1}


def test_pictures_that_would_fill_the_memory_are_not_unpacked(tmp_path):
    header = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13)
    chunk = b"IHDR" + struct.pack(">IIBBBBB", 100_000, 100_000, 1, 0, 0, 0, 0)
    bomb = header + chunk + struct.pack(">I", zlib.crc32(chunk)) + struct.pack(">I", 0) + b"IEND\xaeB`\x82"
    wide = header + (chunk := b"IHDR" + struct.pack(">IIBBBBB", 9_000, 9_000, 1, 0, 0, 0, 0))
    wide += struct.pack(">I", zlib.crc32(chunk)) + struct.pack(">I", 0) + b"IEND\xaeB`\x82"
    shapes = [
        {"label": "A", "shape_type": "mask", "points": [[0, 0], [9, 9]], "mask": base64.b64encode(data).decode()}
        for data in (bomb, wide)
    ]
    brush = {"type": "brushlabels", "original_width": 100_000, "original_height": 100_000}
    brush["value"] = {"rle": [255] * 64, "brushlabels": ["A"]}
    (tmp_path / "a.json").write_text(json.dumps({"shapes": shapes, "imagePath": "a.png"}))
    (tmp_path / "b.json").write_text(json.dumps([{"data": {"image": "b.png"}, "annotations": [{"result": [brush]}]}]))
    mask = '<mask label="A" rle="0, 10000000000" left="0" top="0" width="100000" height="100000"/>'
    (tmp_path / "c.xml").write_text(f'<annotations><image name="c" width="9" height="9">{mask}</image></annotations>')
    tracemalloc.start()
    for name, file, count in (("labelme", "a.json", 2), ("label-studio", "b.json", 1), ("cvat", "c.xml", 1)):
        document = FORMATS.get(name).read(tmp_path / file)
        assert document.box_count == 0 and document.skipped == {"coordinates are not numbers": count}
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()


def test_cvat_masks_go_row_by_row_and_turned_boxes_about_their_centre(tmp_path):
    path = tmp_path / "a.xml"
    path.write_text(
        '<annotations><image name="a.png" width="90" height="90">'
        '<mask label="A" rle="1, 2, 2, 1" left="10" top="20" width="3" height="2"/>'
        '<box label="A" xtl="10" ytl="20" xbr="30" ybr="24" rotation="90"/>'
        '<mask label="A" rle="1, 2" left="10" top="20" width="3" height="2"/>'
        "</image></annotations>"
    )
    document = FORMATS.get("cvat").read(path)
    mask, turned = document.images[0].boxes
    assert mask.outline.pixels().tolist() == [[False, True, True], [False, False, True]]
    assert (turned.y0, turned.x0, turned.y1, turned.x1) == pytest.approx((12, 18, 32, 22))
    assert turned.outline.kind == "polygon" and document.skipped == {"coordinates are not numbers": 1}


def test_label_studio_turned_rectangles_and_brushes(tmp_path):
    height, width = 20, 30
    picture = np.zeros((height, width, 4), np.uint8)
    picture[5:8, 10:14] = 255
    bits = f"{picture.size:032b}" + f"{7:05b}" + "".join(f"{n:04b}" for n in (2, 3, 7, 15))
    flat = picture.ravel()
    edges = [0, *(np.flatnonzero(np.diff(flat)) + 1).tolist(), len(flat)]
    for start, stop in zip(edges[:-1], edges[1:], strict=True):
        bits += "1" + "11" + f"{stop - start - 1:016b}" + f"{flat[start]:08b}"
    bits += "0" * (-len(bits) % 8)
    rle = [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]
    common = {"original_width": width, "original_height": height}
    results = [
        {**common, "type": "brushlabels", "value": {"rle": rle, "brushlabels": ["A"]}},
        {**common, "type": "brushlabels", "value": {"rle": rle[:9], "brushlabels": ["A"]}},
        {**common, "type": "rectanglelabels",
         "value": {"x": 50, "y": 50, "width": 20, "height": 10, "rotation": 90, "rectanglelabels": ["A"]}},
    ]  # fmt: skip
    path = tmp_path / "a.json"
    path.write_text(json.dumps([{"data": {"image": "/data/upload/1/a.png"}, "annotations": [{"result": results}]}]))
    document = FORMATS.get("label-studio").read(path)
    brushed, turned = document.images[0].boxes
    assert brushed.outline == Outline.mask(np.ones((3, 4), bool), 5, 10)
    assert (turned.y0, turned.x0, turned.y1, turned.x1) == (10, 13, 16, 15)
    assert document.skipped == {"coordinates are not numbers": 1}


def test_real_polygons_keep_their_points(real_data):
    labels = real_data / "labels"
    counts = {}
    for name in ("cvat1.1", "labelme", "coco1.0", "via/via_region_data.json", "qupath-geojson", "yolo"):
        key = {"cvat1.1": "cvat", "coco1.0": "coco", "qupath-geojson": "geojson"}.get(name, name.split("/")[0])
        document = FORMATS.get(key).read(labels / name)
        found = [box for image in document.images for box in image.boxes if box.outline]
        counts[key] = (document.box_count, sorted({box.outline.kind for box in found}), len(found))
        for box in found:
            assert box.outline.bounds == pytest.approx((box.y0, box.x0, box.y1, box.x1), abs=1.0)
    several = ["ellipse", "line", "polygon"]
    assert counts == {
        "cvat": (25, several, 7),
        "labelme": (25, several, 7),
        "coco": (23, ["mask", "polygon"], 5),
        "via": (42, several, 7),
        "geojson": (6, ["polygon"], 5),
        "yolo": (25, [], 0),
    }


def test_yolo_segments_keep_their_points_and_boxes_go_out(tmp_path):
    (tmp_path / "a.txt").write_text("0 0.1 0.2 0.3 0.2 0.2 0.4\n0 0.5 0.5 0.1 0.1\n")
    document = FORMATS.get("yolo").read(tmp_path, sizes={"a": (100, 200)})
    segment, box = document.images[0].boxes
    assert (segment.y0, segment.x0, segment.y1, segment.x1) == (20, 20, 40, 60) and box.outline is None
    assert segment.outline == Outline.polygon([(20, 20), (20, 60), (40, 40)])
    FORMATS.get("yolo").write(tmp_path / "out", document)
    lines = (tmp_path / "out" / "labels" / "a.txt").read_text().splitlines()
    assert [len(line.split()) for line in lines] == [5, 5]


@pytest.mark.parametrize(
    "segmentation",
    [
        {"size": [10**9, 10**9], "counts": [0, 10**18]},
        {"size": [10, 10], "counts": "~~~"},
        {"size": [10, 10], "counts": [0, -5, 105]},
        {"size": [10, 10], "counts": [100]},
        {"size": [10, 10], "counts": "0" * 1000},
        {"size": "x", "counts": None},
        [[1, 2, 3]],
        [["a", "b", 1, 2, 3, 4]],
        [[1e400, 1, 2, 3, 4, 5]],
        [7],
    ],
)
def test_impossible_masks_leave_a_box(segmentation, tmp_path):
    annotation = {"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "segmentation": segmentation}
    content = {"images": [{"id": 1, "file_name": "a"}], "categories": [{"id": 1, "name": "A"}]}
    path = tmp_path / "a.json"
    path.write_text(json.dumps({**content, "annotations": [annotation]}))
    (box,) = FORMATS.get("coco").read(path).images[0].boxes
    assert (box.y0, box.x0, box.y1, box.x1) == (2, 1, 6, 4) and box.outline is None
