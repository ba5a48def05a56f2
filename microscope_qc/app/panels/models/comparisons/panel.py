"""The page of comparisons: a list by date, what the chosen one says, and one click to either model."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from microscope_qc.app.base import theme
from microscope_qc.app.base.refresh import Refresh
from microscope_qc.app.base.signals import link
from microscope_qc.app.panels.models.browser import ModelBrowser
from microscope_qc.app.panels.models.comparisons.text import comparison_text
from microscope_qc.app.session.measuring import LOOK_MS, Measuring
from microscope_qc.app.widgets.parts import put_beside
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.workflows.models.kept_comparison import KeptComparison, copy_comparison_page
from microscope_qc.workflows.models.shelf import ModelEntry

if TYPE_CHECKING:
    from microscope_qc.app.base.jobs import JobRunner
    from microscope_qc.app.session.session import Session

KEPT = Qt.ItemDataRole.UserRole
REFRESH_MS = 100
_LONGEST_NAME = 28
_NOTHING = (
    "No comparison yet. Train a model, or choose one on the page Models, and compare it with the model in use: both "
    "are measured on the same places."
)


class ComparisonsPanel(QWidget):
    """Comparisons that the open project keeps.

    ``review_requested`` asks for the review page, whose filter is set; ``spot_requested`` for a place on a slide.
    """

    review_requested = Signal()
    spot_requested = Signal(object)

    def __init__(self, session: Session, jobs: JobRunner, measuring: Measuring, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("comparisons")
        self._session, self._jobs, self.measuring = session, jobs, measuring
        self.list, self.about = QListWidget(), ModelBrowser()
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.use_new, self.use_old = QPushButton(), QPushButton()
        self.again, self.save = QPushButton("Compare again"), QPushButton("Save page…")
        self._build()
        self._due = Refresh(self, self._fill, after_ms=REFRESH_MS)
        measuring.changed.connect(self._due.soon)
        measuring.comparison_asked.connect(self._due.now)
        for signal in (session.project_changed, session.model_in_use_changed, theme.SWITCH.switched):
            link(self, signal, self._due.soon)
        self._look_again = Refresh(self, self._check, after_ms=LOOK_MS)
        link(self, session.history_changed, self._look_again.soon)
        self._look = Refresh(self, measuring.look_at_comparisons)  # models are renamed and deleted
        self._look.soon()
        link(self, session.model_in_use_changed, self._look.soon)
        self._fill()

    def _build(self) -> None:
        self.use_new.clicked.connect(lambda: self._use("new"))
        self.use_old.clicked.connect(lambda: self._use("old"))
        self.again.clicked.connect(self._on_again_clicked)
        self.save.clicked.connect(self.save_page)
        self.save.setToolTip("Figures, and pictures of where the models are wrong")
        self.list.currentItemChanged.connect(self._on_chosen)
        self.about.findings_asked.connect(self._on_findings_asked)
        self.about.spot_asked.connect(self._on_spot_asked)
        buttons, right = QHBoxLayout(), QWidget()
        for button in (self.use_new, self.use_old, self.again, self.save):
            buttons.addWidget(button)
        buttons.addStretch(1)
        column = QVBoxLayout(right)
        column.setContentsMargins(0, theme.STEP, theme.STEP, theme.STEP)
        column.addWidget(self.about, 1)
        column.addLayout(buttons)
        put_beside(self, self.list, right)

    def sizeHint(self) -> QSize:
        """Qt: room for a list beside a table."""
        return QSize(760, 300)

    # -- what is shown -----------------------------------------------------------------------------------------------

    @property
    def chosen(self) -> KeptComparison | None:
        """The comparison that is chosen in the list."""
        item = self.list.currentItem()
        kept: KeptComparison | None = None if item is None else item.data(KEPT)
        return kept

    def _fill(self) -> None:
        before, known = self.chosen, {self._kept(row).folder for row in range(self.list.count())}
        found = self.measuring.comparisons
        self.list.blockSignals(True)
        self.list.clear()
        for kept in found:
            item = QListWidgetItem(f"{kept.date}\n{kept.names[0]} against {kept.names[1]}")
            item.setData(KEPT, kept)
            item.setToolTip(f"<qt>{escape(kept.verdict)}</qt>")
            self.list.addItem(item)
        folders = [kept.folder for kept in found]
        wanted = self.measuring.wanted_comparison
        if wanted in folders:
            self.measuring.wanted_comparison = None
        else:  # the one that was made just now, or that was looked at
            made = known and folders and folders[0] not in known
            wanted = before.folder if before is not None and not made else None
        self.list.setCurrentRow(folders.index(wanted) if wanted in folders else 0)
        self.list.blockSignals(False)
        now = self.chosen
        if now is not None and (before is None or now.folder != before.folder):
            self._check()
        self._show()

    def _kept(self, row: int) -> KeptComparison:
        kept: KeptComparison = self.list.item(row).data(KEPT)
        return kept

    def _on_chosen(self, *_: object) -> None:
        self._check()
        self._show()

    def _check(self) -> None:
        if self.chosen is not None:
            self.measuring.check_comparison(self.chosen)

    def _show(self) -> None:
        kept, project = self.chosen, self._session.project
        for button in (self.use_new, self.use_old, self.again, self.save):
            button.setVisible(kept is not None)
        if kept is None or project is None:
            self.about.setPlainText("" if project is None else _NOTHING)
            return
        used = project.models.argument
        worse = kept.document.get("ahead") == "old"
        self._offer(self.use_new, kept.new, kept.names[0], f"Use {{}}{' although it is worse' if worse else ''}", used)
        came_from = kept.new is not None and kept.new.argument == used
        self._offer(self.use_old, kept.old, kept.names[1], "Back to {}" if came_from else "Use {}", used)
        gone, busy = kept.new is None or kept.old is None, self.measuring.handle is not None
        self.again.setEnabled(not gone and not busy)
        self.again.setToolTip(
            "One of the models is no longer there as it was" if gone
            else "One measurement at a time: it is running." if busy
            else "Measures both again, on what is marked now"
        )  # fmt: skip
        slides = {slide.id: slide.name for slide in project.slides}
        self.about.setHtml(comparison_text(kept, stale=self.measuring.is_stale(kept.folder), slides=slides))

    def _offer(self, button: QPushButton, entry: ModelEntry | None, name: str, words: str, used: str) -> None:
        short = name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
        in_use = entry is not None and entry.argument == used
        button.setText(f"{short} is in use" if in_use else words.format(short))
        button.setEnabled(entry is not None and not in_use and self._session.can_write)
        button.setToolTip(
            "It is no longer there as it was" if entry is None
            else "" if in_use
            else "This project is open for reading only." if not self._session.can_write
            else "Detections of this project take it; undo takes it back"
        )  # fmt: skip

    # -- what the user does ------------------------------------------------------------------------------------------

    def _use(self, which: str) -> None:
        """Put one of the models in use: a step of the history."""
        kept, project = self.chosen, self._session.project
        entry = None if kept is None else kept.new if which == "new" else kept.old
        if entry is not None and project is not None:
            project.models.use(entry.argument, name=entry.name)
            self._session.notice.emit(f"{entry.name} is in use. Undo takes it back.")

    def _on_again_clicked(self) -> None:
        if self.chosen is not None:
            self.measuring.compare_again(self.chosen)

    def save_page(self) -> None:
        """Write the page about the comparison."""
        kept = self.chosen
        if kept is None:
            return
        offered = f"{kept.names[0]} against {kept.names[1]}.html"
        out, _ = QFileDialog.getSaveFileName(self, "Save page", offered, "Pages (*.html)")
        if out:
            self._jobs.call(lambda: copy_comparison_page(kept, out), self._on_written, self._on_failed)

    def _on_written(self, path: Path) -> None:
        self._session.notice.emit(f"{path} is written.")

    def _on_failed(self, error: BaseException) -> None:
        if not isinstance(error, MicroscopeQCError):
            raise error
        self._session.notice.emit(str(error))

    def _on_findings_asked(self, what: str) -> None:
        if self.chosen is not None:
            self.measuring.show_findings(self.chosen.places(what))
            self.review_requested.emit()

    def _on_spot_asked(self, number: int, what: str) -> None:
        spots = () if self.chosen is None else self.chosen.places(what).spots
        if number < len(spots):
            self.spot_requested.emit(spots[number])
