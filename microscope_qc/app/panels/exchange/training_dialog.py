"""Training pictures: layout, classes and format; with counts before anything is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QSignalBlocker, QSize, Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from microscope_qc.app.base import theme
from microscope_qc.app.base.number_entry import NumberEntry
from microscope_qc.app.base.signals import link
from microscope_qc.app.widgets.class_chip import chip_icon
from microscope_qc.app.widgets.scope_switch import ScopeSwitch
from microscope_qc.core.numbers import Quantity
from microscope_qc.core.wording import count_text, things
from microscope_qc.workflows.left_out import left_out_lines

if TYPE_CHECKING:
    from microscope_qc.app.base.jobs import JobRunner
    from microscope_qc.app.session.session import Session
    from microscope_qc.workflows.learning.dataset import DatasetSummary

AROUND, TILES = "around", "tiles"

AskFolder = Callable[[QWidget, Path], str]
"""Asks for the parent of the new folder; "" for none."""


def ask_folder_dialog(parent: QWidget, offered: Path) -> str:
    """Ask with the system's dialog."""
    return QFileDialog.getExistingDirectory(parent, "Folder for the training pictures", str(offered))


class TrainingDialog(QDialog):
    """Cuts pictures of the slides of the scope in the background; the dialog closes when it starts."""

    def __init__(
        self, session: Session, jobs: JobRunner, parent: QWidget | None = None, *, ask_folder: AskFolder | None = None
    ) -> None:
        super().__init__(parent)
        self.setObjectName("trainingDialog")
        self.setWindowTitle("Cut training pictures")
        self._session, self._jobs = session, jobs
        self._ask_folder = ask_folder or ask_folder_dialog
        self._project = session.project
        self._counts: dict[int, int] = {}
        self.scope = ScopeSwitch(session)
        self.layout_choice, self.format = QComboBox(), QComboBox()
        self.tile = NumberEntry(Quantity("The side of a picture", "px", 32, 8192, whole=True), 512, step=64)
        self.overlap = NumberEntry(Quantity("The overlap", "px", 0, 511, whole=True), 0, step=16)
        self.visible = NumberEntry(Quantity("The visible part", "%", 0, 100), 30, step=5)
        self.background = NumberEntry(Quantity("The background", "%", 0, 90), 25, step=5)
        self.pad = QCheckBox("Pad tiles at the edge of the slide with black")
        self.classes = QListWidget()
        self.folder = QLineEdit()
        self.browse = QPushButton("Folder…")
        self.words = QLabel()
        self.words.setWordWrap(True)
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.cut = self.buttons.addButton("Cut pictures", QDialogButtonBox.ButtonRole.AcceptRole)
        self._fill()
        self._lay_out()
        link(self, session.scope.changed, self._on_scope_changed)
        self.layout_choice.currentIndexChanged.connect(lambda _place: self._refresh())
        for number in self._numbers:
            number.setFixedWidth(104)
            number.typed.connect(self._refresh)
        self.classes.itemChanged.connect(lambda _item: self._refresh())
        self.folder.textChanged.connect(lambda _text: self._refresh())
        self.browse.clicked.connect(self._on_browse_clicked)
        self.buttons.accepted.connect(self._on_accepted)
        self.buttons.rejected.connect(self.reject)
        self._refresh()

    @property
    def _numbers(self) -> tuple[NumberEntry, ...]:
        return self.tile, self.overlap, self.visible, self.background

    def _count(self) -> dict[int, int]:
        """Findings confirmed or drawn by a user, by class, on the slides of the scope."""
        from microscope_qc.workflows.learning.dataset import trusted

        if self._project is None:
            return {}
        parts = [self._project.boxes.rows(number, every=True) for number in self._session.scope.slide_ids]
        found = np.concatenate([trusted(rows)["class_id"] for rows in parts] or [np.zeros(0, np.int32)])
        numbers, counts = np.unique(found, return_counts=True)
        return dict(zip(numbers.tolist(), counts.tolist(), strict=True))

    def _fill(self) -> None:
        from microscope_qc.exchange.registry import FORMATS

        self.layout_choice.addItem("One around each finding", AROUND)
        self.layout_choice.addItem("The slide in equal tiles", TILES)
        for known in FORMATS.values():
            self.format.addItem(known.title, known.name)
        self.classes.setIconSize(QSize(14, 14))
        self.classes.setFixedHeight(156)
        if self._project is not None:
            self.folder.setText(str(_free(self._project.path.parent / f"{self._project.name}-training")))
        self._on_scope_changed()

    def _on_scope_changed(self) -> None:
        """Count again and list the classes that occur."""
        self._counts = self._count()
        with QSignalBlocker(self.classes):
            self.classes.clear()
            self._list_classes()
        self._refresh()

    def _list_classes(self) -> None:
        for item in self._session.classes:
            count = self._counts.get(item.id, 0)
            row = QListWidgetItem(chip_icon(item.colour), f"{item.code}  {item.name}   {count_text(count)}")
            row.setData(Qt.ItemDataRole.UserRole, item.code)
            row.setFlags((row.flags() | Qt.ItemFlag.ItemIsUserCheckable) & ~Qt.ItemFlag.ItemIsSelectable)
            row.setCheckState(Qt.CheckState.Checked if count else Qt.CheckState.Unchecked)
            if not count:
                row.setFlags(row.flags() & ~Qt.ItemFlag.ItemIsEnabled)
                row.setToolTip("No finding of this class is confirmed or drawn.")
            self.classes.addItem(row)

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.setHorizontalSpacing(2 * theme.STEP)
        form.setVerticalSpacing(theme.STEP)
        place = QHBoxLayout()
        place.setSpacing(theme.STEP)
        place.addWidget(self.folder, 1)
        place.addWidget(self.browse)
        self.browse.setAutoDefault(False)
        for box in (self.layout_choice, self.format):
            box.setFixedWidth(240)
        if self._project is not None and len(self._project.slides) > 1:
            form.addRow("Slides", self.scope)
        form.addRow("Pictures", self.layout_choice)
        form.addRow("Side", self.tile)
        form.addRow("Overlap", self.overlap)
        form.addRow("", self.pad)
        form.addRow("Minimum visible", _with(self.visible, "of a box, else it is not annotated"))
        form.addRow("Background", _with(self.background, "of the pictures show no finding"))
        form.addRow("Classes", self.classes)
        form.addRow("Format", self.format)
        form.addRow("New folder", place)
        column = QVBoxLayout(self)
        column.setContentsMargins(2 * theme.STEP, 2 * theme.STEP, 2 * theme.STEP, 2 * theme.STEP)
        column.setSpacing(2 * theme.STEP)
        column.addLayout(form)
        column.addWidget(self.words)
        column.addStretch(1)
        column.addWidget(self.buttons)
        self.setMinimumWidth(520)

    def chosen_classes(self) -> list[str]:
        """Codes of the classes that are checked."""
        rows = [self.classes.item(place) for place in range(self.classes.count())]
        return [
            str(row.data(Qt.ItemDataRole.UserRole))
            for row in rows
            if row is not None and row.checkState() == Qt.CheckState.Checked
        ]

    def _refresh(self) -> None:
        tiles = self.layout_choice.currentData() == TILES
        self.overlap.setRange(0, self.tile.value() - 1)
        for widget in (self.overlap, self.pad):
            widget.setEnabled(tiles)
            widget.setToolTip("" if tiles else "For pictures in equal tiles")
        codes = set(self.chosen_classes())
        count = sum(self._counts.get(item.id, 0) for item in self._session.classes if item.code in codes)
        reason = self._why_not(count)
        self.cut.setEnabled(not reason)
        self.words.setText(
            reason or f"{things(count, 'finding')} that a user confirmed or drew, on {self._session.scope.words}."
        )

    def _why_not(self, count: int) -> str:
        if not self._counts:
            where = "" if self._session.scope.kind == "all" else f" on {self._session.scope.words}"
            return f"Nothing is confirmed or drawn yet{where}: confirm some findings in the gallery first."
        if not count:
            return "Check at least one class."
        wrong = next((number.problem() for number in self._numbers if number.isEnabled() and number.problem()), "")
        if wrong:
            return wrong
        folder = Path(self.folder.text().strip())
        if not self.folder.text().strip() or not folder.parent.is_dir():
            return "Choose a folder that can be created."
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            return f"{folder.name} already exists and is not empty: choose a new name."
        return ""

    def _on_browse_clicked(self) -> None:
        here = Path(self.folder.text().strip() or ".")
        chosen = self._ask_folder(self, here.parent)
        if chosen:
            self.folder.setText(str(_free(Path(chosen) / here.name)))

    def _on_accepted(self) -> None:
        from microscope_qc.workflows.learning.dataset import make_dataset

        if self._project is None:
            return
        out, tiles = Path(self.folder.text().strip()), self.layout_choice.currentData() == TILES
        codes = self.chosen_classes()
        every = len(codes) == sum(1 for item in self._session.classes if self._counts.get(item.id))
        job = make_dataset(
            [self._project.path],
            out,
            tile_px=int(self.tile.value()),
            background=self.background.value() / 100,
            layout=str(self.layout_choice.currentData()),
            overlap_px=int(self.overlap.value()) if tiles else 0,
            pad=tiles and self.pad.isChecked(),
            visible=self.visible.value() / 100,
            format=str(self.format.currentData()),
            classes=None if every else codes,
            slide_ids=self._session.scope.slide_ids,
        )
        session = self._session
        self._jobs.run(
            job,
            f"Cutting pictures into {out.name}",
            on_done=lambda summary: session.notice.emit(_said(summary)),
        )
        self.accept()


def _said(summary: DatasetSummary) -> str:
    words = (
        f"{things(summary.pictures, 'picture')} with {things(summary.boxes, 'box', 'boxes')} in {summary.folder.name}."
    )
    if summary.left_out:
        words += " Left out: " + " ".join(left_out_lines(summary.left_out))
    if summary.unreviewed:
        verb = "holds" if summary.unreviewed == 1 else "hold"
        words += f" {count_text(summary.unreviewed)} {verb} findings that have not been judged."
    return words


def _with(number: NumberEntry, words: str) -> QHBoxLayout:
    row = QHBoxLayout()
    row.setSpacing(theme.STEP)
    label = QLabel(words)
    label.setProperty("quiet", True)
    row.addWidget(number)
    row.addWidget(label, 1)
    return row


def _free(folder: Path) -> Path:
    """The folder, with a number if it already exists."""
    candidate, number = folder, 2
    while candidate.exists():
        candidate, number = folder.with_name(f"{folder.name}-{number}"), number + 1
    return candidate
