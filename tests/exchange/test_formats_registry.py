"""Annotation formats by name: which one a file has, and formats of other packages."""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint

import pytest

from microscope_qc.core import plugins
from microscope_qc.core.errors import ExchangeError, InputError
from microscope_qc.core.plugins import Match
from microscope_qc.exchange import registry
from microscope_qc.exchange.document import Document, ImageEntry
from microscope_qc.exchange.format import AnnotationFormat
from microscope_qc.exchange.registry import FORMATS, detect_format, suffixes

ENTRY = {"filename": "a.png", "regions": []}


@pytest.mark.parametrize(
    ("file", "content", "name"),
    [
        ("a.json", {"annotations": [], "images": []}, "coco"),
        ("a.json", {"annotations": [], "categories": []}, "coco"),
        ("a.json", {"type": "FeatureCollection", "features": []}, "geojson"),
        ("a.geojson", [{"type": "Feature"}], "geojson"),
        ("a.json", {"shapes": []}, "labelme"),
        ("a.json", {"shapes": [], "other": {"regions": []}}, "labelme"),
        ("a.json", {"_via_img_metadata": {}, "shapes": 1}, "labelme"),
        ("a.json", {"_via_img_metadata": {}}, "via"),
        ("a.json", {"a.png-1": ENTRY}, "via"),
        ("a.json", [{"data": {}, "predictions": []}], "label-studio"),
        ("A.XML", "<annotation/>", "voc"),
        ("a.xml", "<annotations/>", "cvat"),
        ("a.csv", "filename,region_shape_attributes\n", "via"),
        ("a.csv", "anything\n", "csv"),
        ("a.txt", "0 0 0 0 0\n", "yolo"),
        ("a.json", {}, None),
        ("a.json", [], None),
        ("a.json", [1, {"data": {}}], None),
        ("a.xml", "<svg/>", None),
        ("classes.txt", "ACP\n", None),
        ("a.docx", "", None),
    ],
)
def test_a_file_is_known_by_its_content(tmp_path, file, content, name):
    path = tmp_path / file
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    if name is None:
        with pytest.raises(ExchangeError, match="not in an annotation format that can be read") as raised:
            detect_format(path)
        assert all(known.title in raised.value.hint for known in FORMATS.values())
    else:
        assert detect_format(path).name == name


def test_a_folder_has_the_format_of_its_first_file(tmp_path):
    for name, text in (("notes.csv", "a\n"), ("classes.txt", "ACP\n"), ("labels/a.txt", "0 0 0 0 0\n")):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert detect_format(tmp_path).name == "yolo"
    (tmp_path / "a.json").write_text('{"shapes": []}')
    assert detect_format(tmp_path).name == "labelme"
    (tmp_path / "a.xml").write_text("<annotation/>")
    assert detect_format(tmp_path).name == "voc"


def test_every_built_in_format_describes_itself():
    for name, known in FORMATS.items():
        assert known.name == name
    assert [known.name for known in FORMATS.values() if known.is_folder] == ["voc", "yolo", "labelme"]
    assert set(suffixes()) == {".json", ".geojson", ".xml", ".csv", ".txt", ".yaml", ".yml"}
    with pytest.raises(InputError, match="There is no annotation format 'docx'"):
        FORMATS.get("docx")


SHARED = json.dumps({"a": {"regions": []}, "mine": 1})
"""Of a shape that VGG Image Annotator writes, too."""


def read(path, *, sizes):
    return Document(images=[ImageEntry(path.read_text().strip(), None, None, [])])


def write(path, document):
    path.write_text(document.images[0].name)
    return [path]


MINE = AnnotationFormat(
    "mine",
    "Mine",
    ".csv",
    read,
    write,
    lambda file: Match.CERTAIN if "mine" in file.text else Match.NONE,
    also=(".my", ".json"),
)
BROKEN = AnnotationFormat("broken", "Broken", ".json", read, write, lambda file: file.no_such_thing)
CAPITAL = AnnotationFormat("capital", "Capital", ".CSV", read, write, lambda file: Match.CERTAIN)


def test_formats_of_other_packages_are_listed_and_one_that_fails_is_named(monkeypatch, tmp_path):
    points = tuple(EntryPoint(name, f"{__name__}:{name.upper()}", "") for name in ("mine", "broken", "capital"))
    monkeypatch.setattr(plugins, "_entry_points", lambda group: points)
    own = plugins.Registry("annotation_formats", registry._a_format, FORMATS._builtin, what="annotation format")
    monkeypatch.setattr(registry, "FORMATS", own)
    assert ".my" in registry.suffixes()
    for name, text, expected in (
        ("a.csv", "mine", "mine"),
        ("b.csv", "class\n", "csv"),
        ("d.json", SHARED, "mine"),
        ("c.json", "{}", None),
    ):
        (tmp_path / name).write_text(text)
        if expected:
            assert detect_format(tmp_path / name).name == expected
        else:
            with pytest.raises(ExchangeError):
                detect_format(tmp_path / name)
    assert {problem.name: problem.reason for problem in own.problems} == {
        "broken": "AttributeError: 'Candidate' object has no attribute 'no_such_thing'.",
        "capital": "a suffix must begin with a dot and be in lower case.",
    }
    assert own.usable() == [*FORMATS._builtin, "mine"]
    (tmp_path / "only.my").write_text("mine")
    assert detect_format(tmp_path / "only.my").read(tmp_path / "only.my").images[0].name == "mine"
