"""Unit and height of the stage for stage positions that are written.

The unit belongs to the microscope and is remembered with the window. The height belongs to a mounted sample: it is
remembered with its slide, and never used for another one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QLineEdit, QWidget

from microscope_qc.app.base.signals import link
from microscope_qc.workflows.stage.options import UNITS, StageOptions

if TYPE_CHECKING:
    from microscope_qc.app.base.settings import AppSettings
    from microscope_qc.app.session.session import Session

HEIGHTS = "stage_z_mm"
"""Project setting: stage height in mm by slide id."""


def parse_mm(text: str) -> float | None:
    """Number as a user types it: point or comma, "" for nothing.

    Raises
    ------
    ValueError
        When it is not a finite number.
    """
    cleaned = "".join(text.split()).removesuffix("mm").replace(",", ".")
    if not cleaned:
        return None
    value = float(cleaned)
    if not math.isfinite(value):
        raise ValueError(f"{text} is not a position")
    return value


class StageChoice(QWidget):
    """The unit of coordinate tables and drive sheet, and the height for the formats that hold one."""

    def __init__(
        self, session: Session, settings: AppSettings, parent: QWidget | None = None, *, save: Callable[[], None]
    ) -> None:
        super().__init__(parent)
        self._session, self._settings, self._save = session, settings, save
        self._shown_for: tuple[str, int] | None = None  # project and slide of the height in the field
        self._unsaved: dict[tuple[str, int], float | None] = {}  # of projects that may only be read
        self.unit = QComboBox()
        for name, text in UNITS.items():
            self.unit.addItem(text, name)
        self.unit.setToolTip("Unit of the stage in coordinate tables and on the drive sheet; other formats have theirs")
        self.unit.currentIndexChanged.connect(self._on_unit_changed)
        self.height_mm = QLineEdit()
        self.height_mm.setPlaceholderText("none")
        self.height_mm.setMaximumWidth(90)
        self.height_mm.setToolTip("Stage height to write with every position of this slide; empty writes none")
        self.height_mm.editingFinished.connect(self.commit)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        for part in (QLabel("Stage in"), self.unit, 8, QLabel("at Z"), self.height_mm, QLabel("mm")):
            if isinstance(part, int):
                row.addSpacing(part)
            else:
                row.addWidget(part)
        row.addStretch(1)
        for signal in (session.stage_changed, session.slide_changed):
            link(self, signal, self.refresh)
        self.refresh()

    def options(self) -> StageOptions:
        """How positions of the slide on screen are written."""
        return StageOptions(
            order=self._settings.stage_order, unit=self._settings.stage_unit, stage_z_mm=self._stored_height()
        )

    def refresh(self, *_: object) -> None:
        """Show what is remembered."""
        self.unit.blockSignals(True)
        self.unit.setCurrentIndex(self.unit.findData(self._settings.stage_unit))
        self.unit.blockSignals(False)
        if self._shown_for != self._place() or not self.height_mm.isModified():  # else a user is typing
            self._show_height()

    def commit(self) -> bool:
        """Remember the height as it was typed; False, with a sentence for the user, when it is not a number."""
        place, project = self._place(), self._session.project
        if place is None or project is None or place != self._shown_for or not self.height_mm.isModified():
            return True
        text = self.height_mm.text()
        try:
            height = parse_mm(text)
        except ValueError:
            self._show_height()
            self._session.notice.emit(f"“{text}” is not a stage height in mm. Type a number such as 12.5, or nothing.")
            return False
        if self._session.can_write:
            heights = {**project.settings.get(HEIGHTS, {}), str(place[1]): height}
            project.settings.set(HEIGHTS, {key: value for key, value in heights.items() if value is not None})
        else:
            self._unsaved[place] = height
        self._show_height()
        self._session.stage_changed.emit()
        return True

    def _place(self) -> tuple[str, int] | None:
        project, slide = self._session.project, self._session.slide
        return None if project is None or slide is None else (str(project.path), slide.id)

    def _show_height(self) -> None:
        height = self._stored_height()
        self.height_mm.setText("" if height is None else f"{height:.10g}")
        self.height_mm.setModified(False)
        self._shown_for = self._place()

    def _stored_height(self) -> float | None:
        place, project = self._place(), self._session.project
        if place is None or project is None:
            return None
        if place in self._unsaved:
            return self._unsaved[place]
        found = project.settings.get(HEIGHTS, {}).get(str(place[1]))
        return None if found is None else float(found)

    def _on_unit_changed(self, _index: int) -> None:
        self._settings.stage_unit = self.unit.currentData()
        self._save()
        self._session.stage_changed.emit()
