"""File > Report: what is chosen is what is written, and remembered; a preview can be stopped."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from qtpy.QtCore import Qt

from microscope_qc.app.base.settings import AppSettings
from microscope_qc.app.dialogs.report import ReportDialog
from microscope_qc.reports.document import CONTENTS

LEFT = Qt.MouseButton.LeftButton
Open = Callable[..., ReportDialog]


@pytest.fixture
def settings() -> AppSettings:
    return AppSettings()


@pytest.fixture
def shown() -> list[Path]:
    """Files that were shown."""
    return []


@pytest.fixture
def open_dialog(qtbot: Any, session: Any, jobs: Any, settings: AppSettings, shown: list[Path], tmp_path: Path) -> Open:
    def make(answer: str = "", *, chosen: str = "") -> ReportDialog:
        dialog = ReportDialog(
            session, jobs, settings, save=lambda: None, ask_new=lambda *_: answer, ask=lambda *_: chosen,
            show_file=shown.append,
        )  # fmt: skip
        qtbot.addWidget(dialog)
        dialog.show()
        return dialog

    return make


def press(qtbot: Any, button: Any) -> None:
    qtbot.mouseClick(button, LEFT)


def test_what_is_chosen_is_written_opened_and_remembered(
    qtbot: Any, session: Any, open_dialog: Open, settings: AppSettings, shown: list[Path], tmp_path: Path
) -> None:
    session.scope.set_kind("all")
    dialog = open_dialog(str(tmp_path / "r"))
    assert all(box.isChecked() for box in dialog.parts.values()) and list(dialog.parts) == list(CONTENTS)
    dialog.parts["gallery"].setChecked(False)
    dialog.language.setCurrentIndex(dialog.language.findData("de"))
    dialog.kind.setCurrentIndex(dialog.kind.findData(".json"))
    press(qtbot, dialog.write)
    assert not dialog.isVisible(), "writing goes on in the background"
    qtbot.waitUntil(lambda: bool(shown))
    assert shown == [tmp_path / "r.json"] and session.seen.notices[-1] == "Written: r.json"
    said = json.loads(shown[0].read_text(encoding="utf-8"))
    assert said["language"] == "de" and "gallery" not in said["contents"] and len(said["slides"]) == 2
    again = open_dialog()
    assert not again.parts["gallery"].isChecked() and again.suffix == ".json"
    assert again.language.currentData() == "de" and settings.report["leave_out"] == "gallery"


def test_a_report_is_of_the_scope(
    qtbot: Any, session: Any, open_dialog: Open, shown: list[Path], tmp_path: Path
) -> None:
    dialog = open_dialog(str(tmp_path / "r.json"))
    dialog.kind.setCurrentIndex(dialog.kind.findData(".json"))
    assert session.scope.kind != "all"
    press(qtbot, dialog.write)
    qtbot.waitUntil(lambda: bool(shown))
    said = json.loads(shown[0].read_text(encoding="utf-8"))
    assert [slide["name"] for slide in said["slides"]] == ["S1.png"] or [s["name"] for s in said["slides"]] == ["S1"]


def test_a_preview_is_shown_and_the_dialog_stays(qtbot: Any, open_dialog: Open, shown: list[Path]) -> None:
    dialog = open_dialog()
    press(qtbot, dialog.preview)
    assert not dialog.preview.isEnabled()
    qtbot.waitUntil(lambda: bool(shown))
    assert dialog.isVisible() and dialog.preview.isEnabled()
    assert "<html" in shown[0].read_text(encoding="utf-8")


def test_a_dialog_that_is_closed_stops_its_preview(qtbot: Any, jobs: Any, open_dialog: Open, shown: list[Path]) -> None:
    dialog = open_dialog()
    press(qtbot, dialog.preview)
    dialog.reject()
    qtbot.waitUntil(lambda: not jobs.running)
    assert not shown


def test_a_wrong_field_of_a_template_is_said_in_the_dialog(
    qtbot: Any, open_dialog: Open, shown: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "lab.html").write_text("<p>\n{{ totl.kept }}", encoding="utf-8")
    dialog = open_dialog(chosen=str(tmp_path / "lab.html"))
    press(qtbot, dialog.template.choose)
    assert dialog.template.line.text() == "lab.html"
    press(qtbot, dialog.preview)
    qtbot.waitUntil(lambda: bool(dialog.said.text()))
    assert "lab.html, line 2: there is no totl." in dialog.said.text() and not shown
    dialog.kind.setCurrentIndex(dialog.kind.findData(".docx"))
    assert "no template for this kind of file" in dialog.said.text() and dialog.order().template == ""
    press(qtbot, dialog.template.drop)
    assert dialog.template.path == "" and not dialog.template.drop.isEnabled()


def test_a_word_template_is_begun_from_the_programs_own(
    qtbot: Any, open_dialog: Open, shown: list[Path], tmp_path: Path
) -> None:
    dialog = open_dialog(str(tmp_path / "lab"))
    press(qtbot, dialog.start_template)
    qtbot.waitUntil(lambda: bool(shown))
    assert shown == [tmp_path / "lab.docx"] and zipfile.is_zipfile(shown[0])
    assert dialog.suffix == ".docx" and dialog.order().template == str(tmp_path / "lab.docx")


def test_limits_that_cannot_be_read_are_said(qtbot: Any, jobs: Any, open_dialog: Open, tmp_path: Path) -> None:
    (tmp_path / "limits.csv").write_text("class\nACP\n")
    dialog = open_dialog(chosen=str(tmp_path / "limits.csv"))
    press(qtbot, dialog.limits.choose)
    press(qtbot, dialog.preview)
    qtbot.waitUntil(lambda: bool(dialog.said.text()))
    assert "limits.csv, line 2" in dialog.said.text() and dialog.preview.isEnabled()
