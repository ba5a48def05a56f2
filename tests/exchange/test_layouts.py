"""Files as other programs arrange and write them: every box on its picture, with its class, or a sentence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from annotation_toys import COCO, CSV, CVAT, GEOJSON, LABELME, STUDIO, VIA, VOC
from PIL import Image

from microscope_qc.core.errors import ExchangeError
from microscope_qc.exchange.document import Document
from microscope_qc.exchange.registry import FORMATS, detect_format

LINE = "1 0.5 0.5 0.2 0.2\n"
NAMES = "names: [pore, crack]\n"


def write(folder: Path, files: dict[str, str | bytes]) -> Path:
    """Files of a data set; pictures are of 40 x 60 px."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".png":
            Image.fromarray(np.zeros((40, 60), np.uint8)).save(path)
        elif isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content, encoding="utf-8")
    return folder


def read(path: Path, **sizes: tuple[int, int]) -> Document:
    return detect_format(path).read(path, sizes=sizes)


def found(document: Document) -> dict[str, list[str]]:
    return {image.path: [box.class_code for box in image.boxes] for image in document.images}


@pytest.mark.parametrize(
    ("files", "chosen", "right"),
    [
        ({"images/train/a.png": "", "labels/train/a.txt": LINE, "data.yaml": NAMES}, ".", "images/train/a.png"),
        ({"images/train/a.png": "", "labels/train/a.txt": LINE, "data.yaml": NAMES}, "labels/train", "a.png"),
        ({"train/images/a.png": "", "train/labels/a.txt": LINE, "data.yaml": NAMES}, ".", "train/images/a.png"),
        ({"images/a.png": "", "labels/a.txt": LINE, "s.yml": f"train: images\n{NAMES}"}, "s.yml", "images/a.png"),
        ({"a.png": "", "a.txt": LINE, "classes.txt": "pore\ncrack\n", "README.dataset.txt": "# v1"}, ".", "a.png"),
        ({"x/a.png": "", "x/a.txt": LINE, "x/obj.names": "pore\ncrack\n", "train.txt": "x/a.png"}, ".", "x/a.png"),
        ({"a.png": "", "a.txt": "1.0 0.5 0.5 0.2 0.2\n", "data.yaml": "names:\n  1: crack\n"}, ".", "a.png"),
    ],
)  # fmt: skip
def test_yolo_data_sets(files: dict[str, str], chosen: str, right: str, tmp_path: Path):
    document = read(write(tmp_path, files) / chosen)
    assert found(document) == {right: ["crack"]}
    assert not document.files_left_out and not document.skipped
    (box,) = document.images[0].boxes
    assert (box.y0, box.x0, box.y1, box.x1) == (16, 24, 24, 36)


def test_each_yolo_data_set_of_a_folder_has_its_own_names(tmp_path: Path):
    for place, names in (("one", NAMES), ("two", "names: [crack, pore]\n")):
        write(tmp_path, {f"{place}/a.png": "", f"{place}/a.txt": LINE, f"{place}/data.yaml": names})
    assert found(read(tmp_path)) == {"one/a.png": ["crack"], "two/a.png": ["pore"]}


def test_names_that_contradict_each_other_are_refused(tmp_path: Path):
    write(tmp_path, {"a.png": "", "a.txt": LINE, "classes.txt": "crack\npore\n", "data.yaml": NAMES})
    with pytest.raises(ExchangeError, match="differently"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("line", "yaml", "sides", "score", "outlined"),
    [
        ("0 .1 .1 .3 .1 .3 .5 .1 .5", "", (4, 6, 20, 18), None, True),  # a turned box
        ("0 .1 .1 .3 .1 .3 .5 .1 .5 .75", "", (4, 6, 20, 18), 0.75, True),
        ("0 .5 .5 .2 .2 .5 .5 2 .4 .4 1", "kpt_shape: [2, 3]\n", (16, 24, 24, 36), None, False),
        ("0 .5 .5 .2 .2 .5 .5 .4 .4", "kpt_shape: [2, 2]\n", (16, 24, 24, 36), None, False),
        ("0 .5 .5 .2 .2 .5 .5 .4 .4 .9", "kpt_shape: [2, 2]\n", (16, 24, 24, 36), 0.9, False),
    ],
)
def test_yolo_lines_of_more_numbers(
    line: str, yaml: str, sides: tuple[float, ...], score: float | None, outlined: bool, tmp_path: Path
):
    document = read(write(tmp_path, {"a.png": "", "a.txt": line, "data.yaml": NAMES + yaml}))
    (box,) = document.images[0].boxes
    np.testing.assert_allclose((box.y0, box.x0, box.y1, box.x1), sides)
    assert (box.score, box.outline is not None) == (score, outlined)
    assert bool(document.noted) == bool(yaml)


def test_yolo_points_that_may_be_a_pose_or_a_polygon_are_left_out_and_said(tmp_path: Path):
    line = "0 .5 .5 .2 .2 .5 .5 2 .4 .4 1\n"
    document = read(write(tmp_path, {"a.png": "", "a.txt": line + LINE}))
    assert document.box_count == 1
    assert document.places == {
        "points of a pose or of a polygon: kpt_shape in data.yaml would say which": ["a.txt, line 1"]
    }


# -- one bad file or line ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "suffix", "content", "stray"),
    [
        ("voc", ".xml", VOC.format("a.png"), "<other/>"),
        ("cvat", ".xml", CVAT, "<other/>"),
        ("labelme", ".json", LABELME, '{"private": true}'),
        ("coco", ".json", COCO, '{"private": true}'),
        ("via", ".json", VIA, '{"private": true}'),
        ("label-studio", ".json", STUDIO, '{"private": true}'),
        ("geojson", ".geojson", GEOJSON, "{"),
        ("csv", ".csv", CSV, "a;b\n1;2\n"),
        ("yolo", ".txt", "0 .5 .5 .2 .2\n", "bring the sample back\n"),
    ],
)
def test_a_stray_or_broken_file_does_not_refuse_its_folder(
    name: str, suffix: str, content: str, stray: str, tmp_path: Path
):
    write(tmp_path, {f"0 stray{suffix}": stray, f"1 broken{suffix}": b"\xff\x00{", f"a{suffix}": content, "a.png": ""})
    document = read(tmp_path)
    assert detect_format(tmp_path).name == name
    assert [box.class_code for image in document.images for box in image.boxes] == (
        ["class 0"] if name == "yolo" else ["pore"]
    )
    assert set(document.files_left_out) == {f"0 stray{suffix}", f"1 broken{suffix}"}
    assert all(document.files_left_out.values())


def test_what_is_left_out_is_named_by_file_and_line(tmp_path: Path):
    write(tmp_path, {"a.csv": CSV + "pore,x,2,9,8\npore,1,2,9,8\npore,5,5,5,9\n"})
    document = read(tmp_path / "a.csv")
    assert document.skipped == {"coordinates are not numbers": 1, "no area": 1}
    assert document.places == {"coordinates are not numbers": ["a.csv, line 3"], "no area": ["a.csv, line 5"]}


# -- what single formats need -----------------------------------------------------------------------------------------


def test_tables_of_any_language(tmp_path: Path):
    table = "\n\nClass;X0_px;y0_px;x1_px;y1_px;note\nLücke;10,5;20,25;30,5;40,75;{}\n"
    for number, encoding in enumerate(("utf-8-sig", "cp1252", "utf-16")):
        path = tmp_path / f"{number}.csv"
        path.write_bytes(table.format("x" * 200_000).encode(encoding))
        (box,) = read(path).images[0].boxes
        assert (box.class_code, box.y0, box.x0, box.y1, box.x1) == ("Lücke", 20.25, 10.5, 40.75, 30.5)
    (tmp_path / "grouped.csv").write_text('class,x0_px,y0_px,x1_px,y1_px\na,"1,234.5",2,"1,240",8\n')
    assert read(tmp_path / "grouped.csv").skipped == {"coordinates are not numbers": 1}


@pytest.mark.parametrize("encoding", ["iso-8859-1", "windows-1252", "utf-16", "gb2312", "shift_jis"])
def test_xml_in_the_encoding_that_it_declares(encoding: str, tmp_path: Path):
    name = {"gb2312": "裂纹", "shift_jis": "割れ目"}.get(encoding, "Lücke")
    text = f'<?xml version="1.0" encoding="{encoding}"?>\n{VOC.format("a.png").replace("pore", name)}'
    (tmp_path / "a.xml").write_bytes(text.encode(encoding))
    assert found(read(tmp_path / "a.xml")) == {"a.png": [name]}


def test_xml_that_declares_another_encoding_is_a_sentence(tmp_path: Path):
    for number, encoding in enumerate(("nonsense", "utf-8", "zlib", "ascii")):
        path = tmp_path / f"{number}.xml"
        path.write_bytes(f'<?xml version="1.0" encoding="{encoding}"?><annotation>Lücke</annotation>'.encode("cp1252"))
        with pytest.raises(ExchangeError, match="encoding that it declares"):
            read(path)


def test_voc_corners_in_any_order_and_the_old_labelme(tmp_path: Path):
    swapped = VOC.format("a.png").replace("<xmin>1<", "<xmin>9<").replace("<xmax>9<", "<xmax>1<")
    mit = (
        "<annotation><filename>b.png</filename><folder>f</folder><object><name>pore</name><deleted>0</deleted>"
        "<polygon><pt><x>1</x><y>2</y></pt><pt><x>9</x><y>2</y></pt><pt><x>9</x><y>8</y></pt></polygon></object>"
        "<object><name>gone</name><deleted>1</deleted><polygon/></object></annotation>"
    )
    write(tmp_path, {"a.xml": swapped, "b.xml": mit})
    document = read(tmp_path)
    assert found(document) == {"a.png": ["pore"], "f/b.png": ["pore"]}
    assert all((b.y0, b.x0, b.y1, b.x1) == (2, 1, 8, 9) for image in document.images for b in image.boxes)
    assert document.skipped == {"deleted in LabelMe": 1}


def test_label_studio_in_its_short_form_and_with_separate_tools(tmp_path: Path):
    region = {"x": 50, "y": 50, "width": 10, "height": 10, "original_width": 400, "original_height": 300}
    short = [{"id": 1, "image": "/data/upload/1/0a1b2c3d-s.tif", "label": [{**region, "rectanglelabels": ["pore"]}]}]
    (tmp_path / "short.json").write_text(json.dumps(short))
    assert found(read(tmp_path / "short.json")) == {"data/upload/1/0a1b2c3d-s.tif": ["pore"]}
    sizes = {"original_width": 400, "original_height": 300}
    results = [{"id": "x", "type": "rectangle", "value": region, **sizes},
               {"id": "x", "type": "labels", "value": {**region, "labels": ["crack", "pore"]}, **sizes}]  # fmt: skip
    task = {"data": {"text": "words", "scan": "s.tif"}, "annotations": [{"result": results}]}
    (tmp_path / "tools.json").write_text(json.dumps([task]))
    document = read(tmp_path / "tools.json")
    assert found(document) == {"s.tif": ["crack"]} and document.noted and not document.skipped


def test_coco_results_take_their_names_from_the_file_beside_them(tmp_path: Path):
    results = [{"image_id": 1, "category_id": 1, "bbox": [1, 2, 8, 6], "score": 0.5}]
    write(tmp_path, {"results.json": json.dumps([*results, {**results[0], "image_id": 2}])})
    with pytest.raises(ExchangeError, match=r"by number only.*one folder with the annotation file"):
        read(tmp_path / "results.json")
    write(tmp_path, {"results.json": json.dumps(results), "truth.json": COCO})
    document = read(tmp_path / "results.json")
    assert found(document) == {"a.png": ["pore"]} and document.images[0].boxes[0].score == 0.5
    (tmp_path / "truth.json").unlink()
    document = read(tmp_path / "results.json")
    assert found(document) == {"results": ["class 1"]} and not document.images[0].named


def test_coco_ids_and_crowds(tmp_path: Path):
    content = json.loads(COCO)
    content["annotations"] = [{"image_id": "1", "category_id": 1.0, "bbox": [1, 2, 8, 6], "iscrowd": 1}]
    (tmp_path / "a.json").write_text(json.dumps(content))
    document = read(tmp_path / "a.json")
    (box,) = document.images[0].boxes
    assert (box.class_code, box.attributes) == ("pore", {"iscrowd": 1}) and document.noted
    FORMATS.get("coco").write(tmp_path / "b.json", document)
    assert json.loads((tmp_path / "b.json").read_text())["annotations"][0]["iscrowd"] == 1
    content["images"].append({"id": 1, "file_name": "b.png"})
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(ExchangeError, match="two pictures have the id 1"):
        read(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("suffix", "content"),
    [
        (".json", COCO.replace('"category_id": 1, ', "")),
        (".json", VIA.replace('{"label": "pore"}', "{}")),
        (".json", LABELME.replace('"label": "pore", ', "")),
        (".geojson", GEOJSON.replace('{"name": "pore"}', '{"name": {"x": 1}, "colorRGB": -1}')),
        (".xml", VOC.format("a.png").replace("pore", "")),
        (".xml", CVAT.replace('label="pore" ', "")),
        (".csv", CSV.replace("pore", "")),
        (".json", STUDIO.replace('["pore"]', "[]")),
    ],
)
def test_boxes_without_a_class_are_kept_for_the_user_to_decide(suffix: str, content: str, tmp_path: Path):
    (tmp_path / f"a{suffix}").write_text(content)
    document = read(tmp_path / f"a{suffix}")
    assert [box.class_code for image in document.images for box in image.boxes] == [""]
