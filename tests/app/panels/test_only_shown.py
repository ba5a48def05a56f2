"""The window's exports hold what counts, or on request only what the view filter shows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("qtpy")
from qtpy.QtCore import QPoint, Qt
from test_sem import no_save

from microscope_qc.app.base.settings import AppSettings
from microscope_qc.app.panels.exchange.export_dialog import ExportDialog
from microscope_qc.project import Project

pytestmark = pytest.mark.window
LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def dialog(qtbot: Any, session: Any, jobs: Any, tmp_path: Path) -> Iterator[ExportDialog]:
    """The dialog over twelve findings: one is rejected, three are below the confidence limit."""
    ids = session.table.rows["id"]
    session.judging.reject(ids[:1], "duplicate")
    session.set_confidence_limit(float(np.sort(session.table.rows["confidence"])[3]) - 1e-4)
    made = ExportDialog(
        session, jobs, AppSettings(), save=no_save, ask_path=lambda _parent, export, _path: tmp_path / export.name
    )
    qtbot.addWidget(made)
    with qtbot.waitExposed(made):
        made.show()
    yield made


def tick(qtbot: Any, dialog: ExportDialog) -> None:
    box = dialog.exports.only_shown
    qtbot.mouseClick(box, LEFT, pos=QPoint(10, box.height() // 2))


def exported(qtbot: Any, dialog: ExportDialog) -> set[int]:
    with qtbot.waitSignal(dialog.exports.exported, timeout=60_000) as done:
        qtbot.mouseClick(dialog.exports.buttons["coco"], LEFT)
    return {found["id"] for found in json.loads(Path(done.args[0]).read_text(encoding="utf-8"))["annotations"]}


def test_a_filter_changes_an_export_only_when_that_is_asked_for(qtbot: Any, dialog: ExportDialog, session: Any) -> None:
    counted = set(session.table.rows["id"][session.inclusion.mask(session.table.rows, rejected=True)].tolist())
    assert len(counted) == 9
    wanted = session.classes[1].id
    session.set_filter(class_ids=frozenset({wanted}))
    shown = set(session.shown_rows()["id"].tolist())
    assert 0 < len(shown) < 9
    assert not dialog.exports.only_shown.isChecked()
    assert "the 9 findings that count" in dialog.exports.what.text()
    assert exported(qtbot, dialog) == counted
    tick(qtbot, dialog)
    assert dialog.exports.only_shown.isChecked()
    assert f"the {len(shown)} findings that the filter shows, of 9 findings that count" in dialog.exports.what.text()
    assert exported(qtbot, dialog) == shown


def test_without_a_filter_there_is_nothing_to_leave_out_and_it_says_so(
    qtbot: Any, dialog: ExportDialog, session: Any
) -> None:
    box = dialog.exports.only_shown
    assert not box.isEnabled() and box.toolTip() == "No filter is on."
    session.set_filter(text="nowhere")
    assert box.isEnabled()
    tick(qtbot, dialog)
    assert box.isChecked()
    session.clear_filter()
    assert not box.isEnabled() and not box.isChecked()
    session.set_filter(text="nowhere")
    assert not box.isChecked(), "the next filter is another matter"


def test_a_filter_that_cannot_be_stored_is_not_offered(qtbot: Any, session: Any, jobs: Any) -> None:
    place = session.project.path
    with Project.open(place, write=False) as reading:
        session.set_project(None)
        session.set_project(reading)
        session.set_filter(text="nowhere")
        made = ExportDialog(session, jobs, AppSettings(), save=no_save)
        qtbot.addWidget(made)
        assert not made.exports.only_shown.isEnabled()
        assert "open for reading" in made.exports.only_shown.toolTip()
        session.set_project(None)


def test_exports_are_of_the_slides_of_the_scope(qtbot: Any, dialog: ExportDialog, session: Any) -> None:
    def slides() -> list[str]:
        with qtbot.waitSignal(dialog.exports.exported, timeout=60_000) as done:
            qtbot.mouseClick(dialog.exports.buttons["coco"], LEFT)
        document = json.loads(Path(done.args[0]).read_text(encoding="utf-8"))
        return [image["file_name"] for image in document["images"]]

    assert dialog.exports.scope.isVisible() and slides() == ["S1.png"]
    session.scope.set_kind("all")
    assert "Annotations and report: what counts on all 2 slides." in dialog.exports.what.text()
    assert slides() == ["S1.png", "S2.png"]
    session.scope.set_chosen([session.project.slides[1].id])
    session.scope.set_kind("selected")
    assert slides() == ["S2.png"]
