"""The page of the Statistics workspace."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import (
    QApplication,
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QStackedWidget,
    QTabBar,
    QVBoxLayout,
    QWidget,
)

from microscope_qc.app.base import theme
from microscope_qc.app.base.signals import link
from microscope_qc.app.panels.statistics.counting import Counting
from microscope_qc.app.panels.statistics.lines import TableLine, table_lines
from microscope_qc.app.panels.statistics.plot_view import PlotView
from microscope_qc.app.panels.statistics.table import NumbersTable
from microscope_qc.app.widgets.parts import EmptyPage, note
from microscope_qc.app.widgets.plot_pane import PICTURES, TABLES
from microscope_qc.app.widgets.scope_switch import ScopeSwitch
from microscope_qc.core.arrays import Ints
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.workflows.results.counted_findings import CountedFindings
from microscope_qc.workflows.results.grouping import BY_CLASS, BY_CLASS_GROUP, SLIDE, grouped_statistics
from microscope_qc.workflows.results.grouping_text import write_grouped_table
from microscope_qc.workflows.results.plots import PLOTS

if TYPE_CHECKING:
    from microscope_qc.app.base.jobs import JobRunner
    from microscope_qc.app.base.settings import AppSettings
    from microscope_qc.app.session.session import Session

TABLE = "table"
ROWS = (("Classes and class groups", ""), ("Classes", BY_CLASS), ("Class groups", BY_CLASS_GROUP))
_TOGETHER = "All slides together"
_ABOUT = (
    "Raw: what models found. Reviewed: what the review left of it, with what users drew. Corrected: what is true if "
    "findings that nobody judged are like a random sample of the same model, class and confidence. In brackets: 95 %."
)
_NOTHING = (
    "There are no numbers of {scope} yet. Detect defects or draw them; where a class was searched for, or declared "
    "complete, there is a density, too."
)


@dataclass(frozen=True, slots=True)
class Numbers:
    """What the table shows, and by what else it could be grouped: titles and names of fields."""

    lines: list[TableLine]
    found: dict[str, Any]
    fields: list[tuple[str, str]]
    empty: bool


def _numbers(found: CountedFindings, by: str, rows: str) -> Numbers:
    said = [known for known in found.known.fields if any(slide.fields.get(known.name) for slide in found.known.slides)]
    wanted = [name for name in (by, rows) if name]
    if by not in ("", SLIDE, *(known.name for known in said)):
        wanted.remove(by)
    grouped = grouped_statistics(found.known, wanted)
    fields = [(known.title or known.name, known.name) for known in said]
    return Numbers(table_lines(grouped), grouped, fields, found.empty)


class StatisticsPage(QWidget):
    """Numbers of the slides in the scope.

    Parameters
    ----------
    by_parts
        Whether the page is empty at first, and somebody else takes the steps of ``making``.
    """

    detect_requested = Signal()
    canvas_requested = Signal()

    def __init__(
        self,
        session: Session,
        jobs: JobRunner,
        settings: AppSettings,
        parent: QWidget | None = None,
        *,
        by_parts: bool = False,
    ) -> None:
        super().__init__(parent)
        self.setObjectName("statistics")
        self.setWindowTitle("Statistics")
        self._session, self._jobs, self._settings = session, jobs, settings
        self.numbers: Numbers | None = None
        self.making = self._make_parts()
        if not by_parts:
            deque(self.making, maxlen=0)

    # -- parts -------------------------------------------------------------------------------------------------------

    def _make_parts(self) -> Iterator[None]:
        """Make one part after the other, what counts last."""
        self.by, self.rows = QComboBox(), QComboBox()
        self.tabs, self.state = QTabBar(), QLabel()
        self.copy, self.save = QPushButton("Copy"), QPushButton("Save…")
        self.empty, self.stack, self.views = EmptyPage(), QStackedWidget(), QStackedWidget()
        self.empty.say("Counting …")
        self.stack.addWidget(self.empty)
        self.stack.addWidget(self.views)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(theme.STEP, theme.STEP, theme.STEP, theme.STEP)
        above = QHBoxLayout()
        whole.addLayout(above)
        whole.addWidget(self.stack, 1)
        yield
        self._fill_above(above)
        yield
        self.table, self.about = NumbersTable(), note(_ABOUT)
        self.views.addWidget(self._numbers_view())
        yield
        self.counting = Counting(self._session, self)
        self.plot = PlotView(self._session, self.counting, self._settings)
        self.views.addWidget(self.plot)
        yield
        self._connect()
        self.tabs.setCurrentIndex(self._place_of(self._chosen("view")))
        self._show_view()
        self._on_counted()

    def _fill_above(self, above: QHBoxLayout) -> None:
        self.tabs.setAccessibleName("Table and plots")
        self.tabs.setExpanding(False)
        self.tabs.setDrawBase(False)
        for title, name in (("Table", TABLE), *((kind.title, kind.name) for kind in PLOTS.values())):
            self.tabs.setTabData(self.tabs.addTab(title), name)
        above.addWidget(ScopeSwitch(self._session))
        above.addWidget(self.tabs)
        above.addStretch(1)
        for part in (self.state, self.copy, self.save):
            above.addWidget(part)

    def _numbers_view(self) -> QWidget:
        """The table with what it is made by."""
        self.by.setAccessibleName("Groups of slides")
        self.by.setToolTip("Slides with the same value are a group")
        self.by.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        self.rows.setAccessibleName("Rows of a group")
        self._offer([])
        for title, name in ROWS:
            self.rows.addItem(title, name)
        self.rows.setCurrentIndex(max(0, self.rows.findData(self._chosen("rows"))))
        choices = QHBoxLayout()
        for label, box in (("Groups", self.by), ("Rows", self.rows)):
            choices.addWidget(QLabel(label))
            choices.addWidget(box)
        choices.addStretch(1)
        full = QWidget()
        column = QVBoxLayout(full)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(choices)
        column.addWidget(self.table, 1)
        column.addWidget(self.about)
        return full

    def _connect(self) -> None:
        self.by.activated.connect(self._on_chosen)
        self.rows.activated.connect(self._on_chosen)
        self.copy.clicked.connect(self.copy_shown)
        self.save.clicked.connect(self.ask_and_save)
        self.table.selectionModel().currentRowChanged.connect(self._say_about)
        self.empty.button.clicked.connect(self.detect_requested)
        self.counting.changed.connect(self._on_counted)
        self.plot.only_requested.connect(self.show_only)
        self.tabs.currentChanged.connect(self._on_view_changed)
        link(self, self._session.project_changed, self._on_project_changed)

    # -- choices -----------------------------------------------------------------------------------------------------

    def _chosen(self, name: str) -> str:
        return self._settings.statistics.get(name, "")

    @property
    def view(self) -> str:
        """What is shown: "table", or the name of a plot."""
        return str(self.tabs.tabData(self.tabs.currentIndex()))

    def _place_of(self, view: str) -> int:
        return next((n for n in range(self.tabs.count()) if self.tabs.tabData(n) == view), 0)

    def show_view(self, name: str) -> None:
        """Show the table, or a plot by its name."""
        self.tabs.setCurrentIndex(self._place_of(name))

    def _on_view_changed(self, _place: int) -> None:
        self._remember("view", self.view)
        self._show_view()

    def _show_view(self) -> None:
        table = self.view == TABLE
        self.views.setCurrentIndex(0 if table else 1)
        self.setFocusProxy(self.table if table else self.plot)
        self.copy.setToolTip(
            "The selected lines, or all, for a spreadsheet" if table else "As a picture for print, and as values"
        )
        self.save.setToolTip(
            "As a table (CSV, XLSX), with all limits and reasons" if table else "As SVG, PNG or PDF, or its values"
        )
        if not table:
            self.plot.show_kind(self.view)

    def _remember(self, name: str, value: str) -> None:
        self._settings.statistics = {**self._settings.statistics, name: value}

    def _offer(self, fields: Sequence[tuple[str, str]]) -> None:
        """Offer what slides can be grouped by; the choice stays where it can."""
        with QSignalBlocker(self.by):
            self.by.clear()
            for title, name in ((_TOGETHER, ""), ("Slide", SLIDE), *fields):
                self.by.addItem(title, name)
            self.by.setCurrentIndex(max(0, self.by.findData(self._chosen("by"))))

    def _on_chosen(self, *_: object) -> None:
        self._remember("by", self.by.currentData())
        self._remember("rows", self.rows.currentData())
        self._make()

    # -- what is shown -----------------------------------------------------------------------------------------------

    def _on_counted(self) -> None:
        self._say_state()
        if not self.counting.busy:
            self._make()
            self.plot.refresh()

    def _make(self) -> None:
        by, rows = self._chosen("by"), self._chosen("rows")
        self.counting.make("table", lambda found: _numbers(found, by, rows), self._take)

    def _take(self, numbers: Numbers) -> None:
        fields = None if self.numbers is None else self.numbers.fields
        self.numbers = numbers
        if numbers.fields != fields:
            self._offer(numbers.fields)
        self.table.show_lines(numbers.lines)
        self._say_about()
        self._say_state()

    def _say_about(self, *_: object) -> None:
        """Say in full what is not known of the current line, or what the columns are."""
        self.about.setText(self.table.sentences() or _ABOUT)

    def _on_project_changed(self) -> None:
        self.numbers = None
        self.table.show_lines([])
        self.plot.clear()
        self._say_state()

    def _say_state(self) -> None:
        """Say whether the numbers hold now, and what to do where there are none."""
        numbers, counting = self.numbers, self.counting
        there = numbers is not None and not numbers.empty
        if counting.problem:
            self.empty.say(counting.problem)
        elif numbers is None:
            self.empty.say("Counting …")
        else:
            self.empty.say(_NOTHING.format(scope=self._session.scope.words), "Detect…")
        there = there and not counting.problem
        self.stack.setCurrentIndex(1 if there else 0)
        late = there and (counting.busy or not counting.fresh)
        self.state.setText("Out of date, counting again …" if late else "")
        for part in (self.by, self.rows, self.copy, self.save):
            part.setEnabled(there)

    # -- what leaves -------------------------------------------------------------------------------------------------

    def copy_shown(self) -> None:
        """Put the table, or the plot, on the clipboard."""
        if self.view != TABLE:
            self.plot.copy()
            return
        board = QApplication.clipboard()
        if board is not None:
            board.setText(self.table.as_text())
            self._session.notice.emit("The table is on the clipboard.")

    def ask_and_save(self) -> None:
        """Ask where, and write what is shown."""
        project = self._session.project
        name, kinds = (
            ("statistics.xlsx", TABLES) if self.view == TABLE else (f"{self.view}.svg", f"{PICTURES};;{TABLES}")
        )
        offered = name if project is None else str(project.path.parent / name)
        out, _ = QFileDialog.getSaveFileName(self, "Save", offered, kinds)
        if out:
            self.save_to(Path(out))

    def save_to(self, path: Path) -> None:
        """Write the table, or the plot, as the name says, in another thread."""
        numbers = self.numbers
        write: Callable[[], Path] | None = self.plot.writing(path)
        if self.view == TABLE:
            write = None if numbers is None else lambda: write_grouped_table(path, numbers.found)
        if write is not None:
            self._jobs.call(write, lambda done: self._session.notice.emit(f"{done} is written."), self._on_failed)

    def show_only(self, ids: Ints) -> None:
        """Leave only these findings in the lists and on the canvas, select them, and go there."""
        session = self._session
        session.clear_filter()
        session.set_filter(numbers=frozenset(ids.tolist()))
        session.selection.set(ids)
        self.canvas_requested.emit()

    def _on_failed(self, error: BaseException) -> None:
        if not isinstance(error, MicroscopeQCError):
            raise error
        self._session.notice.emit(str(error))

    def close_crops(self) -> None:
        """Stop the thread that counts (the window is closing)."""
        self.counting.close()
