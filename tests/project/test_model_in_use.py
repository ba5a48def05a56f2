"""The model in use: a step of the history, found again where the project is moved."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from microscope_qc.core.errors import InputError, ReadOnlyProjectError
from microscope_qc.project import Project


def test_one_click_in_and_one_click_back(project: Project) -> None:
    heard: list[str] = []
    project.events.model_in_use_changed.connect(lambda: heard.append(project.models.argument))
    assert project.models.current is None and project.models.argument == ""
    assert project.models.use("li-ion-ssd", name="li-ion-ssd").title == "Model in use: li-ion-ssd"
    entry = project.models.use("/far/away/mine", name="mine")
    assert entry is not None and entry.title == "Model in use: mine (was li-ion-ssd)"
    assert project.models.use("/far/away/mine", name="mine") is None, "the same again is not a step"
    project.history.undo()
    assert project.models.argument == "li-ion-ssd"
    project.history.undo()
    assert project.models.current is None
    project.history.redo()
    project.history.redo()
    assert project.models.argument == str(Path("/far/away/mine"))
    cleared = project.models.clear()
    assert cleared is not None and cleared.title == "No model in use (was mine)" and project.models.current is None
    assert project.models.clear() is None
    assert heard == ["li-ion-ssd", "/far/away/mine", "li-ion-ssd", "", "li-ion-ssd", "/far/away/mine", ""]
    (change, *_) = project.history.changes_of(cleared)
    assert change.item == "model in use" and "mine" in change.before and not change.after
    with pytest.raises(InputError):
        project.models.use("", name="x")


def test_a_model_of_the_project_is_found_where_the_project_is_moved(project: Project, tmp_path: Path) -> None:
    inside = project.path / "models" / "second"
    project.models.use(inside, name="second")
    path = project.path
    project.close()
    moved = tmp_path / "elsewhere" / "moved.mqc"
    shutil.copytree(path, moved)
    with Project.open(moved, write=False) as again:
        assert again.models.argument == str(moved / "models" / "second")
        assert again.models.current is not None and again.models.current.name == "second"
        assert again.check() == []
        with pytest.raises(ReadOnlyProjectError):
            again.models.use("li-ion-ssd", name="li-ion-ssd")
