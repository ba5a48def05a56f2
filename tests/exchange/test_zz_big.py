"""Damage to the structure of sound files: each format gives a document or a sentence, never a fault of the program."""

from __future__ import annotations

import copy
import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import annotation_toys as sound
import numpy as np
import pytest
from PIL import Image

from microscope_qc.core.defect_class import DefectClass
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.outline import Outline
from microscope_qc.exchange.coco_masks import write_mask
from microscope_qc.exchange.document import Box, Document, ImageEntry
from microscope_qc.exchange.registry import FORMATS, detect_format

SHAPE = (40, 60)
USUAL, MANY = 4000, 5000
WRITTEN_AGAIN = 100
WRONG: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 0.5, -0.0, 1e308, math.inf, math.nan, 10**400, -(10**400), "", "x", "1", "nan",
    "1e999", "\0\x1b[31m\u202e", "9" * 400, [], {}, [[]], [None], {"x": 1}, [1, 2], [[1, 2], [3]], {"name": ["a"]}, 
    "http://[abc", "../../../etc/passwd", "a" * 5000, "\ud800", [0, 10**9],
    {"size": [20000, 20000], "counts": [0, 400_000_000]}, "#zzzzzz",
)  # fmt: skip


def rich_document() -> Document:
    """Boxes with every kind of outline and all that a box can have."""
    outlines = [
        None,
        Outline.polygon([(2, 3), (9, 30), (20, 5)]),
        Outline.polygon([(2, 3), (9, 30), (20, 5)], [(8, 8), (8, 9), (9, 9)]),
        Outline.lines([[(1, 2), (8, 9), (12, 4)]]),
        Outline.ellipse(20, 30, 5, 8, angle_deg=20),
        Outline.ellipse(20, 30, 5, 5),
        Outline.mask(np.array([[0, 1], [1, 1]], bool), 4, 6),
    ]
    boxes = []
    for number, outline in enumerate(outlines, start=1):
        y0, x0, y1, x1 = outline.bounds if outline else (1, 2, 9, 8)
        details = {"score": 0.5, "note": "=n", "reason": "r", "id": number, "chosen": True}
        boxes.append(Box("pore", y0, x0, y1, x1, outline=outline, attributes={"a": "b", "n": [1, {"x": 2}]}, **details))
    return Document([ImageEntry("A/a.png", SHAPE, (0.3, 0.3), boxes)], [DefectClass("pore", "Pore", "#E69F00")])


def written(name: str, folder: Path) -> str:
    known = FORMATS.get(name)
    files = known.write(folder / "out" if known.is_folder else folder / f"out{known.suffix}", rich_document())
    return files[0].read_text(encoding="utf-8")


def with_masks() -> str:
    """A COCO file with a mask of each kind."""
    root = json.loads(sound.COCO)
    mask = write_mask(Outline.mask(np.ones((3, 4), bool), 4, 6), SHAPE)
    for segmentation in (mask, {"size": [40, 60], "counts": "0`1"}, [[1, 2, 9, 2, 9, 8]]):
        root["annotations"].append({**root["annotations"][0], "segmentation": segmentation})
    return json.dumps(root)


def studio_with_tools() -> str:
    value = {**sound.SIDES, "brushlabels": ["pore"], "rle": [0, 0, 37, 128, 59, 0]}
    results = [{**sound.RESULT, "type": "brushlabels", "value": value},
               {**sound.RESULT, "id": "1", "type": "rectangle", "value": sound.SIDES},
               {**sound.RESULT, "id": "1", "type": "labels", "value": {"labels": ["pore"]}}]  # fmt: skip
    return json.dumps([{"data": {"image": "a.png", "x": "y"}, "annotations": [{"result": results}], "predictions": []}])


SHORT = json.dumps([{"image": "a.png", "label": [{**sound.SIDES, "rectanglelabels": ["pore"], "original_width": 9}]}])
RESULTS = json.dumps([{"image_id": 1, "category_id": 1, "bbox": [1, 2, 8, 6], "score": 0.5}])


def damaged(value: Any, chance: random.Random) -> Any:
    """JSON with one to three of its nodes replaced, left out or doubled."""
    value = copy.deepcopy(value)
    for _ in range(chance.randint(1, 3)):
        places: list[tuple[Any, Any]] = []
        stack = [value]
        while stack:
            node = stack.pop()
            for key in list(node) if isinstance(node, dict) else range(len(node)):
                places.append((node, key))
                if isinstance(node[key], dict | list):
                    stack.append(node[key])
        if not places:
            return chance.choice(WRONG)
        node, key = chance.choice(places)
        what = chance.random()
        if what < 0.6:
            node[key] = copy.deepcopy(chance.choice(WRONG))
        elif what < 0.8:
            del node[key]
        elif isinstance(node, list):
            node.insert(key, copy.deepcopy(node[key]))
        else:
            node[f"{key}2"] = node.pop(key)
    return value


def text_of(value: Any) -> str:
    return json.dumps(value)  # NaN, Infinity and numbers of 400 digits are written as Python reads them


def damaged_xml(text: str, chance: random.Random) -> str:
    root = ElementTree.fromstring(text)
    for _ in range(chance.randint(1, 3)):
        parent = chance.choice(list(root.iter()))
        wrong = "".join(c for c in str(chance.choice(WRONG)) if c.isprintable())
        children = list(parent)
        what = chance.random()
        if what < 0.4 and parent.attrib:
            parent.set(chance.choice(list(parent.attrib)), wrong)
        elif what < 0.7 or not children:
            parent.text = wrong
        elif what < 0.85:
            parent.remove(chance.choice(children))
        else:
            parent.append(copy.deepcopy(chance.choice(children)))
    return ElementTree.tostring(root, encoding="unicode")


def damaged_lines(text: str, chance: random.Random) -> str:
    cells = [line.split(",") for line in text.splitlines()]
    for _ in range(chance.randint(1, 3)):
        line = chance.choice(cells)
        place = chance.randrange(len(line) + 1)
        if chance.random() < 0.3:
            del line[place : place + 1]
        else:
            line[place : place + 1] = [str(chance.choice(WRONG))]
    return "\n".join(",".join(line) for line in cells).encode("utf-8", "replace").decode()


def check(path: Path, seed: int) -> None:
    """A document that can be used, or a sentence."""
    try:
        known = detect_format(path)
        document = known.read(path, sizes={"a": SHAPE, "out": SHAPE})
    except MicroscopeQCError as error:
        assert error.message and error.hint
        return
    for image in document.images:
        assert image.path.isprintable() and ".." not in image.path.split("/")
        for box in image.boxes:
            assert math.isfinite(box.y0 + box.x0 + box.y1 + box.x1) and box.y0 < box.y1 and box.x0 < box.x1
            assert box.score is None or 0 <= box.score <= 1
            assert not any(c < " " and c not in "\n\t\r" for c in box.class_code + box.note + box.reason)
            json.dumps(box.attributes, allow_nan=False)
    for written_as in FORMATS.values() if seed % WRITTEN_AGAIN == 0 else ():
        try:
            target = path.parent / "again" / written_as.name
            written_as.write(target if written_as.is_folder else target.with_suffix(written_as.suffix), document)
        except MicroscopeQCError as error:
            assert error.message and error.hint


@pytest.fixture(scope="module")
def count(request: pytest.FixtureRequest) -> int:
    return MANY if request.config.getoption("--long") else USUAL


Source = Callable[[Path], str]
JSON_SOURCES: dict[str, tuple[str, Source]] = {
    "coco": (".json", lambda folder: written("coco", folder)),
    "coco masks": (".json", lambda _: with_masks()),
    "coco results": (".json", lambda _: RESULTS),
    "geojson": (".geojson", lambda folder: written("geojson", folder)),
    "labelme": (".json", lambda folder: written("labelme", folder)),
    "via": (".json", lambda folder: written("via", folder)),
    "label-studio": (".json", lambda folder: written("label-studio", folder)),
    "label-studio tools": (".json", lambda _: studio_with_tools()),
    "label-studio short": (".json", lambda _: SHORT),
}


@pytest.mark.parametrize("source", JSON_SOURCES)
def test_json(source: str, tmp_path: Path, count: int):
    suffix, make = JSON_SOURCES[source]
    sound_value = json.loads(make(tmp_path))
    path = tmp_path / "in" / f"a{suffix}"
    path.parent.mkdir()
    for seed in range(count):
        path.write_text(text_of(damaged(sound_value, random.Random(seed + 100000))), encoding="utf-8")
        check(path, seed)


@pytest.mark.parametrize("name", ["voc", "cvat"])
def test_xml(name: str, tmp_path: Path, count: int):
    text = written(name, tmp_path)
    path = tmp_path / "in" / "a.xml"
    path.parent.mkdir()
    for seed in range(count):
        path.write_text(damaged_xml(text, random.Random(seed + 100000)), encoding="utf-8")
        check(path, seed)


@pytest.mark.parametrize("source", ["csv", "via"])
def test_tables(source: str, tmp_path: Path, count: int):
    region = json.dumps(sound.REGION["shape_attributes"]).replace('"', '""')
    via = f'filename,region_shape_attributes,region_attributes\na.png,"{region}","{{}}"\n'
    text = written("csv", tmp_path) if source == "csv" else via
    path = tmp_path / "in" / "a.csv"
    path.parent.mkdir()
    for seed in range(count):
        path.write_text(damaged_lines(text, random.Random(seed + 100000)), encoding="utf-8")
        check(path, seed)


def test_yolo(tmp_path: Path, count: int):
    lines = "0,.5,.5,.2,.2\n1,.5,.5,.2,.2,.9\n0,.1,.1,.3,.1,.3,.5,.1,.5\n"
    data: dict[str, Any] = {"path": ".", "train": "images", "names": {"0": "pore", "1": "crack"}, "kpt_shape": [2, 2]}
    Image.fromarray(np.zeros(SHAPE, np.uint8)).save(tmp_path / "a.png")
    for seed in range(count):
        chance = random.Random(seed + 100000)
        (tmp_path / "a.txt").write_text(damaged_lines(lines, chance).replace(",", " "), encoding="utf-8")
        (tmp_path / "data.yaml").write_text(text_of(damaged(data, chance)), encoding="utf-8")  # JSON is YAML
        check(tmp_path, seed)
