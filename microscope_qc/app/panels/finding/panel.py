"""The selected finding: class, confidence, size, state, note, history."""

from __future__ import annotations

from functools import partial
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QSize, Qt, QTimer
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QPushButton,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from microscope_qc.app.base import theme
from microscope_qc.app.base.refresh import Refresh
from microscope_qc.app.base.signals import link
from microscope_qc.app.panels.finding.attributes import AttributeRows
from microscope_qc.app.panels.finding.composition import CompositionCard
from microscope_qc.app.panels.finding.opinions import OpinionList
from microscope_qc.app.widgets.class_chip import chip_icon
from microscope_qc.app.widgets.gating import allow
from microscope_qc.app.widgets.parts import ScrolledColumn
from microscope_qc.core.boxes import REJECT_REASONS, ReviewState
from microscope_qc.core.wording import confidence_text, count_text, rounded_text, size_text, state_text, things
from microscope_qc.project.wording import finder_words
from microscope_qc.workflows.review.severity import severity_words

if TYPE_CHECKING:
    from microscope_qc.app.session.session import Session

NOTE_AFTER_MS = 900
"""A note is one command: it is saved when the user stops typing or goes on."""


class FindingDock(QWidget):
    """Describes the selection and changes it."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._note_ids = np.empty(0, np.int64)
        self._note_before = ""
        self._note_dirty = False
        self.classes = QComboBox()
        self.classes.setIconSize(QSize(14, 14))
        self.classes.setMinimumContentsLength(10)
        self.classes.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.classes.activated.connect(self._on_class_activated)
        self.confirm_button = self._button("Confirm", "check", self._on_confirm_clicked)
        self.reject_button = self._button("Reject", "close", None)
        self.unreview_button = self._button("", "backup-restore", self._on_unreview_clicked)
        for button in (self.confirm_button, self.reject_button):
            button.setStyleSheet("padding: 5px 4px;")
        self.unreview_button.setToolTip("Back to unreviewed  (U)")
        self.choose_button = self._button("", "star-outline", self._on_choose_clicked)
        self.choose_button.setCheckable(True)
        for button in (self.unreview_button, self.choose_button):
            button.setFixedWidth(34)
            button.setStyleSheet("padding: 5px 4px;")
        self.choose_button.setToolTip("Choose for the SEM  (S)")
        self._confidence, self._size, self._state = QLabel(), QLabel(), QLabel()
        self._place, self._found_by, self._severity = QLabel(), QLabel(), QLabel()
        for label in (self._confidence, self._size, self._state, self._place, self._found_by, self._severity):
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            label.setWordWrap(True)
        self.note = QPlainTextEdit()
        self.note.setPlaceholderText("Note")
        self.note.setTabChangesFocus(True)
        self.note.setFixedHeight(46)
        self.note.textChanged.connect(self._on_note_changed)
        self.opinions = OpinionList(session)
        self.composition = CompositionCard(session)
        self.attributes = AttributeRows(session)
        self._history = QLabel()
        self._history.setWordWrap(True)
        self._history.setTextFormat(Qt.TextFormat.RichText)
        self._history.setProperty("quiet", True)
        self._history.setAlignment(Qt.AlignmentFlag.AlignTop)
        self._empty = QLabel("Click a finding to see it here:\nits class, size, state and history.")
        self._empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._empty.setWordWrap(True)
        self._empty.setProperty("quiet", True)
        self._pages = QStackedWidget()
        self._pages.addWidget(self._empty)
        self._pages.addWidget(self._page())
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._pages)
        self._note_timer = QTimer(self)
        self._note_timer.setSingleShot(True)
        self._note_timer.setInterval(NOTE_AFTER_MS)
        self._note_timer.timeout.connect(self.keep_note)
        self._due = Refresh(self, self._refresh)
        self._due.before_use_of(self.classes, self.confirm_button, self.reject_button, self.unreview_button)
        self._due.before_use_of(self.choose_button)
        self._make_reject_menu()
        link(self, session.selection.changed, self._on_selection_changed)
        for signal in (session.boxes_changed, session.scoped.changed, session.history_changed, session.slides_changed,
                       session.runs_changed, session.measurements_changed, session.standards_changed):  # fmt: skip
            link(self, signal, self._due.soon)
        for signal in (session.classes_changed, session.project_changed):
            link(self, signal, self._on_classes_changed)
        self._on_classes_changed()

    def sizeHint(self) -> QSize:
        """Qt: wide enough for a class name."""
        return QSize(264, 340)

    def _button(self, text: str, icon_name: str, clicked: object) -> QPushButton:
        button = QPushButton(theme.icon(icon_name), text)
        button.setAutoDefault(False)
        if callable(clicked):
            button.clicked.connect(clicked)
        return button

    def _page(self) -> QWidget:
        form = QFormLayout()
        form.setHorizontalSpacing(2 * theme.STEP)
        form.setVerticalSpacing(theme.STEP // 2)
        form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft)
        for words, widget in (
            ("State", self._state),
            ("Size", self._size),
            ("Severity", self._severity),
            ("Confidence", self._confidence),
            ("Found by", self._found_by),
            ("Position", self._place),
        ):
            label = QLabel(words)
            label.setProperty("quiet", True)
            form.addRow(label, widget)
        judge = QHBoxLayout()
        judge.setSpacing(theme.STEP // 2)
        judge.addWidget(self.confirm_button, 1)
        judge.addWidget(self.reject_button, 1)
        judge.addWidget(self.unreview_button)
        judge.addWidget(self.choose_button)
        body = QWidget()
        column = QVBoxLayout(body)
        column.setContentsMargins(theme.STEP, theme.STEP, theme.STEP, theme.STEP)
        column.setSpacing(theme.STEP)
        column.addWidget(self.classes)
        column.addLayout(form)
        column.addLayout(judge)
        column.addWidget(self.opinions)
        column.addWidget(self.composition)
        column.addWidget(self.note)
        column.addWidget(self.attributes)
        column.addWidget(self._history)
        column.addStretch(1)
        return ScrolledColumn(body, self)

    def _make_reject_menu(self) -> None:
        from qtpy.QtWidgets import QMenu

        menu = QMenu(self)
        for letter, reason in REJECT_REASONS.items():
            menu.addAction(f"{reason}\tN, {letter.upper()}", partial(self._reject, reason))
        self.reject_button.setMenu(menu)

    # -- showing -----------------------------------------------------------------------------------------------------

    def _on_classes_changed(self) -> None:
        self.classes.clear()
        for item in self._session.classes:
            self.classes.addItem(chip_icon(item.colour), f"{item.code}  {item.name}", item.id)
        self._due.now()

    def _on_selection_changed(self) -> None:
        self.keep_note()
        if self.isVisible():
            self._show_fields(self._selected())  # what is typed next belongs to the finding that is now selected
        self._due.soon()

    def _selected(self) -> np.ndarray:
        ids = self._session.selection.ids
        return ids[self._session.has(ids)]

    def _show_fields(self, ids: np.ndarray) -> None:
        """Show what can be typed into."""
        self.note.setReadOnly(bool(self._session.why_not_write()))
        self._show_note(self._session.rows_of(ids))
        self.attributes.show_findings(ids)

    def _refresh(self) -> None:
        ids = self._selected()
        if len(ids) == 0:
            self._pages.setCurrentIndex(0)
            return
        self._pages.setCurrentIndex(1)
        rows = self._session.rows_of(ids)
        judging = (self.confirm_button, self.reject_button, self.unreview_button, self.choose_button)
        allow(self._session, self.classes, *judging)
        classes = set(rows["class_id"].tolist())
        self.classes.setCurrentIndex(self.classes.findData(next(iter(classes))) if len(classes) == 1 else -1)
        self.classes.setPlaceholderText(f"mixed: {len(classes)} classes")
        self.choose_button.setChecked(bool(rows["chosen"].all()))
        self.choose_button.setIcon(theme.icon("star" if rows["chosen"].all() else "star-outline"))
        if len(rows) == 1:
            self._show_one(rows[0])
        else:
            self._show_many(rows)
        self._show_fields(ids)

    def _show_one(self, row: np.void) -> None:
        size = self._session.pixel_size_of(int(row["id"]))
        y, x = float(row["y0"] + row["y1"]) / 2, float(row["x0"] + row["x1"]) / 2
        self._state.setText(state_text(row))
        self._size.setText(size_text(row, size))
        self._confidence.setText(confidence_text(float(row["confidence"])))
        place = f"{count_text(round(x))}, {count_text(round(y))} px"
        slide = self._session.slide_of(int(row["id"])) if self._session.scoped.several else None
        self._place.setText(place if slide is None else f"{slide.name}: {place}")
        project = self._session.project
        self._found_by.setText("" if project is None else finder_words(project, row) + self._version_words(row))
        self.opinions.show_finding(row)
        self.composition.show_finding(row)
        self._severity.setText(self._severity_words(int(row["id"])))
        self._history.setText(self._story(int(row["id"])))

    def _severity_words(self, box_id: int) -> str:
        """The severity of a finding and of what it is made."""
        project, slide = self._session.project, self._session.slide_of(box_id)
        return "" if project is None or slide is None else severity_words(project, slide.id, box_id)

    def _version_words(self, row: np.void) -> str:
        """Says of a finding that the file of its slide was another one when it was made."""
        from microscope_qc.workflows.intake.changes import last_earlier_finding

        project, slide = self._session.project, self._session.slide_of(int(row["id"]))
        if project is None or slide is None or int(row["id"]) > last_earlier_finding(project, slide):
            return ""
        return ", on an earlier version of the slide"

    def _show_many(self, rows: np.ndarray) -> None:
        states = [ReviewState(int(state)) for state in np.unique(rows["state"])]
        counted = [f"{count_text(int((rows['state'] == state).sum()))} {state.word}" for state in states]
        self._state.setText(("mixed: " if len(counted) > 1 else "") + ", ".join(counted))
        self._size.setText(self._sizes(rows))
        known = rows["confidence"][~np.isnan(rows["confidence"])]
        self._confidence.setText(
            f"{confidence_text(known.min())} to {confidence_text(known.max())}" if len(known) else "drawn"
        )
        self._severity.setText("–")
        self.opinions.show_finding(None)
        self.composition.show_finding(None)
        slides = len(np.unique(self._session.scoped.slides_of(rows["id"])))
        self._place.setText(f"on {things(slides, 'slide')}" if slides > 1 else "–")
        self._found_by.setText(", ".join(dict.fromkeys(self._finder(int(run)) for run in np.unique(rows["run_id"]))))
        self._history.setText(
            f"<b>{count_text(len(rows))} findings selected.</b> What you do here applies to all of them."
        )

    def _sizes(self, rows: np.ndarray) -> str:
        """From the smallest to the largest; "–" where they cannot be compared."""
        scoped = self._session.scoped
        size = scoped.pixel_sizes(rows["id"]) if scoped.table.has(rows["id"]).all() else self._session.pixel_size_um
        if size is not None and scoped.several and not scoped.all_sizes_known:
            return "–"
        unit = "px" if size is None else "µm"
        size = size or (1.0, 1.0)
        longest = np.maximum((rows["y1"] - rows["y0"]) * size[0], (rows["x1"] - rows["x0"]) * size[1])
        return f"{rounded_text(longest.min())} to {rounded_text(longest.max())} {unit}"

    def _finder(self, run_id: int) -> str:
        if run_id == 0:
            return "user"
        runs = self._session.project.runs if self._session.project is not None else []
        return next((run.title for run in runs if run.id == run_id), "model")

    def _story(self, box_id: int) -> str:
        project = self._session.project
        if project is None:
            return ""
        lines = [
            f"{escape(entry.time.replace('T', ' ')[:16])}&nbsp; {escape(entry.title)}"
            for entry in project.history.entries(200)
            if box_id in entry.box_ids and not entry.undone and entry.kind != "dropped"
        ]
        return "<br>".join(lines[:6])

    # -- the note ----------------------------------------------------------------------------------------------------

    def _show_note(self, rows: np.ndarray) -> None:
        notes = set(rows["note"].tolist())
        words = notes.pop() if len(notes) == 1 else ""
        self._note_ids, self._note_before = rows["id"].copy(), words
        self.note.setPlaceholderText("Note" if not notes else "mixed: what is typed replaces all of them")
        if self.note.toPlainText() != words and not self._note_dirty:
            self.note.blockSignals(True)
            self.note.setPlainText(words)
            self.note.blockSignals(False)

    def _on_note_changed(self) -> None:
        self._note_dirty = True
        self._note_timer.start()

    def keep_note(self) -> None:
        """Save a changed note to the findings it was typed for."""
        if not self._note_dirty:
            return
        self._note_dirty = False
        self._note_timer.stop()
        words = self.note.toPlainText().strip()
        ids = self._note_ids[self._session.has(self._note_ids)]
        if words != self._note_before and len(ids) and self._session.can_write:
            self._note_before = words
            self._session.judging.set_note(ids, words)

    # -- judging -----------------------------------------------------------------------------------------------------

    def _on_class_activated(self, place: int) -> None:
        self._session.judging.relabel(self._session.selection.ids, int(self.classes.itemData(place)))

    def _on_confirm_clicked(self) -> None:
        self._session.judging.confirm(self._session.selection.ids)

    def _on_unreview_clicked(self) -> None:
        self._session.judging.unreview(self._session.selection.ids)

    def _on_choose_clicked(self, chosen: bool) -> None:
        self._session.judging.choose(self._session.selection.ids, chosen)

    def _reject(self, reason: str) -> None:
        self._session.judging.reject(self._session.selection.ids, reason)
