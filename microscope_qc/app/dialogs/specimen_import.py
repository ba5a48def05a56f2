"""Fields of slides from a table or from file names: shown before they are taken over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt, QTimer
from qtpy.QtGui import QBrush, QColor
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QDialog,
    QDialogButtonBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QMenu,
    QPlainTextEdit,
    QPushButton,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from microscope_qc.app.base import theme
from microscope_qc.app.widgets.slide_choice import SlideChoice
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.specimen import SpecimenField
from microscope_qc.core.wording import UNKNOWN, plural, things
from microscope_qc.workflows.specimens.patterns import NameReading, name_pattern, plan_of_names, read_names
from microscope_qc.workflows.specimens.plan import FieldPlan, SlidesAndFields, take_over
from microscope_qc.workflows.specimens.tables import read_fields

if TYPE_CHECKING:
    from microscope_qc.app.context import Context

Index = QModelIndex | QPersistentModelIndex
NOWHERE = QModelIndex()
AFTER_MS = 150
MOST_PROBLEMS = 500


class CellsModel(QAbstractTableModel):
    """Cells of text; those of ``quiet`` rows are pale."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._head: Sequence[str] = ()
        self._rows: Sequence[Sequence[str]] = ()
        self._quiet: frozenset[int] = frozenset()

    def show_cells(self, head: Sequence[str], rows: Sequence[Sequence[str]], quiet: frozenset[int]) -> None:
        """Show other cells."""
        self.beginResetModel()
        self._head, self._rows, self._quiet = head, rows, quiet
        self.endResetModel()

    def rowCount(self, parent: Index = NOWHERE) -> int:
        """Qt: number of rows."""
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: Index = NOWHERE) -> int:
        """Qt: number of columns."""
        return 0 if parent.isValid() else len(self._head)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Qt: column titles."""
        is_title = orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole
        return self._head[section] if is_title and 0 <= section < len(self._head) else None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Qt: one cell."""
        if not index.isValid():
            return None
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole):
            row = self._rows[index.row()]
            return row[index.column()] if index.column() < len(row) else ""
        if role == Qt.ItemDataRole.ForegroundRole and index.row() in self._quiet:
            return QBrush(QColor(theme.current().quiet))
        return None


class _PlanDialog(QDialog):
    """Makes a plan in the background, shows it, and takes it over as one step of undo."""

    def __init__(self, context: Context, title: str, parent: QWidget | None) -> None:
        super().__init__(parent)
        self.setWindowTitle(title)
        self._context = context
        project = context.session.project
        assert project is not None
        self._project = project
        self._asked = 0
        self._answered = 0
        alive = self._alive = [self]
        self.destroyed.connect(lambda *_: alive.clear())
        self.plan: FieldPlan | None = None
        self.words = QLabel()
        self.words.setWordWrap(True)
        self.cells = CellsModel(self)
        self.table = QTableView()
        self.table.setModel(self.cells)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.table.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.table.setShowGrid(False)
        self.table.setAlternatingRowColors(True)
        self.table.setWordWrap(False)
        vertical, horizontal = self.table.verticalHeader(), self.table.horizontalHeader()
        if vertical is not None and horizontal is not None:
            vertical.hide()
            vertical.setDefaultSectionSize(24)
            horizontal.setStretchLastSection(True)
            horizontal.setDefaultSectionSize(170)
            horizontal.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
            horizontal.setHighlightSections(False)
        self.problems = QPlainTextEdit()
        self.problems.setReadOnly(True)
        self.problems.setFixedHeight(92)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.take_button = buttons.addButton("Take over", QDialogButtonBox.ButtonRole.AcceptRole)
        buttons.accepted.connect(self._on_accepted)
        buttons.rejected.connect(self.reject)
        self.options = QHBoxLayout()
        column = QVBoxLayout(self)
        column.setContentsMargins(2 * theme.STEP, 2 * theme.STEP, 2 * theme.STEP, 2 * theme.STEP)
        column.setSpacing(theme.STEP)
        column.addLayout(self.options)
        column.addWidget(self.words)
        column.addWidget(self.table, 1)
        column.addWidget(self.problems)
        column.addWidget(buttons)
        self._say("Reading …")
        self.problems.hide()
        self.resize(760, 520)

    @property
    def up_to_date(self) -> bool:
        """Whether what is shown is what was asked for last."""
        return not self._asked or self._answered == self._asked

    def _ask(self, make: Callable[[], Any], show: Callable[[Any], None]) -> None:
        """Make a plan in a worker; an older answer that comes in later is dropped."""
        self._asked += 1
        asked, alive = self._asked, self._alive
        self.take_button.setEnabled(False)

        def done(found: Any) -> None:
            if alive and asked == self._asked:
                self._answered = asked
                show(found)

        def failed(error: BaseException) -> None:
            if not isinstance(error, MicroscopeQCError):
                raise error
            if alive and asked == self._asked:
                self._answered = asked
                self._show_nothing(str(error))

        self._context.jobs.call(make, on_done=done, on_failed=failed)

    def _show_nothing(self, why: str) -> None:
        self.plan = None
        self.cells.show_cells((), (), frozenset())
        self.problems.hide()
        self._say(why)

    def _say(self, words: str) -> None:
        self.words.setText(words)
        self.take_button.setEnabled(self.plan is not None and bool(self.plan.changes))
        self.take_button.setToolTip("" if self.take_button.isEnabled() else "Nothing would change.")

    def _show_problems(self, plan: FieldPlan) -> None:
        told = list(plan.problems[:MOST_PROBLEMS])
        if len(plan.problems) > len(told):
            told.append(f"… and {things(len(plan.problems) - len(told), 'other')}.")
        self.problems.setPlainText("\n".join(told))
        self.problems.setVisible(bool(told))

    def _step_title(self) -> str:
        raise NotImplementedError

    def _on_accepted(self) -> None:
        plan = self.plan
        if plan is None:
            return
        try:
            take_over(self._project, plan, title=self._step_title())
        except MicroscopeQCError as error:
            self._show_nothing(str(error))
            return
        changed = things(plan.slide_count, "slide")
        self._context.session.notice.emit(f"{things(len(plan.changes), 'value')} set on {changed}.")
        self.accept()


class SpecimenTableDialog(_PlanDialog):
    """What a table says about the slides, beside what is known now."""

    def __init__(self, context: Context, path: Path, parent: QWidget | None = None) -> None:
        super().__init__(context, f"Specimens from {path.name}", parent)
        self._path = path
        self.add_fields = QCheckBox("Make fields of other columns")
        self.clear = QCheckBox("Empty cells take values away")
        for box in (self.add_fields, self.clear):
            box.toggled.connect(self._read)
            self.options.addWidget(box)
        self.options.addStretch(1)
        self._read()

    def _read(self, *_: object) -> None:
        known = SlidesAndFields.of(self._project)
        options = {"add_fields": self.add_fields.isChecked(), "clear": self.clear.isChecked()}
        self._ask(partial(read_fields, known, self._path, **options), self._show)

    def _show(self, plan: FieldPlan) -> None:
        self.plan = plan
        head = ("Slide", "Field", "Now", "New")
        rows = [
            (c.slide, c.field.heading, c.field.text(c.before) or UNKNOWN, c.field.text(c.after) or UNKNOWN)
            for c in plan.changes
        ]
        self.cells.show_cells(head, rows, frozenset())
        self._show_problems(plan)
        found = things(plan.slides, "slide")
        new = f", and {things(len(plan.new), 'field')} would be added" if plan.new else ""
        values = things(len(plan.changes), "value")
        would = f"{values} on {things(plan.slide_count, 'slide')} would change{new}." if plan.changes else (
            "Nothing would change: everything is there already." if plan.slides else "Nothing would change."
        )  # fmt: skip
        left = f" {things(len(plan.problems), 'remark')} below." if plan.problems else ""
        self._say(f"The table is about {found}. {would}{left}")

    def _step_title(self) -> str:
        return f"Fields from {self._path.name}"


class SpecimenNamesDialog(_PlanDialog):
    """A pattern of file names, and what it reads from each, while it is typed."""

    def __init__(self, context: Context, parent: QWidget | None = None) -> None:
        super().__init__(context, "Specimens from file names", parent)
        self.pattern = QLineEdit()
        self.pattern.setPlaceholderText("{batch}_{specimen}_{part}")
        self.pattern.setToolTip("{*} stands for anything; a field never holds the character before or after it")
        self.insert = QPushButton("Insert field")
        self.insert.setAutoDefault(False)
        menu = QMenu(self.insert)
        for field in self._project.fields.known:
            menu.addAction(field.title or field.name, partial(self._insert, field))
        self.insert.setMenu(menu)
        self.slides = SlideChoice(context.session)
        line = QHBoxLayout()
        line.addWidget(QLabel("Pattern"))
        line.addWidget(self.pattern, 1)
        line.addWidget(self.insert)
        left = QVBoxLayout()
        left.addLayout(line)
        if len(self.slides.buttons) > 1:
            left.addWidget(self.slides)
        self.options.addLayout(left, 1)
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(AFTER_MS)
        self._soon.timeout.connect(self._read)
        self.pattern.textChanged.connect(lambda _text: self._soon.start())
        self.slides.changed.connect(self._read)
        self.pattern.setText(str(self._project.settings.get("name_pattern", "")))
        self._read()
        self.pattern.setFocus()

    @property
    def up_to_date(self) -> bool:
        """Whether what is shown is what the pattern says."""
        return not self._soon.isActive() and super().up_to_date

    def _insert(self, field: SpecimenField) -> None:
        self.pattern.insert(f"{{{field.name}}}")
        self.pattern.setFocus()

    def _read(self) -> None:
        known, text, ids = SlidesAndFields.of(self._project), self.pattern.text(), self.slides.slide_ids()

        def make() -> tuple[tuple[SpecimenField, ...], list[NameReading]]:
            pattern = name_pattern(known.fields, text)
            return pattern.fields, read_names(known, pattern, slide_ids=ids)

        if not text.strip():
            self._asked += 1
            self._answered = self._asked
            names = [slide.path.name for slide in known.slides if slide.id in set(ids)]
            self._show_nothing(
                "Write how the names of the files are made, such as {batch}_{specimen}_{part} for "
                f"names like {names[0] if names else 'B7_INSP044_anode'}."
            )
            return
        self._ask(make, self._show)

    def _show(self, found: tuple[tuple[SpecimenField, ...], list[NameReading]]) -> None:
        fields, readings = found
        self.plan = plan_of_names(readings)
        rows = [
            (r.stem, r.problem) if r.problem else (r.stem, *(_change(r, field) for field in fields)) for r in readings
        ]
        quiet = frozenset(place for place, reading in enumerate(readings) if reading.problem)
        self.cells.show_cells(("File", *(field.heading for field in fields)), rows, quiet)
        self.problems.hide()
        fit = f"{self.plan.slides} of {things(len(readings), 'name')} {plural(self.plan.slides, 'fits', 'fit')}."
        values = f"{things(len(self.plan.changes), 'value')} on {things(self.plan.slide_count, 'slide')}"
        self._say(f"{fit} {values} would change." if self.plan.changes else f"{fit} Nothing would change.")

    def _step_title(self) -> str:
        if not self._project.read_only:
            self._project.settings.remember("name_pattern", self.pattern.text())
        return f"Fields from file names {self.pattern.text()}"


def _change(reading: NameReading, field: SpecimenField) -> str:
    """The value that is read, after the one that it replaces."""
    after, before = field.text(reading.values.get(field)), field.text(reading.slide.fields.get(field.name))
    return f"{after}  (now {before})" if before and after and before != after else after
