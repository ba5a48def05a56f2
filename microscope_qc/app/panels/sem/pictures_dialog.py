"""Pictures that the SEM took of marks: which mark each one shows is asked where its name does not say it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QLabel,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from microscope_qc.app.base import theme
from microscope_qc.app.widgets.parts import note
from microscope_qc.core.wording import metric_text
from microscope_qc.workflows.stage.sem_pictures import CENTRED, SemPictures

if TYPE_CHECKING:
    from microscope_qc.project.records import Mark

COLUMNS = ("Picture", "Mark", "Stage X mm", "Stage Y mm", "Width", "Remark")
MARK = COLUMNS.index("Mark")
NO_MARK = "–"


class PicturesDialog(QDialog):
    """Shows what pictures say; :attr:`positions` are those of the marks that were chosen."""

    def __init__(self, found: SemPictures, marks: Sequence[Mark], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("semPictures")
        self.setWindowTitle("Stage positions from SEM pictures")
        self._found, self._marks = found, marks
        self.table, self.words = QTableWidget(len(found.pictures), len(COLUMNS)), QLabel()
        self.choices: list[QComboBox] = []
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.take = self.buttons.addButton("Take the positions", QDialogButtonBox.ButtonRole.AcceptRole)
        self._fill()
        column = QVBoxLayout(self)
        column.setContentsMargins(2 * theme.STEP, 2 * theme.STEP, 2 * theme.STEP, 2 * theme.STEP)
        column.addWidget(note(f"{CENTRED} Nothing has been written yet; it is one undo step."))
        column.addWidget(self.table, 1)
        column.addWidget(self.words)
        column.addWidget(self.buttons)
        self.resize(820, 320)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        self._allow()

    def _fill(self) -> None:
        self.table.setHorizontalHeaderLabels(list(COLUMNS))
        self.table.verticalHeader().hide()
        self.table.horizontalHeader().setStretchLastSection(True)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        for row, picture in enumerate(self._found.pictures):
            x, y = picture.stage_mm
            width = "–" if picture.field_um is None else metric_text(picture.field_um[0])
            cells = (picture.path.name, "", f"{x:.4f}", f"{y:.4f}", width, " ".join([picture.source, *picture.notes]))
            for place, text in enumerate(cells):
                self.table.setItem(row, place, QTableWidgetItem(text))
            choice = QComboBox()
            choice.setAccessibleName(f"Mark of {picture.path.name}")
            choice.addItem(NO_MARK, None)
            for mark in self._marks:
                choice.addItem(mark.name, mark.id)
            choice.setCurrentIndex(max(choice.findData(picture.mark), 0))
            choice.currentIndexChanged.connect(lambda _place: self._allow())
            self.choices.append(choice)
            self.table.setCellWidget(row, MARK, choice)
        self.table.resizeColumnsToContents()
        self.words.setWordWrap(True)

    @property
    def positions(self) -> dict[int, tuple[float, float]]:
        """Stage positions in mm by mark."""
        chosen = zip(self.choices, self._found.pictures, strict=True)
        return {c.currentData(): picture.stage_mm for c, picture in chosen if c.currentData() is not None}

    def _allow(self) -> None:
        chosen = [choice.currentData() for choice in self.choices if choice.currentData() is not None]
        twice = len(set(chosen)) < len(chosen)
        problems = [*self._found.problems, *(["Two pictures show the same mark: choose another one."] * twice)]
        theme.mark_error(self.words, bool(problems))
        self.words.setText("\n".join(problems))
        self.words.setVisible(bool(problems))
        self.take.setEnabled(bool(chosen) and not twice)
