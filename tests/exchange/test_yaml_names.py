"""Class names in the YAML file of a YOLO dataset: the usual ways to write them, and hostile files."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from microscope_qc.core.defect_class import DefectClass
from microscope_qc.core.errors import ExchangeError
from microscope_qc.exchange.document import Box, Document, ImageEntry
from microscope_qc.exchange.loading import LARGEST_YAML_CHARACTERS, read_yaml
from microscope_qc.exchange.registry import FORMATS

YOLO = FORMATS.get("yolo")


def classes_of(folder, text: str) -> list[str]:
    """Codes of three boxes of the classes 0, 1 and 2 under a data file."""
    (folder / "data.yaml").write_text(text, encoding="utf-8")
    (folder / "a.txt").write_text("".join(f"{number} 0.5 0.5 0.1 0.1\n" for number in range(3)))
    document = YOLO.read(folder, sizes={"a": (100, 100)})
    return [box.class_code for image in document.images for box in image.boxes]


@pytest.mark.parametrize(
    "text",
    [
        "names: [no, 007, crack]\n",
        "names: [no,\n  007,\n  crack]  # three of them\n",
        "nc: 3\nnames:\n- no\n- '007'\n- \"crack\"\n",
        "path: .\n\nnames:\n\n  0: no # a comment\n  2: crack\n  1: 007\ntrain: images\n",
        "names: {0: no, 1: 007, 2: crack}\n",
        '{"names": ["no", "007", "crack"]}',
        "%YAML 1.2\n---\nnames: !!python/tuple [no, 007, crack]\n...\n",
    ],
)
def test_names_as_they_are_usually_written(tmp_path, text):
    assert classes_of(tmp_path, text) == ["no", "007", "crack"]


@pytest.mark.parametrize("text", ["", "train: images\n", "names:\n", "- a list\n", "just words\n"])
def test_a_file_without_names_leaves_the_numbers(tmp_path, text):
    assert classes_of(tmp_path, text) == ["class 0", "class 1", "class 2"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("names: [a, b\n", "not YAML that can be read .line 2"),
        ("names: {a: b}\n", "by class number"),
        ("names: {-1: b}\n", "not between 0"),
        ("names: {900000000: b}\n", "not between 0"),
        ("names: crack\n", "must be an object"),
        ("names: [[a]]\n", "a class name must be text"),
        ("names: &a [a]\ntrain: *a\n", "aliases are not read"),
        ("a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\nnames: [*c,*c]\n", "aliases are not read"),
        ("names: " + "[" * 100_000, "nested too deeply"),
        ("a: {" * 40_000, "nested too deeply"),
        ("- " * 90_000, "nested too deeply"),
        ("names: [a]\n---\nnames: [b]\n", "not YAML that can be read"),
        ("names: [a\x01]\n", "not YAML that can be read"),
        ("#" * (LARGEST_YAML_CHARACTERS + 1), "files up to 0.2 MB"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(tmp_path, text, words):
    with pytest.raises(ExchangeError, match=words) as raised:
        classes_of(tmp_path, text)
    assert "data.yaml" in str(raised.value)


def test_tags_make_no_objects(tmp_path):
    (tmp_path / "a.yaml").write_text("a: !!python/object/apply:os.system ['exit 3']\nb: !!int 3\n")
    assert read_yaml(tmp_path / "a.yaml") == {"a": ["exit 3"], "b": "3"}


@settings(max_examples=150, deadline=None)
@given(st.text(st.sampled_from("[]{}:,-?&*!|>'\"%@`#ab01 \n\t"), max_size=60) | st.text(max_size=60))
def test_any_text_is_read_or_refused(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        value = read_yaml(path)
    except ExchangeError:
        return
    layer = [value]
    while layer:
        assert all(isinstance(item, str | list | dict | None) for item in layer)
        layer = [
            v
            for item in layer
            if isinstance(item, list | dict)
            for v in (item.values() if isinstance(item, dict) else item)
        ]


names = st.text(min_size=1, max_size=30).filter(lambda text: text.isprintable() and text.strip())


@settings(max_examples=60, deadline=None)
@given(st.lists(names, min_size=1, max_size=8, unique_by=lambda text: " ".join(text.split())))
def test_what_is_written_is_read_by_yaml_and_here(tmp_path_factory, codes):
    folder = tmp_path_factory.mktemp("yolo")
    boxes = [Box(code, 0, 0, 10, 10) for code in codes]
    YOLO.write(folder, Document([ImageEntry("a.png", (100, 100), None, boxes)], [DefectClass(c, c) for c in codes]))
    expected = [" ".join(code.split()) for code in codes]
    root = yaml.safe_load((folder / "data.yaml").read_text(encoding="utf-8"))
    assert root == {"path": ".", "train": "images", "val": "images", "names": dict(enumerate(expected))}
    (folder / "classes.txt").unlink()
    document = YOLO.read(folder, sizes={"a": (100, 100)})
    assert [cls.code for cls in document.classes] == expected
