"""Table of marks: their positions on the slide, and the SEM's stage positions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt
from qtpy.QtGui import QBrush, QColor

from microscope_qc.app.session.session import Session
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.numbers import exact_text, parse_number
from microscope_qc.core.wording import number_text
from microscope_qc.correlation.positions import position_in

if TYPE_CHECKING:
    from microscope_qc.correlation.registration import Registration
    from microscope_qc.project import Project
    from microscope_qc.project.records import Mark

COLUMNS = ("Mark", "X mm", "Y mm", "Off µm", "Left out µm", "x px", "y px")
NAME, STAGE_X, STAGE_Y, RESIDUAL, LEFT_OUT, X_PX, Y_PX = range(7)
TIPS = {
    NAME: "Ticked: the alignment is fitted to this mark. Not ticked: it is a check, which tells how far off the fit is",
    STAGE_X: "Stage X: read it from the SEM with the mark in the cross-hairs. X and Y can be typed here, too",
    STAGE_Y: "Stage Y: read it from the SEM with the mark in the cross-hairs",
    RESIDUAL: "Distance between the fitted and the measured position of the mark. Not the accuracy of the alignment.",
    LEFT_OUT: "Error of the alignment here when made without this mark. A large value indicates a wrong mark.",
}
SUSPICIOUS_UM = 10.0
NOWHERE = QModelIndex()


_DECIMALS = 6
"""Of a stage position in mm: no stage is moved by less than a nanometre."""


class MarksModel(QAbstractTableModel):
    """Marks of the slide on screen, with the residuals of an alignment that was made from exactly these marks."""

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._marks: list[Mark] = []
        self._fitted: dict[str, tuple[float, float]] = {}

    @property
    def marks(self) -> list[Mark]:
        """All marks, in the order they were placed."""
        return self._marks

    @property
    def complete(self) -> list[Mark]:
        """Marks whose stage position is known and that are no checks."""
        return [mark for mark in known_on_stage(self._marks) if not mark.is_check]

    @property
    def without_stage(self) -> int:
        """How many marks have no stage position yet."""
        return len(self._marks) - len(known_on_stage(self._marks))

    def show(self, marks: list[Mark], registration: Registration | None) -> None:
        """Show marks and their residuals."""
        self._fitted = {}
        if registration is not None:
            values = zip(registration.residuals_um.tolist(), registration.loo_um.tolist(), strict=True)
            self._fitted = dict(zip(registration.names, values, strict=True))
            self._fitted |= {check.name: (check.error_um, math.nan) for check in registration.checks}
        if [mark.id for mark in marks] == [mark.id for mark in self._marks]:
            self._marks = list(marks)
            if marks:
                self.dataChanged.emit(self.index(0, 0), self.index(len(marks) - 1, len(COLUMNS) - 1))
            return
        self.beginResetModel()
        self._marks = list(marks)
        self.endResetModel()

    def rowCount(self, parent: QModelIndex | QPersistentModelIndex = NOWHERE) -> int:
        """Qt: marks."""
        return 0 if parent.isValid() else len(self._marks)

    def columnCount(self, parent: QModelIndex | QPersistentModelIndex = NOWHERE) -> int:
        """Qt: columns."""
        return 0 if parent.isValid() else len(COLUMNS)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = int(Qt.ItemDataRole.DisplayRole)
    ) -> Any:
        """Qt: names of the columns, and what they mean."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == int(Qt.ItemDataRole.DisplayRole):
            return COLUMNS[section]
        return TIPS.get(section) if role == int(Qt.ItemDataRole.ToolTipRole) else None

    def flags(self, index: QModelIndex | QPersistentModelIndex) -> Qt.ItemFlag:
        """Qt: name and stage position can be typed."""
        flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        if index.column() in (NAME, STAGE_X, STAGE_Y) and self._session.can_write:
            flags |= Qt.ItemFlag.ItemIsEditable
        if index.column() == NAME and self._session.can_write:
            flags |= Qt.ItemFlag.ItemIsUserCheckable
        return flags

    def data(self, index: QModelIndex | QPersistentModelIndex, role: int = int(Qt.ItemDataRole.DisplayRole)) -> Any:
        """Qt: one cell."""
        if not index.isValid():
            return None
        mark, column = self._marks[index.row()], index.column()
        if role == int(Qt.ItemDataRole.CheckStateRole) and column == NAME:
            return Qt.CheckState.Unchecked if mark.is_check else Qt.CheckState.Checked
        if role in (int(Qt.ItemDataRole.DisplayRole), int(Qt.ItemDataRole.EditRole)):
            return self._text(mark, column, editing=role == int(Qt.ItemDataRole.EditRole))
        if role == int(Qt.ItemDataRole.TextAlignmentRole) and column != NAME:
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        missing = column in (STAGE_X, STAGE_Y) and self._text(mark, column, editing=True) == ""
        if role == int(Qt.ItemDataRole.ForegroundRole):
            if missing:
                return QBrush(QColor(140, 140, 140))
            if column in (RESIDUAL, LEFT_OUT) and self._number(mark, column) > SUSPICIOUS_UM:
                return QBrush(QColor("#D55E00"))
        return TIPS.get(column) if role == int(Qt.ItemDataRole.ToolTipRole) else None

    def _number(self, mark: Mark, column: int) -> float:
        pair = self._fitted.get(mark.name)
        return math.nan if pair is None else pair[0 if column == RESIDUAL else 1]

    def _text(self, mark: Mark, column: int, *, editing: bool) -> str:
        if column == NAME:
            return mark.name
        if column in (X_PX, Y_PX):
            value = mark.x_px if column == X_PX else mark.y_px
            return number_text(value)
        if column in (STAGE_X, STAGE_Y):
            stage = mark.stage_x_mm if column == STAGE_X else mark.stage_y_mm
            if stage is None:
                return "" if editing else "enter it"
            if editing:
                return exact_text(stage)
            return max(f"{stage:.4f}", exact_text(round(stage, _DECIMALS)), key=len)
        value = self._number(mark, column)
        return number_text(value, 1)

    def setData(
        self, index: QModelIndex | QPersistentModelIndex, value: Any, role: int = int(Qt.ItemDataRole.EditRole)
    ) -> bool:
        """Qt: take what the user typed."""
        project = self._session.project
        if index.isValid() and project is not None and role == int(Qt.ItemDataRole.CheckStateRole):
            return self._set_check(project, self._marks[index.row()], Qt.CheckState(value) != Qt.CheckState.Checked)
        if role != int(Qt.ItemDataRole.EditRole) or not index.isValid() or project is None:
            return False
        mark, column = self._marks[index.row()], index.column()
        text = str(value)
        if text == self._text(mark, column, editing=True):
            return False
        try:
            if column == NAME:
                project.marks.edit(mark.id, name=text.strip())
            elif (both := _both(text)) is not None:
                project.marks.edit(mark.id, stage_x_mm=both[0], stage_y_mm=both[1])
            else:
                stage_mm = parse_number(text, unit="mm", what="A stage position") if text.strip() else None
                place: dict[str, Any] = {"stage_x_mm" if column == STAGE_X else "stage_y_mm": stage_mm}
                project.marks.edit(mark.id, **place)
        except MicroscopeQCError as error:
            where = "" if column == NAME else f"Stage position of {mark.name}: "
            self._session.notice.emit(f"{where}{error}")
            return False
        return True

    def _set_check(self, project: Project, mark: Mark, is_check: bool) -> bool:
        title = f"{'Keep mark' if is_check else 'Take mark'} {mark.name} {'out of' if is_check else 'into'} the fit"
        try:
            project.marks.edit(mark.id, title=title, is_check=is_check)
        except MicroscopeQCError as error:
            self._session.notice.emit(str(error))
            return False
        return True


def known_on_stage(marks: list[Mark]) -> list[Mark]:
    """Marks whose stage position is known."""
    return [mark for mark in marks if mark.stage_x_mm is not None and mark.stage_y_mm is not None]


def _both(text: str) -> tuple[float, float] | None:
    """Both axes where a user typed or pasted both."""
    try:
        return position_in(text)
    except MicroscopeQCError:
        return None


def places_of(marks: list[Mark]) -> tuple[np.ndarray, np.ndarray]:
    """Places on the slide (n, 2) y, x in px and on the stage (n, 2) x, y in mm."""
    px = np.array([[mark.y_px, mark.x_px] for mark in marks], float)
    mm = np.array([[mark.stage_x_mm, mark.stage_y_mm] for mark in marks], float)
    return px, mm


def made_from(registration: Registration, marks: list[Mark]) -> bool:
    """Whether an alignment was made from exactly these marks, and checked by those that are checks."""
    complete = [mark for mark in known_on_stage(marks) if not mark.is_check]
    if len(complete) != registration.n:
        return False
    checks = [
        (mark.name, mark.y_px, mark.x_px, mark.stage_x_mm, mark.stage_y_mm)
        for mark in known_on_stage(marks)
        if mark.is_check
    ]
    px, mm = places_of(complete)
    return (
        checks == [(c.name, c.y_px, c.x_px, c.stage_x_mm, c.stage_y_mm) for c in registration.checks]
        and tuple(mark.name for mark in complete) == tuple(registration.names)
        and np.allclose(px, registration.marks_px)
        and np.allclose(mm, registration.stage_mm, rtol=0, atol=1e-9)
    )
