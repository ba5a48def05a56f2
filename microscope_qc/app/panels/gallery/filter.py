"""Filters that need more than a list: ranges of confidence and size, finders, what models say; and saved filters."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QGridLayout,
    QHBoxLayout,
    QInputDialog,
    QLabel,
    QMenu,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
    QWidgetAction,
)

from microscope_qc.app.base import theme
from microscope_qc.app.base.number_entry import NumberEntry
from microscope_qc.app.base.refresh import Refresh
from microscope_qc.app.base.signals import link
from microscope_qc.app.session.session import Session
from microscope_qc.core.box_filter import BY_USER
from microscope_qc.core.boxes import BoxFilter, FindingFlag, has_flag
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.numbers import Quantity, exact_text
from microscope_qc.core.wording import count_text

LARGEST_UM = 1_000_000.0
COUNT_MS = 60

AskName = Callable[[QWidget, str], str]
"""Asks for the name of a filter, suggesting one; "" for none."""


def ask_name_dialog(parent: QWidget, offered: str) -> str:
    """Ask in a small dialog."""
    name, kept = QInputDialog.getText(parent, "Save filter", "Name of this filter", text=offered)
    return name.strip() if kept else ""


class FilterPanel(QWidget):
    """Confidence from–to, size from–to, found by; every change takes effect at once."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.confidence = _Range(Quantity("The confidence", "", 0, 1), 0.05)
        self.size_range = _Range(Quantity("The size", "µm", 0, LARGEST_UM), 1.0)
        self.finders: dict[int, QCheckBox] = {}
        self.disputed, self.again, self.listed = QCheckBox(), QCheckBox(), QCheckBox()
        self.disputed.setToolTip("Only findings of which a model that counts says another class")
        self.again.setToolTip("Only what a model found after you had rejected or deleted it; confirm takes it back")
        self.disputed.clicked.connect(lambda on: session.set_filter(only_disputed=on))
        self.again.clicked.connect(lambda on: session.set_filter(only_again=on))
        self.listed.setToolTip("Only findings of the list that is open, such as those that a model missed")
        self.listed.clicked.connect(lambda: session.set_filter(numbers=None))
        self._finders = QVBoxLayout()
        self._finders.setSpacing(4)
        self.fault = QLabel()
        self.fault.setProperty("error", True)
        self.fault.hide()
        self.clear = QPushButton("Show all findings")
        self.clear.setAutoDefault(False)
        self.clear.clicked.connect(session.clear_filter)
        grid = QGridLayout()
        grid.setHorizontalSpacing(theme.STEP)
        grid.setVerticalSpacing(theme.STEP)
        for place, (words, part) in enumerate((("Confidence", self.confidence), ("Longer side", self.size_range))):
            grid.addWidget(QLabel(words), place, 0)
            grid.addWidget(part, place, 1)
        found = QLabel("Found by")
        grid.addWidget(found, 2, 0, Qt.AlignmentFlag.AlignTop)
        grid.addLayout(self._finders, 2, 1)
        for place, box in enumerate((self.disputed, self.again, self.listed), start=3):
            grid.addWidget(box, place, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 12, 12, 12)
        column.setSpacing(theme.STEP)
        column.addLayout(grid)
        column.addWidget(self.fault)
        column.addWidget(self.clear, 0, Qt.AlignmentFlag.AlignRight)
        self.confidence.changed.connect(self._on_confidence_changed)
        self.size_range.changed.connect(self._on_size_changed)

    def refresh(self) -> None:
        """Show the current filter."""
        shown = self._session.filter
        self.fault.hide()
        self.confidence.show_range(shown.min_confidence, shown.max_confidence)
        low, high = shown.size_um or (0.0, LARGEST_UM)
        self.size_range.show_range(low, high)
        known = bool(self._session.scoped.known_sizes.by_slide)
        self.size_range.setEnabled(known)
        self.size_range.setToolTip("" if known else "Set the pixel size of the slide first (Slide menu).")
        self._show_finders(shown)
        rows = self._session.scoped.table.rows
        for box, words, flag, on in (
            (self.disputed, "models disagree", FindingFlag.DISPUTED, shown.only_disputed),
            (self.again, "found again", FindingFlag.FOUND_AGAIN, shown.only_again),
        ):
            box.setText(f"{words}  ({count_text(int(has_flag(rows, flag).sum()))})")
            box.setChecked(on)
        self.listed.setVisible(shown.numbers is not None)
        self.listed.setChecked(shown.numbers is not None)
        self.listed.setText(f"of a list  ({count_text(len(shown.numbers or ()))})")
        self.clear.setEnabled(self._session.filter_active)

    def _show_finders(self, shown: BoxFilter) -> None:
        scoped, project = self._session.scoped, self._session.project
        found = {BY_USER: int((scoped.table.rows["run_id"] == BY_USER).sum())}
        names = {BY_USER: "user or import"}
        if project is not None:
            for slide_id in scoped.slide_ids:
                found |= {run_id: counts.found for run_id, counts in project.opinions.counts(slide_id).items()}
            names |= {run.id: f"{run.title}, {run.started[:10]}" for run in project.runs if run.id in found}
        if list(names) != list(self.finders):
            for box in self.finders.values():
                self._finders.removeWidget(box)
                box.deleteLater()
            self.finders = {}
            for number in names:
                box = self.finders[number] = QCheckBox()
                box.clicked.connect(self._on_finder_clicked)
                self._finders.addWidget(box)
        for number, name in names.items():
            self.finders[number].setText(f"{name}  ({count_text(found.get(number, 0))})")
            self.finders[number].setChecked(shown.found_by is None or number in shown.found_by)

    def _on_confidence_changed(self) -> None:
        low, high = self.confidence.values()
        if self._fits(low, high):
            self._session.set_filter(min_confidence=low, max_confidence=high)

    def _on_size_changed(self) -> None:
        low, high = self.size_range.values()
        if self._fits(low, high):
            whole = low <= 0 and high >= LARGEST_UM
            self._session.set_filter(size_um=None if whole else (low, high))

    def _fits(self, low: float, high: float) -> bool:
        self.fault.setText("The first number must be the smaller one.")
        self.fault.setVisible(low > high)
        return low <= high

    def _on_finder_clicked(self) -> None:
        ticked = frozenset(number for number, box in self.finders.items() if box.isChecked())
        everything = len(ticked) == len(self.finders) or not ticked
        self._session.set_filter(found_by=None if everything else ticked)
        self.refresh()  # nothing checked means all


class FilterButton(QToolButton):
    """Opens the panel; shows when a range or a finder hides something."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.panel = FilterPanel(session)
        menu = QMenu(self)
        action = QWidgetAction(menu)
        action.setDefaultWidget(self.panel)
        menu.addAction(action)
        menu.aboutToShow.connect(self.panel.refresh)
        self.setMenu(menu)
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.setIcon(theme.icon("tune-variant"))
        self.setAutoRaise(True)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setToolTip("Filter by confidence, size, who found it and what models say")

    def refresh(self) -> None:
        """Show in a word what the panel's part of the filter does."""
        shown = self._session.filter
        words = []
        if shown.size_um is not None:
            low, high = shown.size_um
            least, most = exact_text(low), exact_text(high)
            words.append(f"≥ {least} µm" if high >= LARGEST_UM else f"{least}–{most} µm")
        if shown.max_confidence < 1:
            words.append(f"≤ {exact_text(shown.max_confidence)}")
        if shown.found_by is not None:
            words.append("found by")
        if shown.only_disputed:
            words.append("models disagree")
        if shown.only_again:
            words.append("found again")
        if shown.numbers is not None:
            words.append("list")
        self.setText(f"{words[0]}{' …' if len(words) > 1 else ''} " if words else " ")
        if self.menu().isVisible():
            self.panel.refresh()


class SavedFilters(QToolButton):
    """Menu of the saved filters."""

    def __init__(self, session: Session, parent: QWidget | None = None, *, ask_name: AskName | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._ask_name = ask_name or ask_name_dialog
        self.setMenu(QMenu(self))
        self.menu().aboutToShow.connect(self.fill)
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.setIcon(theme.icon("filter-menu-outline"))
        self.setText(" ")
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.setAutoRaise(True)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setToolTip("Saved filters")

    def fill(self) -> None:
        """Fill the menu again."""
        menu, project = self.menu(), self._session.project
        menu.clear()
        menu.setToolTipsVisible(True)
        saved = {} if project is None else project.filters.saved
        now = self._session.filter
        for name, kept in saved.items():
            action = menu.addAction(name.replace("&", "&&"), partial(self._use, name))
            action.setCheckable(True)
            action.setChecked(_same(now, kept))
        if not saved:
            menu.addAction("No filter has been saved yet").setEnabled(False)
        menu.addSeparator()
        reason = self._session.why_not_write()
        save = menu.addAction(theme.icon("content-save-outline"), "Save this filter as…", self.save)
        save.setEnabled(not reason)
        save.setToolTip(reason or "Class, state, confidence, size, found by, what models say, list, text, chosen")
        show_all = menu.addAction(theme.icon("filter-off-outline"), "Show all findings", self._session.clear_filter)
        show_all.setEnabled(self._session.filter_active)
        if saved:
            delete = menu.addMenu(theme.icon("delete-outline"), "Delete")
            delete.setEnabled(not reason)
            for name in saved:
                delete.addAction(name.replace("&", "&&"), partial(self._delete, name))

    def save(self) -> None:
        """Save the current filter under a name."""
        project = self._session.project
        if project is None:
            return
        now = self._session.filter
        offered = next((name for name, kept in project.filters.saved.items() if _same(now, kept)), "")
        name = self._ask_name(self, offered)
        if name:
            self._try(partial(project.filters.save, name), f"Filter “{name}” saved.")

    def _use(self, name: str) -> None:
        project = self._session.project
        if project is not None:
            self._try(partial(project.filters.use, name), "")

    def _delete(self, name: str) -> None:
        project = self._session.project
        if project is not None:
            self._try(partial(project.filters.delete, name), f"Filter “{name}” deleted.")

    def _try(self, change: Callable[[], object], done: str) -> None:
        try:
            change()
        except MicroscopeQCError as error:
            self._session.notice.emit(str(error))
        else:
            if done:
                self._session.notice.emit(done)


class FilterHint(QWidget):
    """``Filter: 12 of 60 shown`` with a button that shows all again; hidden while nothing is filtered."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._icon = QLabel()
        self.words = QLabel()
        self.clear = QToolButton()
        self.clear.setText("Show all")
        self.clear.setIcon(theme.icon("filter-off-outline"))
        self.clear.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.clear.setToolTip("Remove the filter")
        self.clear.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.clear.clicked.connect(session.clear_filter)
        row = QHBoxLayout(self)
        row.setContentsMargins(theme.STEP, 0, theme.STEP, 0)
        row.setSpacing(theme.STEP // 2)
        row.addWidget(self._icon)
        row.addWidget(self.words)
        row.addWidget(self.clear)
        self._due = Refresh(self, self.refresh, after_ms=COUNT_MS)
        for signal in (
            session.filter_changed, session.slide_changed, session.project_changed, theme.SWITCH.switched,
        ):  # fmt: skip
            link(self, signal, self.refresh)
        link(self, session.scoped.changed, self._on_boxes_changed)
        self.refresh()

    def _on_boxes_changed(self, _change: object) -> None:
        if not self.isHidden():
            self._due.soon()

    def refresh(self) -> None:
        """Count and show, or hide."""
        active = self._session.filter_active
        self.setVisible(active)
        if not active:
            return
        colours = theme.current()
        self._icon.setPixmap(theme.icon("filter-outline", colours.warning).pixmap(16, 16))
        total = int(self._session.scoped.shown.all_counts().sum())
        shown = int(self._session.scoped.shown.counts().sum())
        comparing = self._session.shown.limited
        self.words.setText(
            f"{'Comparison' if comparing else 'Filter'}: {count_text(shown)} of {count_text(total)} shown"
        )
        self.words.setToolTip(
            "Canvas, gallery, table and their counts leave the others out; statistics, report and exports do not."
        )


class _Range(QWidget):
    """From and to."""

    changed = Signal()

    def __init__(self, quantity: Quantity, step: float) -> None:
        super().__init__()
        self.low = NumberEntry(quantity, quantity.low, step=step)
        self.high = NumberEntry(quantity, quantity.high, step=step)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(theme.STEP)
        for field in (self.low, self.high):
            field.setFixedWidth(104)
            field.valueChanged.connect(lambda _value: self.changed.emit())
        row.addWidget(self.low)
        row.addWidget(QLabel("to"))
        row.addWidget(self.high)
        row.addStretch(1)

    def values(self) -> tuple[float, float]:
        return self.low.value(), self.high.value()

    def show_range(self, low: float, high: float) -> None:
        with QSignalBlocker(self.low), QSignalBlocker(self.high):
            self.low.setValue(low)
            self.high.setValue(high)


def _same(one: BoxFilter, other: BoxFilter) -> bool:
    """Whether two filters show the same."""
    return one == other
