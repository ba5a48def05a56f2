"""Table of the travel list: chosen findings with their stage positions, in the order to visit them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt
from qtpy.QtGui import QBrush, QColor, QIcon

from microscope_qc.app.session.session import Session
from microscope_qc.app.widgets.class_chip import colour_icon
from microscope_qc.core.wording import rounded_text

if TYPE_CHECKING:
    from microscope_qc.correlation.registration import Registration
    from microscope_qc.correlation.targets import Target

COLUMNS = ("", "Finding", "X mm", "Y mm", "± µm", "Field µm", "Marks")
NUMBER, FINDING, STAGE_X, STAGE_Y, RADIUS, FIELD, MARKS = range(7)
TIPS = {
    RADIUS: "Expected error (95 %): the finding is within this distance of the stage position; "
    "? where the marks are too few to estimate it",
    FIELD: "Width of the field of view at the SEM that shows the whole finding (95 %)",
    MARKS: "Whether the finding is outside the marks, where the error grows quickly",
}
NOWHERE = QModelIndex()
TEXT, ICON, ALIGNMENT, INK, TIP = ROLES = (
    int(Qt.ItemDataRole.DisplayRole),
    int(Qt.ItemDataRole.DecorationRole),
    int(Qt.ItemDataRole.TextAlignmentRole),
    int(Qt.ItemDataRole.ForegroundRole),
    int(Qt.ItemDataRole.ToolTipRole),
)
RIGHT = int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)


class TravelModel(QAbstractTableModel):
    """One line per place to drive to."""

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._rows = session.table.rows[:0].copy()
        self._targets: tuple[Target, ...] = ()
        self._icons: dict[str, QIcon] = {}

    @property
    def rows(self) -> np.ndarray:
        """Box rows in the order to visit."""
        return self._rows

    @property
    def targets(self) -> tuple[Target, ...]:
        """Stage positions in the same order; empty without an alignment."""
        return self._targets

    def show(self, rows: np.ndarray, registration: Registration | None) -> None:
        """Show places in this order."""
        from microscope_qc.correlation.targets import make_targets

        self.beginResetModel()
        self._rows = rows.copy()
        self._targets = make_targets(rows, self._session.classes, registration) if registration is not None else ()
        self.endResetModel()

    def rowCount(self, parent: QModelIndex | QPersistentModelIndex = NOWHERE) -> int:
        """Qt: places."""
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: QModelIndex | QPersistentModelIndex = NOWHERE) -> int:
        """Qt: columns."""
        return 0 if parent.isValid() else len(COLUMNS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = TEXT) -> Any:
        """Qt: names of the columns."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == TEXT:
            return COLUMNS[section]
        return TIPS.get(section) if role == TIP else None

    def data(self, index: QModelIndex | QPersistentModelIndex, role: int = TEXT) -> Any:
        """Qt: one cell."""
        if role not in ROLES or not index.isValid():  # most of what Qt asks for each cell is not there
            return None
        column = index.column()
        if role == ALIGNMENT:
            return None if column == FINDING else RIGHT
        row, target = self._rows[index.row()], self._targets[index.row()] if self._targets else None
        found = self._session.class_of(int(row["class_id"]))
        if role == TEXT:
            return self._text(index.row(), column, f"{found.code} {int(row['id'])}", target)
        if role == ICON and column == FINDING:
            if found.colour not in self._icons:
                self._icons[found.colour] = colour_icon(found.colour)
            return self._icons[found.colour]
        if role == INK and column in (RADIUS, MARKS) and target is not None:
            return QBrush(QColor("#D55E00")) if target.outside_marks else None
        if role == TIP:
            outside = "\nOutside the marks: the error grows quickly there." if target and target.outside_marks else ""
            return f"{found.code} {found.name}{outside}"
        return None

    @staticmethod
    def _text(place: int, column: int, finding: str, target: Target | None) -> str:
        if column == NUMBER:
            return str(place + 1)
        if column == FINDING:
            return finding
        if target is None:
            return "–"
        if column == STAGE_X:
            return f"{target.stage_x_mm:.4f}"
        if column == STAGE_Y:
            return f"{target.stage_y_mm:.4f}"
        if column == MARKS:
            return "outside" if target.outside_marks else ""
        if column == FIELD:
            return "?" if target.field_um is None else rounded_text(target.field_um)
        return "?" if target.r95_um is None else rounded_text(target.r95_um)


def severity_of(session: Session, ids: np.ndarray, order: str) -> np.ndarray | None:
    """Severity of findings of the slide on screen, where they are visited by it."""
    from microscope_qc.workflows.review.severity import slide_severities

    project, slide = session.project, session.slide
    if project is None or slide is None or order != "severity":
        return None
    return slide_severities(project, slide.id, ids)[1].total
