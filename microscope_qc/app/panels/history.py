"""The history, newest first: who changed what and when, and the values before and after."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING

from qtpy.QtCore import QModelIndex, QPersistentModelIndex, QRect, QSize, Qt, Signal
from qtpy.QtGui import QColor, QPainter
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QSplitter,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTextBrowser,
    QVBoxLayout,
    QWidget,
)

from microscope_qc.app.base import theme
from microscope_qc.app.base.refresh import Refresh
from microscope_qc.app.base.signals import link
from microscope_qc.app.panels.spec import PanelSpec
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.wording import count_text, significant_text, things

if TYPE_CHECKING:
    from microscope_qc.app.context import Context
    from microscope_qc.app.session.session import Session
    from microscope_qc.project.records import Change, LogEntry

SHOWN = 300
REFRESH_MS = 60
DETAILS = 30
ENTRY = Qt.ItemDataRole.UserRole
UNDO_WORDS = {"dropped": "undone, then replaced", "kept": "can no longer be undone", "run": "detection"}

FIELD_WORDS = {
    "y0": "top", "y1": "bottom", "x0": "left", "x1": "right", "key": "key", "box_size_um": "box size in µm",
    "example_box": "example", "chosen": "for the SEM", "run_id": "detection", "data": "values",
}  # fmt: skip

Index = QModelIndex | QPersistentModelIndex


class HistoryDock(QWidget):
    """The undo list and the record of all changes. ``export_requested`` asks for it as a table."""

    export_requested = Signal()

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.items = QListWidget()
        self.items.setUniformItemSizes(True)
        self.items.setItemDelegate(_TwoLines(self.items))
        self.items.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.details = QTextBrowser()
        self.details.setOpenLinks(False)
        self.details.setFrameShape(QTextBrowser.Shape.NoFrame)
        self._undo = self._button("Undo", "undo")
        self._redo = self._button("Redo", "redo")
        self.export = self._button("CSV…", "file-delimited-outline")
        self.export.setToolTip("The whole history as a table: who, when, what, before, after")
        self._undo.clicked.connect(session.undoing.undo)
        self._redo.clicked.connect(session.undoing.redo)
        self.export.clicked.connect(self.export_requested)
        row = QHBoxLayout()
        row.setContentsMargins(theme.STEP, 0, theme.STEP, theme.STEP)
        row.setSpacing(theme.STEP // 2)
        row.addWidget(self._undo)
        row.addWidget(self._redo)
        row.addStretch(1)
        row.addWidget(self.export)
        self.hint = QLabel()
        self.hint.setProperty("quiet", True)
        self.hint.setWordWrap(True)
        self.hint.setContentsMargins(theme.STEP, 0, theme.STEP, 0)
        parts = QSplitter(Qt.Orientation.Vertical)
        parts.addWidget(self.items)
        parts.addWidget(self.details)
        parts.setStretchFactor(0, 3)
        parts.setStretchFactor(1, 2)
        parts.setChildrenCollapsible(False)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.STEP)
        column.addWidget(parts, 1)
        column.addWidget(self.hint)
        column.addLayout(row)
        self.items.itemDoubleClicked.connect(self._on_item_double_clicked)
        self.items.currentItemChanged.connect(lambda *_: self._show_details())
        self._generation = 0
        self._entries: list[LogEntry] = []
        self._detailed: LogEntry | None = None
        self._due = Refresh(self, self._fill, after_ms=REFRESH_MS)
        for signal in (session.history_changed, session.project_changed):
            link(self, signal, self._due.soon)
        link(self, theme.SWITCH.switched, self._on_theme_switched)
        self._due.now()

    def _button(self, text: str, icon: str) -> QPushButton:
        button = QPushButton(theme.icon(icon), text)
        button.setAutoDefault(False)
        button.setStyleSheet("padding: 5px 8px;")
        return button

    def sizeHint(self) -> QSize:
        """Qt: room for eight steps and their details."""
        return QSize(276, 420)

    def _fill(self) -> None:
        project = self._session.project
        free = not self._session.why_not_write()
        self._undo.setEnabled(bool(project is not None and project.history.can_undo and free))
        self._redo.setEnabled(bool(project is not None and project.history.can_redo and free))
        self.export.setEnabled(project is not None)
        if project is not None:
            steps = project.history
            self._undo.setToolTip(f"Undo: {steps.undo_title}" if steps.can_undo else "Nothing to undo.")
            self._redo.setToolTip(f"Redo: {steps.redo_title}" if steps.can_redo else "Nothing to redo.")
        self._list([] if project is None else project.history.entries(SHOWN))
        self.hint.setText(
            "Double-click a step to show its findings."
            if self._entries
            else "Every change is listed here: who made it, when, and what was there before."
        )
        self._show_details()

    def _list(self, entries: list[LogEntry]) -> None:
        """List entries, reusing rows: after an edit there is one more at the top, after undo one has changed."""
        kept = self._entry() if self.items.currentRow() > 0 else None  # at the top the newest stays selected
        self.items.blockSignals(True)
        known = {entry.id: place for place, entry in enumerate(self._entries)}
        new = next((place for place, entry in enumerate(entries) if entry.id in known), len(entries))
        same = new < len(entries) and known[entries[new].id] == 0
        if not same:
            self.items.clear()
            self._entries, new = [], len(entries)
        for entry in reversed(entries[:new]):
            self.items.insertItem(0, QListWidgetItem())
            self._entries.insert(0, entry)
            self._say(0)
        while len(self._entries) > len(entries):
            self.items.takeItem(self.items.count() - 1)
            self._entries.pop()
        for place in range(new, len(entries)):
            if entries[place] is not self._entries[place]:
                self._entries[place] = entries[place]
                self._say(place)
        wanted = next((place for place, entry in enumerate(entries) if kept is not None and entry.id == kept.id), 0)
        self.items.setCurrentRow(wanted if entries else -1)
        self.items.blockSignals(False)

    def _say(self, place: int) -> None:
        item, entry = self.items.item(place), self._entries[place]
        assert item is not None
        item.setText(entry.title)
        item.setData(ENTRY, entry)
        item.setToolTip(f"{entry.title}\n{second_line(entry)}")

    def _on_theme_switched(self) -> None:
        self._detailed = None  # its colours are part of the text
        self._show_details()

    def _entry(self) -> LogEntry | None:
        item = self.items.currentItem()
        entry: LogEntry | None = None if item is None else item.data(ENTRY)
        return entry

    def _show_details(self) -> None:
        entry, project = self._entry(), self._session.project
        if entry is not None and entry is self._detailed:
            return
        self._generation += 1
        self._detailed = entry
        if entry is None or project is None:
            self.details.setHtml("")
            return
        generation, jobs = self._generation, self._session.jobs
        # unpacking a step of 100,000 boxes takes a while
        if jobs is not None and entry.box_count > 2000:
            self.details.setHtml("…")
            jobs.call(
                lambda: project.history.changes_of(entry, limit=DETAILS + 1),
                on_done=lambda changes: self._on_changes_read(generation, entry, changes),
                on_failed=lambda error: self._on_changes_failed(generation, error),
            )
            return
        try:
            self._on_changes_read(generation, entry, project.history.changes_of(entry, limit=DETAILS + 1))
        except MicroscopeQCError as error:
            self._on_changes_failed(generation, error)

    def _on_changes_read(self, generation: int, entry: LogEntry, changes: list[Change]) -> None:
        if generation == self._generation:
            codes = {item.id: item.code for item in self._session.classes}
            self.details.setHtml(story(entry, changes, codes))

    def _on_changes_failed(self, generation: int, error: BaseException) -> None:
        if generation == self._generation:
            self.details.setHtml(f"<p>{escape(str(error))}</p>")

    def _on_item_double_clicked(self, item: QListWidgetItem) -> None:
        entry: LogEntry = item.data(ENTRY)
        if entry.box_ids:
            self._session.navigation.show_boxes(entry.box_ids)


class _TwoLines(QStyledItemDelegate):
    """What was done, and below it, less prominent, when and by whom."""

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        """Qt: all rows have one size."""
        return QSize(120, 2 * option.fontMetrics.height() + 10)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Qt: draw a row."""
        entry: LogEntry = index.data(ENTRY)
        colours = theme.current()
        painter.save()
        if option.state & QStyle.StateFlag.State_Selected:
            painter.fillRect(option.rect, QColor(colours.selected))
        gone = entry.undone or entry.kind == "dropped"
        font = option.font
        font.setStrikeOut(gone)
        painter.setFont(font)
        painter.setPen(QColor(colours.quiet if gone else colours.text))
        line = option.fontMetrics.height()
        room = option.rect.adjusted(theme.STEP, 4, -theme.STEP, 0)
        for place, words in enumerate((entry.title, second_line(entry))):
            if place:
                font.setStrikeOut(False)
                painter.setFont(font)
                painter.setPen(QColor(colours.quiet))
            area = QRect(room.left(), room.top() + place * line, room.width(), line)
            painter.drawText(
                area,
                int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter),
                option.fontMetrics.elidedText(words, Qt.TextElideMode.ElideRight, area.width()),
            )
        painter.restore()


def second_line(entry: LogEntry) -> str:
    """``2026-11-20 21:04 · anna · 3 findings``, and whether it was undone."""
    words = [clock(entry.time), entry.user]
    if entry.box_count:
        words.append(things(entry.box_count, "finding"))
    state = "undone" if entry.undone else UNDO_WORDS.get(entry.kind, "")
    return " · ".join([*words, state] if state else words)


def story(entry: LogEntry, changes: list[Change], codes: Mapping[int, str]) -> str:
    """What a step changed, as rich text: a line for each row, each field with its value before and after.

    ``codes`` are the class codes by id.
    """
    colours = theme.current()
    when = f"<span style='color:{colours.quiet}'>{escape(second_line(entry))}</span>"
    lines = [f"<p><b>{escape(entry.title)}</b><br>{when}</p>"]
    for change in changes[:DETAILS]:
        lines.append(
            f"<p style='margin:4px 0'>{escape(_named(change.item, codes))}: {_fields(change, colours.quiet)}</p>"
        )
    if len(changes) > DETAILS:
        rest = f"{count_text(entry.box_count)} findings in total" if entry.box_count > DETAILS else "and more"
        lines.append(f"<p style='color:{colours.quiet}'>… {rest}. The CSV table lists every one.</p>")
    if not changes and entry.kind == "run":
        lines.append(f"<p style='color:{colours.quiet}'>{things(entry.box_count, 'finding')} found.</p>")
    return "".join(lines)


def _fields(change: Change, quiet: str) -> str:
    before, after = _parts(change.before), _parts(change.after)
    if change.kind != "changed":
        known = after or before
        said = ", ".join(f"{escape(_word(name))} {escape(_short(value))}" for name, value in known.items() if value)
        return f"{change.kind} <span style='color:{quiet}'>{said}</span>"
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return "; ".join(
        f"{escape(_word(name))} <span style='color:{quiet}'>{escape(_short(before.get(name, '—')))}</span>"
        f" → {escape(_short(after.get(name, '—')))}"
        for name in names
    )


def _parts(text: str) -> dict[str, str]:
    """``class=ACP; note=two; words`` -> its fields: a new one starts where a name and "=" follow a semicolon."""
    parts = re.split(r"; (?=\w+=)", text) if text else []
    return {name: value for name, _, value in (part.partition("=") for part in parts)}


def _word(name: str) -> str:
    return FIELD_WORDS.get(name, name.replace("_", " "))


def _short(value: str) -> str:
    value = " ".join(value.split())
    try:
        number = float(value)
    except ValueError:
        return value if len(value) <= 80 else value[:79] + "…"
    return value if number.is_integer() else significant_text(number, 4)


def _named(item: str, codes: Mapping[int, str]) -> str:
    """``class 3`` -> ``Class CRP`` if that class exists."""
    kind, _, number = item.rpartition(" ")
    if kind == "class" and number.isdigit() and int(number) in codes:
        number = codes[int(number)]
    words = f"{kind} {number}".strip()
    return words[:1].upper() + words[1:]


def clock(time: str) -> str:
    """``2026-11-20T21:04:05...`` -> ``2026-11-20 21:04``."""
    return time.replace("T", " ")[:16]


def _make(context: Context, parent: QWidget) -> QWidget:
    dock = HistoryDock(context.session, parent)
    dock.export_requested.connect(lambda: context.navigator.trigger("file.history"))
    return dock


PANEL = PanelSpec("history", "History", "history", "right", _make)
