"""A story in the real window: a study of networks shows its time left and is stopped; two detectors are compared."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from qtpy.QtCore import Qt

if TYPE_CHECKING:
    from window_driver import User

pytestmark = [pytest.mark.window, pytest.mark.story, pytest.mark.timeout(900)]


@pytest.fixture
def panel(user: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The page of studies, with a project of drawn defects and two detections open."""
    from learning_toys import judged_project

    from microscope_qc.core.boxes import make_rows
    from microscope_qc.project import Project
    from microscope_qc.project.runs.plan import RunPlan

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    path = judged_project(tmp_path, slides=6)
    with Project.open(path) as project:
        for name, sides in (("old", (10.0, 60.0)), ("new", (10.0,))):
            run = project.runs.start(project.slides[0].id, RunPlan(model=name, model_name=name))
            rows = make_rows(
                len(sides), class_id=project.classes[0].id, confidence=0.9, y0=sides, x0=sides,
                y1=[side + 20 for side in sides], x1=[side + 20 for side in sides],
            )  # fmt: skip
            project.runs.add_findings(run.id, rows)
    user.window.navigator.open_paths([path])
    user.wait_until(lambda: user.session.mosaic is not None, "the slide")
    user.click(user.window.workspaces.buttons.buttons["learn"])
    user.window.navigator.show_panel("studies")
    return user.window.docks["studies"].build()


def choose(panel: Any, action: str) -> Any:
    panel.kind.setCurrentIndex([form.action for form in panel.forms].index(action))
    return panel.form


def test_compare_networks_stop_and_compare_detectors(user: User, panel: Any, tmp_path: Path) -> None:
    form = choose(panel, "networks")
    for row in range(form.list.count()):
        item = form.list.item(row)
        wanted = item.data(Qt.ItemDataRole.UserRole) in ("ssd-tiny", "ssd")
        item.setCheckState(Qt.CheckState.Checked if wanted else Qt.CheckState.Unchecked)
    form.minutes.setValue(1)
    user.click(panel.start)
    user.wait_until(lambda: "left" in panel.story.text() and "ssd" in panel.story.text(), "the time that is left")
    assert panel.bar.isVisible() and not panel.start.isEnabled()
    user.click(panel.cancel)
    user.wait_until(lambda: panel.handle is None, "the end of the study")
    assert "What is done is kept" in panel.story.text()
    begun = list((panel.folder(form) / "models").rglob("checkpoint.pt"))
    assert begun, "Start goes on from there"

    form = choose(panel, "detectors")
    user.wait_until(lambda: form.first.count() == 2, "the detections to choose from")
    user.click(panel.start)
    user.wait_until(lambda: panel.found is not None, "the table")
    (row,) = [row for row in panel.found.rows if row["class"] == "all" and row["slide"] == "S0"]
    assert (row["first"], row["second"], row["both"]) == (2, 1, 1)
    assert panel.table.isVisible() and panel.table.rowCount() == len(panel.found.rows)
    panel.save_to(tmp_path / "table.csv")
    user.wait_until((tmp_path / "table.csv").exists, "the file")
    assert len(list(csv.reader((tmp_path / "table.csv").open()))) == 1 + len(panel.found.rows)
