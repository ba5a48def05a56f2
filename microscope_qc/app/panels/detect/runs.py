"""The detections of a slide: what they found, shown or hidden; interrupted ones are continued."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker, QSize, Qt, QTimer, Signal
from qtpy.QtWidgets import QHeaderView, QTreeWidget, QTreeWidgetItem, QWidget

from microscope_qc.app.base.refresh import Refresh
from microscope_qc.app.base.signals import link
from microscope_qc.app.session.session import Session
from microscope_qc.core.wording import count_text
from microscope_qc.workflows.review.runs import RunLine, run_lines

if TYPE_CHECKING:
    from microscope_qc.project.records import RunRecord

RUN_ID = int(Qt.ItemDataRole.UserRole)
COUNT_MS = 250
WORDS = {"running": "interrupted", "finished": "finished", "stopped": "stopped", "failed": "failed"}


class RunList(QTreeWidget):
    """One line per detection of the slide on screen; its check box shows and hides its findings."""

    continue_possible = Signal(object)  # the selected run if it can be continued, else None
    run_selected = Signal(object)  # the selected run (None without any), again whenever something about it changes

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._running_id: int | None = None
        self._ticking = False
        self._letters: dict[int, str] = {}
        self.setHeaderLabels(["Detection", "Area", "Found", "New", "Left", "Started"])
        for column, words in enumerate((
            "Its name, otherwise its model", "Share of the slide that it was to scan", "Findings it found",
            "Of these, what no other detection had found", "Of these, what is not reviewed yet",
        )):  # fmt: skip
            self.headerItem().setToolTip(column, words)
        self.setIndentation(0)
        self.setRootIsDecorated(False)
        self.setUniformRowHeights(True)
        self.setAlternatingRowColors(True)
        self.setMinimumHeight(96)
        header = self.header()
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setMinimumSectionSize(24)
        for column in range(1, self.columnCount()):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        header.setStretchLastSection(False)
        self.itemChanged.connect(self._on_item_changed)
        self.itemSelectionChanged.connect(self._on_selection_changed)
        for signal in (session.runs_changed, session.slide_changed, session.project_changed):
            link(self, signal, self.refresh)
        self._due = Refresh(self, self.refresh_counts, after_ms=COUNT_MS)
        link(self, session.boxes_changed, self._on_boxes_changed)
        self.refresh()

    def _on_boxes_changed(self, _change: object) -> None:
        self._due.soon()

    @property
    def runs(self) -> list[RunRecord]:
        """Runs of the slide on screen, newest first."""
        project, slide = self._session.project, self._session.slide
        if project is None or slide is None:
            return []
        return [run for run in reversed(project.runs) if run.slide_id == slide.id]

    def set_running(self, run_id: int | None) -> None:
        """Set which run is in progress; it is selected when it starts."""
        if run_id != self._running_id:
            self._running_id = run_id
            self.refresh(select=run_id)

    def set_letters(self, letters: dict[int, str]) -> None:
        """Set the letters of the detections that are compared, by run."""
        if letters != self._letters:
            self._letters = letters
            self.refresh()

    @property
    def running_id(self) -> int | None:
        """The run that is in progress."""
        return self._running_id

    def can_continue(self, run: RunRecord) -> bool:
        """Whether a run was interrupted and is not in progress."""
        return run.state != "finished" and run.id != self._running_id and self._session.can_write

    def refresh(self, *, select: int | None = None) -> None:
        """Show the current runs; the newest is selected unless the user or ``select`` chose another."""
        if self._ticking:  # Qt is still inside the item that was checked: clearing now would free it while in use
            QTimer.singleShot(0, self, self.refresh)
            return
        before, lines = self.selected_run(), self._lines()
        runs = [line.run for line in lines]
        wanted = select if select is not None else before.id if before is not None else None
        with QSignalBlocker(self):
            self.clear()
            items = {line.run.id: self._item(line) for line in lines}
            self.addTopLevelItems(list(items.values()))
            if runs:
                self.setCurrentItem(items.get(wanted or 0, items[runs[0].id]))
        self._on_selection_changed()

    def refresh_counts(self) -> None:
        """Show what the detections found again, and leave all else."""
        lines = {line.run.id: line for line in self._lines()}
        with QSignalBlocker(self):
            for place in range(self.topLevelItemCount()):
                item = self.topLevelItem(place)
                line = None if item is None else lines.get(item.data(0, RUN_ID))
                if item is not None and line is not None:
                    self._show_counts(item, line)

    def _lines(self) -> list[RunLine]:
        """Of the slide on screen, newest first."""
        project, slide = self._session.project, self._session.slide
        return [] if project is None or slide is None else run_lines(project, [slide.id])[::-1]

    def _show_counts(self, item: QTreeWidgetItem, line: RunLine) -> None:
        counts = line.counts
        for column, count in enumerate((counts.found, counts.new, counts.left), start=2):
            item.setText(column, count_text(count))

    def _item(self, line: RunLine) -> QTreeWidgetItem:
        run = line.run
        under_way = run.id == self._running_id
        state = "detecting" if under_way else WORDS.get(run.state, run.state)
        when = str(run.started)[:16].replace("T", " ")
        letter = self._letters.get(run.id, "")
        name = f"{letter}   {run.title}" if letter else run.title
        if state != "finished":
            name = f"{name}, {state}"
        this_year = when[:4] == str(datetime.now().astimezone().year)
        item = QTreeWidgetItem([name, line.area, "", "", "", when[5:] if this_year else when[:10]])
        self._show_counts(item, line)
        item.setData(0, RUN_ID, run.id)
        item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsUserCheckable)
        item.setCheckState(0, Qt.CheckState.Checked if run.shown else Qt.CheckState.Unchecked)
        item.setSizeHint(0, QSize(0, self.fontMetrics().height() + 8))
        for column in range(1, 5):
            item.setTextAlignment(column, int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter))
        lines = [*dict.fromkeys([run.title, run.plan.title]), f"started {when}", state]
        region = run.plan.region
        if region is not None:
            lines.insert(-1, f"y {region.y0}–{region.y1}, x {region.x0}–{region.x1} px")
        lines.append("The check box shows and hides what it alone found; what you judged stays.")
        for column in range(self.columnCount()):
            item.setToolTip(column, "\n".join(lines))
        return item

    def selected_run(self) -> RunRecord | None:
        """The selected run."""
        items = self.selectedItems()
        if not items:
            return None
        run_id = items[0].data(0, RUN_ID)
        return next((run for run in self.runs if run.id == run_id), None)

    def _on_item_changed(self, item: QTreeWidgetItem, column: int) -> None:
        project = self._session.project
        if column == 0 and project is not None:
            self._ticking = True
            try:
                project.runs.show(
                    item.data(0, RUN_ID),
                    item.checkState(0) == Qt.CheckState.Checked,
                    carry_out=self._session.writing.carry_out,
                )
            finally:
                self._ticking = False

    def _on_selection_changed(self) -> None:
        run = self.selected_run()
        self.run_selected.emit(run)
        self.continue_possible.emit(run if run is not None and self.can_continue(run) else None)
