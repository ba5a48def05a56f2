"""Unit and height of the stage for stage positions that are written.

The unit belongs to the microscope and is remembered with the window. The height belongs to a mounted sample: it is
remembered with its slide, and never used for another one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QWidget

from microscope_qc.app.base.number_entry import NumberEntry
from microscope_qc.app.base.signals import link
from microscope_qc.core.numbers import Quantity
from microscope_qc.workflows.stage.options import UNITS, StageOptions

if TYPE_CHECKING:
    from microscope_qc.app.base.settings import AppSettings
    from microscope_qc.app.session.session import Session

HEIGHTS = "stage_z_mm"
"""Project setting: stage height in mm by slide id."""


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
        self.height_mm = NumberEntry(Quantity("The stage height", "mm"), empty="none", step=0.1)
        self.height_mm.setButtonSymbols(NumberEntry.ButtonSymbols.NoButtons)
        self.height_mm.setMaximumWidth(110)
        self.height_mm.setToolTip("Stage height to write with every position of this slide; empty writes none")
        self.height_mm.valueChanged.connect(self._on_height_changed)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        for part in (QLabel("Stage in"), self.unit, 8, QLabel("at Z"), self.height_mm):
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
        self._show_height()

    def commit(self) -> bool:
        """Remember the height as it was typed; False, with a sentence for the user, when it is not a number."""
        if self._place() != self._shown_for or self.height_mm.commit():
            return True
        self._session.notice.emit(f"Stage height: {self.height_mm.problem()}")
        return False

    def _on_height_changed(self, height: float | None) -> None:
        place, project = self._place(), self._session.project
        if place is None or project is None or place != self._shown_for:
            return
        if self._session.can_write:
            heights = {**project.settings.get(HEIGHTS, {}), str(place[1]): height}
            project.settings.set(HEIGHTS, {key: value for key, value in heights.items() if value is not None})
        else:
            self._unsaved[place] = height
        self._session.stage_changed.emit()

    def _place(self) -> tuple[str, int] | None:
        project, slide = self._session.project, self._session.slide
        return None if project is None or slide is None else (str(project.path), slide.id)

    def _show_height(self) -> None:
        if self._shown_for != self._place():
            self.height_mm.forget_typed()  # it was meant for another slide
            self._shown_for = self._place()
        with QSignalBlocker(self.height_mm):
            self.height_mm.setValue(self._stored_height())

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
