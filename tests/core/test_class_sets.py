"""Class sets in files, and the ones that come with the program."""

from __future__ import annotations

import json

import pytest

from microscope_qc.core.class_sets import class_set, load_class_set, save_class_set
from microscope_qc.core.defect_class import CLASS_SETS, DefectClass, grouped
from microscope_qc.core.errors import InputError


def test_the_sets_of_the_program():
    assert {name: len(classes) for name, classes in CLASS_SETS.items()} == {"li-ion": 10, "patches": 6, "magnet": 4}
    assert class_set("magnet") == CLASS_SETS["magnet"]
    for classes in CLASS_SETS.values():
        assert len({cls.code for cls in classes}) == len({cls.colour for cls in classes}) == len(classes)


def test_the_classes_of_an_electrode_are_grouped_by_it():
    groups = {group: [item.code for item in items] for group, items in grouped(CLASS_SETS["li-ion"]).items()}
    assert list(groups) == ["Anode", "Cathode", "Preparation", ""]
    assert all(code.startswith("A") for code in groups["Anode"]) and all(
        code.startswith("C") for code in groups["Cathode"]
    )
    assert groups["Preparation"] == ["PRA"] and groups[""] == ["GEO", "CRK"]
    assert list(grouped([DefectClass("B", "b"), DefectClass("A", "a", group="x")])) == ["x", ""]
    assert grouped([]) == {}


@pytest.mark.parametrize("name", CLASS_SETS)
def test_a_set_comes_back_from_its_file(name, tmp_path):
    target = save_class_set(tmp_path / "mine", CLASS_SETS[name])
    assert target.name == "mine.classes.json"
    assert load_class_set(target) == class_set(str(target)) == CLASS_SETS[name]


def test_what_belongs_to_a_project_stays_there(tmp_path):
    own = DefectClass("裂纹", "Riss", "#123456", "7", "text", 2.5, 12, 0, 30.0, 99, "examples/a.png", "Anode")
    (read,) = load_class_set(save_class_set(tmp_path / "a.classes.json", [own]))
    assert read == DefectClass("裂纹", "Riss", "#123456", "7", "text", 2.5, 0, 0, 30.0, group="Anode")


@pytest.mark.parametrize(
    "content",
    [
        "", "{", "[" * 100_000, "[]", "{}", '{"classes": []}', '{"classes": [1]}', '{"classes": [{"code": " "}]}',
        '{"classes": [{"code": "a", "name": 7}]}', '{"classes": [{"code": "a", "weight": "heavy"}]}',
        '{"classes": [{"code": "a", "weight": NaN}]}', '{"classes": [{"code": "a"}, {"code": "a "}]}',
        '{"classes": [{"code": "a", "box_size_um": -1}]}', '{"classes": [{"code": "a", "group": ["Anode"]}]}',
    ],
)  # fmt: skip
def test_a_broken_file_gives_one_sentence(content, tmp_path):
    path = tmp_path / "a.classes.json"
    path.write_text(content)
    with pytest.raises(InputError, match=r"a\.classes\.json") as caught:
        load_class_set(path)
    assert caught.value.hint
    with pytest.raises(InputError):
        load_class_set(tmp_path / "missing.json")
    with pytest.raises(InputError, match="no class set"):
        class_set("nonsense")


def test_a_file_from_elsewhere_needs_codes_only(tmp_path):
    path = tmp_path / "a.classes.json"
    path.write_text(json.dumps({"classes": [{"code": "A"}, {"code": "B", "box_size_um": 12}]}))
    first, second = load_class_set(path)
    assert (first.name, first.colour != second.colour, second.box_size_um) == ("A", True, 12.0)
