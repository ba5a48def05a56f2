"""Models at hand: listed, renamed, copied, deleted, put in use; and as one file, which is checked before it is kept."""

from __future__ import annotations

import hashlib
import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from learning_toys import untrained_model
from safetensors.numpy import load_file, save_file

from microscope_qc.core.errors import InputError, MicroscopeQCError, ModelError
from microscope_qc.core.jobs import run_job
from microscope_qc.ml.cards import CARD_NAME, WEIGHTS_NAME
from microscope_qc.ml.library import load_card
from microscope_qc.project import Project
from microscope_qc.workflows.models.about import about_model
from microscope_qc.workflows.models.package import LIST_NAME, export_model, import_model
from microscope_qc.workflows.models.shelf import (
    ModelEntry,
    ModelPlace,
    delete_model,
    duplicate_model,
    find_model,
    list_shelf,
    named_model,
    rename_model,
    use_model,
    user_folder,
)


@pytest.fixture(autouse=True)
def own_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "own"
    monkeypatch.setenv("MICROSCOPE_QC_MODELS", str(folder))
    return folder


@pytest.fixture
def entry(own_models: Path) -> ModelEntry:
    return find_model(untrained_model(own_models / "toy"))


def content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_models_of_project_user_and_program_are_listed(entry: ModelEntry, project: Project) -> None:
    untrained_model(project.path / "models" / "inner")
    (project.path / "models" / "unfinished").mkdir()  # a training that goes on
    damaged = untrained_model(user_folder() / "damaged")
    (damaged / CARD_NAME).write_text("{}")
    found = list_shelf(project)
    assert [(one.name, one.place) for one in found if one.place is not ModelPlace.PROGRAM] == [
        ("inner", ModelPlace.PROJECT), ("damaged", ModelPlace.USER), ("toy", ModelPlace.USER),
    ]  # fmt: skip
    assert {one.name for one in found if one.place is ModelPlace.PROGRAM} >= {"li-ion-ssd"}
    broken = find_model("damaged", project)
    assert broken.card is None and "invalid" in broken.problem
    assert about_model(broken).facts[0] == ("Problem", broken.problem)
    assert not [one for one in list_shelf() if one.place is ModelPlace.PROJECT]


def test_a_model_is_renamed_and_its_folder_stays(entry: ModelEntry, project: Project) -> None:
    use_model(project, entry)
    entry = find_model("toy", project)
    renamed = rename_model(entry, "  My best  model ", project)
    assert renamed.name == "My best model" and renamed.folder == entry.folder and renamed.in_use
    assert project.models.current is not None and project.models.current.name == "My best model"
    assert find_model("toy", project).folder == entry.folder, "the folder's name is still known"
    for wrong in ("", "a/b", "..", ".hidden", "con", "x" * 200, "a\nb\x00", "LI-ION-SSD"):
        with pytest.raises(InputError):
            rename_model(renamed, wrong, project)
    with pytest.raises(InputError, match="came with the program"):
        rename_model(find_model("li-ion-ssd"), "mine")


def test_a_copy_goes_where_it_is_wanted(entry: ModelEntry, project: Project) -> None:
    copy = duplicate_model(find_model("li-ion-ssd"), "mine", project)
    assert copy.place is ModelPlace.PROJECT and copy.folder == project.path / "models" / "mine"
    assert load_card(copy.folder).name == "mine" and (copy.folder / "metrics.json").exists()
    assert duplicate_model(entry, "second").place is ModelPlace.USER
    assert named_model("mine", project) == str(copy.folder) and named_model("mine") == "mine"
    assert named_model("li-ion-ssd", project) == "li-ion-ssd" and named_model("second") == str(user_folder() / "second")
    with pytest.raises(InputError, match="already"):
        duplicate_model(entry, "Second")


def test_only_an_own_model_that_is_not_in_use_is_deleted(entry: ModelEntry, project: Project, tmp_path: Path) -> None:
    use_model(project, entry)
    with pytest.raises(InputError, match="in use"):
        delete_model(find_model("toy", project))
    project.history.undo()
    delete_model(find_model("toy", project))
    assert not entry.folder.exists() and not list(user_folder().iterdir())
    for other in (find_model("li-ion-ssd"), find_model(untrained_model(tmp_path / "other"))):
        with pytest.raises(InputError, match="not deleted"):
            delete_model(other)
        assert other.folder.exists()


def test_a_model_is_used_by_one_step_and_taken_back_by_one(entry: ModelEntry, project: Project) -> None:
    with pytest.raises(InputError, match="No model is in use"):
        named_model(None, project)
    use_model(project, find_model("li-ion-ssd"))
    use_model(project, entry)
    assert named_model(None, project) == str(entry.folder) and find_model("toy", project).in_use
    project.history.undo()
    assert named_model(None, project) == "li-ion-ssd" and find_model("li-ion-ssd", project).in_use


def test_a_model_in_use_that_lies_elsewhere_is_listed_first(project: Project, tmp_path: Path) -> None:
    there = find_model(untrained_model(tmp_path / "other"))
    use_model(project, there)
    first = list_shelf(project)[0]
    assert first.in_use and first.place is ModelPlace.ELSEWHERE and first.name == "other"


# -- one file --------------------------------------------------------------------------------------------------------


def test_a_model_comes_back_from_its_file_as_it_was(entry: ModelEntry, tmp_path: Path, project: Project) -> None:
    one = run_job(export_model(entry, tmp_path / "one"))
    two = run_job(export_model(entry, tmp_path / "two.mqcmodel"))
    assert one.path.name == "one.mqcmodel" and one.path.read_bytes() == two.path.read_bytes()
    assert one.sha256 == hashlib.sha256(one.path.read_bytes()).hexdigest()
    before = content(entry.folder)
    delete_model(entry)
    back = run_job(import_model(one.path))
    assert back.name == "toy" and content(back.folder) == before
    inside = run_job(import_model(one.path, project, name="again"))
    assert inside.place is ModelPlace.PROJECT and inside.name == "again"
    with pytest.raises(InputError, match="already"):
        run_job(import_model(one.path))


def rewritten(
    path: Path, change: dict[str, bytes | None], *, hashes: bool = True, pack: int = zipfile.ZIP_STORED
) -> Path:
    """A package with other files (None: without it), whose list is right unless ``hashes`` is False."""
    with zipfile.ZipFile(path) as package:
        files: dict[str, bytes] = {name: package.read(name) for name in package.namelist()}
    files = {name: data for name, data in (files | change).items() if data is not None}
    if hashes and LIST_NAME in files and LIST_NAME not in change:
        listed = {
            name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
            for name, data in files.items() if name != LIST_NAME
        }  # fmt: skip
        files[LIST_NAME] = json.dumps({"format": 1, "files": listed}).encode()
    out = path.with_name("changed.mqcmodel")
    with zipfile.ZipFile(out, "w", pack) as package:
        for name, data in files.items():
            package.writestr(name, data)
    return out


def with_nan(folder: Path) -> bytes:
    weights = load_file(folder / WEIGHTS_NAME)
    name = next(name for name, tensor in weights.items() if tensor.dtype == np.float16)
    weights[name].flat[0] = np.nan
    path = folder.parent / "nan.safetensors"
    save_file(weights, path)
    content = path.read_bytes()
    path.unlink()
    return content


def other_network(folder: Path) -> bytes:
    card = json.loads((folder / CARD_NAME).read_text())
    return json.dumps(card | {"classes": ["A"], "class_names": ["A"]}).encode()


CASES: dict[str, tuple[Any, str]] = {
    "not a zip": (lambda f, p: (p.write_bytes(b"PK nothing of the kind"), p)[1], "not a model, or is damaged"),
    "cut": (lambda f, p: (p.write_bytes(p.read_bytes()[:-2000]), p)[1], "not a model, or is damaged"),
    "bit": (lambda f, p: rewritten(p, {WEIGHTS_NAME: (f / WEIGHTS_NAME).read_bytes()[:-1] + b"\1"}, hashes=False),
            "not what was exported"),
    "traversal": (lambda f, p: rewritten(p, {"../../evil.txt": b"x"}), "which no model has"),
    "absolute": (lambda f, p: rewritten(p, {"/etc/evil": b"x"}), "which no model has"),
    "foreign": (lambda f, p: rewritten(p, {"run.py": b"import os"}), "which no model has"),
    "pickle": (lambda f, p: rewritten(p, {"checkpoint.pt": b"\x80"}), "which no model has"),
    "no weights": (lambda f, p: rewritten(p, {WEIGHTS_NAME: None}), "lacks weights.safetensors"),
    "no list": (lambda f, p: rewritten(p, {LIST_NAME: None}), "lacks files.json"),
    "list of others": (lambda f, p: rewritten(p, {LIST_NAME: b'{"format": 1, "files": {}}'}), "lists other files"),
    "no list at all": (lambda f, p: rewritten(p, {LIST_NAME: b"[" * 5000}), "cannot be read"),
    "newer": (lambda f, p: rewritten(p, {LIST_NAME: b'{"format": 2, "files": {}}'}), "newer version"),
    "bomb": (lambda f, p: rewritten(p, {"metrics.json": b"0" * (12 << 20)}, pack=zipfile.ZIP_DEFLATED), "would unpack"),
    "too large a card": (lambda f, p: rewritten(p, {CARD_NAME: b" " * (17 << 20)}), "would unpack"),
    "NaN": (lambda f, p: rewritten(p, {WEIGHTS_NAME: with_nan(f)}), "not finite numbers"),
    "another network": (lambda f, p: rewritten(p, {CARD_NAME: other_network(f)}), "do not fit"),
    "no safetensors": (lambda f, p: rewritten(p, {WEIGHTS_NAME: struct.pack("<Q", 1 << 60) + b"{}"}), "cannot be read"),
    "a damaged division": (lambda f, p: rewritten(p, {"parts.json": b"[]"}), "division"),
    "no card": (lambda f, p: rewritten(p, {CARD_NAME: b"{}"}), "invalid"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_wrong_file_changes_nothing_and_says_one_sentence(case: str, entry: ModelEntry, tmp_path: Path) -> None:
    path = run_job(export_model(entry, tmp_path / "toy.mqcmodel")).path
    make, words = CASES[case]
    bad = make(entry.folder, path)
    before = content(tmp_path)
    with pytest.raises(ModelError, match=words) as raised:
        run_job(import_model(bad, name="taken"))
    assert content(tmp_path) == before, "nothing is left behind"
    assert [one.name for one in list_shelf() if one.place is ModelPlace.USER] == ["toy"]
    assert str(tmp_path) not in raised.value.message and "\n" not in raised.value.message
    assert bad.name in raised.value.message and raised.value.hint


def test_a_file_that_says_less_than_it_holds_is_refused(entry: ModelEntry, tmp_path: Path) -> None:
    path = rewritten(
        run_job(export_model(entry, tmp_path / "toy.mqcmodel")).path, {"metrics.json": b"1" * 4000},
        pack=zipfile.ZIP_DEFLATED,
    )  # fmt: skip
    data = bytearray(path.read_bytes())
    at = data.rindex(b"metrics.json") - 46  # the entry in the central directory
    assert data[at : at + 4] == b"PK\1\2"
    data[at + 24 : at + 28] = struct.pack("<I", 10)
    path.write_bytes(bytes(data))
    with pytest.raises(ModelError):
        run_job(import_model(path, name="taken"))
    assert not (user_folder() / "taken").exists()


def test_an_import_that_is_stopped_leaves_nothing(entry: ModelEntry, tmp_path: Path) -> None:
    path = run_job(export_model(entry, tmp_path / "toy.mqcmodel")).path
    for steps in range(4):
        job = import_model(path, name="taken")
        for _ in range(steps):
            next(job)
        job.close()
        assert {folder.name for folder in user_folder().iterdir()} == {"toy"}
    for wrong in (tmp_path / "none.mqcmodel", tmp_path):
        with pytest.raises(InputError):
            run_job(import_model(wrong))


def test_the_same_words_for_card_and_page() -> None:
    about = about_model(find_model("li-ion-ssd"))
    facts = dict(about.facts)
    assert "0.9 µm" in facts["Pixel size"] and "304 defects" in facts["Scores"]
    assert "synthetic" in facts["Data"] and "trained from nothing" in facts["Licence"]
    assert about.scores[0].code == "ACP" and about.scores[0].cells[0] == "0.789" and len(about.scores) == 10


def test_a_model_trained_from_a_backbone_inherits_its_words(entry: ModelEntry) -> None:
    card = json.loads((entry.folder / CARD_NAME).read_text())
    card["training"] = {"backbone": "Backbone: of others, whose licence file is Apache-2.0."}
    card["metrics"] = {"map50": 0.5, "map50_interval": [0.4, 0.6], "truth": 9, "places": 7}
    (entry.folder / CARD_NAME).write_text(json.dumps(card))
    facts = dict(about_model(find_model("toy")).facts)
    assert facts["Licence"] == card["training"]["backbone"]
    assert facts["Scores"] == "mAP50 0.500 [0.400, 0.600], on 9 defects in 7 places that were held out"


def test_errors_are_sentences(entry: ModelEntry) -> None:
    with pytest.raises(MicroscopeQCError, match="There are: "):
        find_model("nobody")
