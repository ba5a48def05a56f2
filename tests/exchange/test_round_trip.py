"""Every registered format: what is written is read back."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from microscope_qc.core.boxes import ReviewState
from microscope_qc.core.defect_class import DefectClass
from microscope_qc.exchange.document import Box, Document, ImageEntry
from microscope_qc.exchange.registry import FORMATS, detect_format

SHAPE = (9000, 12000)
# no control characters: XML cannot hold them, and a class code or note does not need them
DIRECTIONS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
letters = st.characters(
    codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp"), exclude_characters=f"\ufffe\uffff{DIRECTIONS}"
)
text = st.text(letters, max_size=20)
codes = text.map(str.strip).filter(bool) | st.sampled_from(
    ["=1+1", "'=x", "@cmd", "ACP", "Größe", "裂纹", "a,b;c", "<b>"]
)


@st.composite
def boxes(draw, whole: bool = False):
    side = st.integers(0, 8900) if whole else st.floats(0, 8900, allow_subnormal=False)
    size = st.integers(1, 100) if whole else st.floats(0.01, 100)
    y0, x0 = draw(side), draw(side)
    return Box(
        draw(codes),
        float(y0),
        float(x0),
        float(y0 + draw(size)),
        float(x0 + draw(size)),
        score=draw(st.none() | st.floats(0, 1)),
        state=draw(st.sampled_from(list(ReviewState))),
        reason=draw(st.sampled_from(["", "false positive", "=evil()"])),
        note=draw(text.map(str.strip)),
        chosen=draw(st.booleans()),
    )


def document_of(found: list[Box]) -> Document:
    numbered = [dataclasses.replace(box, id=number) for number, box in enumerate(found, start=1)]
    half = len(numbered) // 2
    images = [
        ImageEntry("slide one.ome.zarr", SHAPE, (0.3, 0.3), numbered[:half]),
        ImageEntry("zweite.tif", SHAPE, None, numbered[half:]),
    ]
    return Document(images, [DefectClass("ACP", "Anode carbon particle", "#E69F00")])


def places(document: Document) -> dict[str, list[tuple[float, ...]]]:
    stems = {image.name.split(".")[0]: image for image in document.images}
    return {stem: sorted((b.y0, b.x0, b.y1, b.x1) for b in image.boxes) for stem, image in stems.items() if image.boxes}


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(found=st.lists(boxes(whole=True), max_size=6))
def test_whole_pixels_come_back_exactly(name, found, tmp_path_factory):
    folder = tmp_path_factory.mktemp(name)
    written, known = document_of(found), FORMATS.get(name)
    target = folder / ("out" if known.is_folder else f"out{known.suffix}")
    known.write(target, written)
    read = known.read(target, sizes={"slide one": SHAPE, "slide one.ome": SHAPE, "zweite": SHAPE})
    assert not read.skipped
    assert places(read) == places(written)


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "yolo"])
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(found=st.lists(boxes(), min_size=1, max_size=4))
@example(found=[Box("thin, over the middle of a pixel", 0.0, 1.5, 1.0, 1.75)])
def test_everything_comes_back(name, found, tmp_path_factory):
    folder = tmp_path_factory.mktemp(name)
    written, known = document_of(found), FORMATS.get(name)
    target = folder / ("out" if known.is_folder else f"out{known.suffix}")
    known.write(target, written)
    assert detect_format(target).name == name
    read = known.read(target)
    before = {box.id: box for image in written.images for box in image.boxes}
    after = {box.id: box for image in read.images for box in image.boxes}
    assert before.keys() == after.keys()
    for number, box in before.items():
        other = after[number]
        assert (other.class_code, other.state, other.reason, other.note, other.chosen) == (
            box.class_code, box.state, box.reason, box.note, box.chosen,
        )  # fmt: skip
        assert other.score == box.score
        for side in ("y0", "x0", "y1", "x1"):
            assert getattr(other, side) == pytest.approx(getattr(box, side), abs=1e-6)


def test_coinciding_boxes_are_kept(tmp_path):
    twin = Box("ACP", 10, 20, 30, 40, score=0.5)
    written = document_of([twin] * 6)
    for known in FORMATS.values():
        target = tmp_path / known.name / ("out" if known.is_folder else f"out{known.suffix}")
        known.write(target, written)
        sizes = {"slide one": SHAPE, "slide one.ome": SHAPE, "zweite": SHAPE}
        assert known.read(target, sizes=sizes).box_count == 6, known.name


def test_a_format_says_whether_it_writes_a_folder(tmp_path):
    written = document_of([Box("ACP", 10, 20, 30, 40), Box("ACP", 50, 20, 70, 40)])
    for known in FORMATS.values():
        target = tmp_path / known.name / ("out" if known.is_folder else f"out{known.suffix}")
        files = known.write(target, written)
        assert target.is_dir() == known.is_folder, known.name
        assert all(file.is_file() and (target in file.parents or file == target) for file in files), known.name


def test_coco_is_what_pycocotools_reads(tmp_path, capsys):
    from pycocotools.coco import COCO

    written = document_of([Box("AOP", 10.5, 20, 30, 44.25, score=0.75), Box("裂纹", 1, 2, 3, 4)])
    target = tmp_path / "out.json"
    FORMATS.get("coco").write(target, written)
    coco = COCO(target)
    by_name = {coco.cats[a["category_id"]]["name"]: a for a in coco.anns.values()}
    assert set(by_name) == {"AOP", "裂纹"}
    assert by_name["AOP"]["bbox"] == [20, 10.5, 24.25, 19.5] and by_name["AOP"]["score"] == 0.75
    assert "score" not in by_name["裂纹"] and by_name["裂纹"]["attributes"]["state"] == "unreviewed"


def test_geojson_is_valid_for_the_geojson_package(tmp_path):
    import geojson

    target = tmp_path / "out.geojson"
    FORMATS.get("geojson").write(target, document_of([Box("AOP", 10.5, 20, 30, 44.25, score=0.75)]))
    collection = geojson.loads(target.read_text(encoding="utf-8"))
    assert collection.is_valid
    (feature,) = collection["features"]
    assert feature["geometry"]["coordinates"][0] == [[20, 10.5], [44.25, 10.5], [44.25, 30], [20, 30], [20, 10.5]]
    assert feature["properties"]["objectType"] == "annotation"
    assert feature["properties"]["classification"]["name"] == "AOP"


def test_voc_corners_follow_labelimg_and_an_edit_there_counts(tmp_path):
    target = tmp_path / "out.xml"
    image = ImageEntry("a.tif", SHAPE, None, [Box("ACP", 10.4, 20.6, 30.5, 40.2, note="n")])
    FORMATS.get("voc").write(target, Document([image]))
    xml = target.read_text(encoding="utf-8")
    for tag, value in {"xmin": 21, "ymin": 10, "xmax": 40, "ymax": 31}.items():
        assert f"<{tag}>{value}</{tag}>" in xml
    (box,) = FORMATS.get("voc").read(target).images[0].boxes
    assert (box.y0, box.x0, box.y1, box.x1) == (10.4, 20.6, 30.5, 40.2)
    target.write_text(xml.replace("<xmin>21<", "<xmin>15<"), encoding="utf-8")
    (box,) = FORMATS.get("voc").read(target).images[0].boxes
    assert (box.y0, box.x0, box.y1, box.x1) == (10, 15, 31, 40)


def test_csv_cells_are_not_formulas(tmp_path):
    target = tmp_path / "out.csv"
    FORMATS.get("csv").write(target, document_of([Box("=1+1", 1, 2, 3, 4, note="@SUM(A1)")]))
    line = target.read_text(encoding="utf-8").splitlines()[1]
    assert ",'=1+1," in line and ",'@SUM(A1)," in line


def test_yolo_needs_a_size_and_says_so(tmp_path):
    (tmp_path / "x.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    with pytest.raises(ValueError, match=r"x\.txt"):
        FORMATS.get("yolo").read(tmp_path)


def test_files_written_are_plain_json_without_nan(tmp_path):
    for name in ("coco", "geojson", "via", "label-studio"):
        target = tmp_path / f"{name}.json"
        FORMATS.get(name).write(target, document_of([Box("A", 0, 0, 1, 1)]))
        json.loads(target.read_text(encoding="utf-8"), parse_constant=pytest.fail)
