"""Importing a table of EDX measurements: what belongs to which finding is shown first; then it is one undo step."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QLabel,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from microscope_qc.app.base import theme
from microscope_qc.app.panels.sem.edx_rows import EdxRow, EdxRows
from microscope_qc.app.panels.sem.tables import fit_table, plain_table
from microscope_qc.core.composition import UNITS, composition_text, of_unit
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.jobs import run_job
from microscope_qc.core.wording import things

if TYPE_CHECKING:
    from microscope_qc.app.base.jobs import JobRunner
    from microscope_qc.app.session.session import Session
    from microscope_qc.workflows.stage.edx import EdxPlan

MOST_NOTES = 6
BY_NUMBER_ONLY = "none: by numbers only"


class EdxDialog(QDialog):
    """Reads the table in a worker; :attr:`plan` and :attr:`places` are what to import after ``accept``."""

    def __init__(self, session: Session, jobs: JobRunner, path: Path, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("edxDialog")
        self.setWindowTitle("Import EDX measurements")
        self._session, self._jobs, self._path = session, jobs, path
        self._project = session.project
        self._generation = 0
        self.plan: EdxPlan | None = None
        self.places: dict[int, int | None] = {}
        """What the user typed: findings by row, None for no finding. It stays when the alignment is changed."""
        self._labels: list[str] = []
        self.alignment, self.unit = QComboBox(), QComboBox()
        self.rows, self.table = EdxRows(self), QTableView()
        self.summary = QLabel()
        self.any_sum = QCheckBox("Import also what does not add up to about 100 %")
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.take = self.buttons.addButton("Import", QDialogButtonBox.ButtonRole.AcceptRole)
        self._fill()
        self._lay_out()
        self.alignment.activated.connect(lambda _place: self._read())
        self.unit.activated.connect(lambda _place: self._read())
        self.rows.finding_typed.connect(self._on_finding_typed)
        self.any_sum.toggled.connect(lambda _on: self._allow())
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        self.finished.connect(self._on_finished)
        self._read()

    def _fill(self) -> None:
        project, slide = self._project, self._session.slide
        names = {record.id: record.name for record in project.slides} if project is not None else {}
        for record in reversed(project.registrations) if project is not None else ():
            self.alignment.addItem(f"{record.name} of {names[record.slide_id]}", (record.name, record.slide_id))
            if slide is not None and record.slide_id == slide.id and self.alignment.currentIndex() == 0:
                self.alignment.setCurrentIndex(self.alignment.count() - 1)
        if not self.alignment.count():
            self.alignment.addItem(BY_NUMBER_ONLY, None)
        self.unit.addItem("as the table says", None)
        for key, words in UNITS.items():
            self.unit.addItem(words, key)
        self.table.setModel(self.rows)
        plain_table(self.table)

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.setHorizontalSpacing(2 * theme.STEP)
        file = QLabel(self._path.name)
        file.setToolTip(str(self._path))
        form.addRow("File", file)
        form.addRow("Alignment", self.alignment)
        form.addRow("Amounts without a unit", self.unit)
        self.summary.setWordWrap(True)
        self.summary.setTextFormat(Qt.TextFormat.PlainText)
        self.summary.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        hint = QLabel("Nothing has been written yet. The import is one undo step.")
        hint.setProperty("quiet", True)
        column = QVBoxLayout(self)
        column.setContentsMargins(2 * theme.STEP, 2 * theme.STEP, 2 * theme.STEP, 2 * theme.STEP)
        column.setSpacing(theme.STEP)
        column.addLayout(form)
        column.addWidget(self.table)
        column.addWidget(self.summary)
        column.addWidget(self.any_sum)
        self.any_sum.hide()
        column.addStretch(1)
        column.addWidget(hint)
        column.addWidget(self.buttons)
        self.resize(860, 420)

    # -- reading -----------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        if self._project is None:
            return
        self._generation += 1
        generation, place, path = self._generation, self._project.path, self._path
        registration, aligned_on = self.alignment.currentData() or (None, None)
        unit = self.unit.currentData()
        self.plan = None
        self._allow()
        self._say("Reading…")

        def work() -> EdxPlan:
            from microscope_qc.project import Project
            from microscope_qc.workflows.stage.edx import plan_edx

            with Project.open(place, write=False) as reader:
                return run_job(plan_edx(reader, path, registration=registration, aligned_on=aligned_on, unit=unit))

        self._jobs.call(
            work,
            on_done=lambda plan: self._on_read(generation, plan),
            on_failed=lambda error: self._on_failed(generation, error),
        )

    def _on_finished(self) -> None:
        self._generation += 1  # what is still being read comes too late

    def _on_read(self, generation: int, plan: EdxPlan) -> None:
        if generation == self._generation:
            self.plan = plan
            labels = [placement.label for placement in plan.placements]
            if labels != self._labels:
                self._labels, self.places = labels, {}
            self.any_sum.setVisible(bool(plan.unusual_sums))
            self._show()
            fit_table(self.table, rows=(4, 14))

    def _on_failed(self, generation: int, error: BaseException) -> None:
        from microscope_qc.correlation.edx_tables import UnitNotSaidError

        if generation != self._generation:
            return
        if not isinstance(error, MicroscopeQCError):
            self.reject()
            raise error
        self.rows.show([])
        self.any_sum.hide()
        asks = isinstance(error, UnitNotSaidError)
        self._say(f"{error.message} Choose it above." if asks else str(error), error=True)
        if asks:
            self.unit.setFocus()

    def _show(self) -> None:
        assert self.plan is not None
        rows = []
        for place, placement in enumerate(self.plan.placements):
            typed = place in self.places
            finding = self.places[place] if typed else placement.box_id
            remark = " ".join([*([placement.reason] if finding is None and placement.reason else []),
                               *placement.spectrum.notes])  # fmt: skip
            by = "user" if typed else placement.by
            composition = composition_text(of_unit(placement.spectrum.amounts, "at").values())
            rows.append(EdxRow(placement.label, finding, by, composition, remark))
        self.rows.show(rows)
        placed = sum(row.finding is not None for row in rows)
        words = [f"{things(placed, 'measurement')} of {len(rows)} with a finding; the others are kept without one."]
        if placed == len(rows):
            words = [f"{things(placed, 'measurement')}, each with a finding."]
        words += [f"{label}: {why}" for label, why in self.plan.matching.unmatched.items() if "no amounts" in why]
        words += self.plan.matching.notes
        more = len(words) - MOST_NOTES
        doubtful = any(placement.spectrum.notes for placement in self.plan.matching.placements)
        self._say("\n".join([*words[:MOST_NOTES], *([f"… and {more} more"] if more > 0 else [])]), error=doubtful)
        self.take.setText(f"Import {things(len(rows), 'measurement')}")
        self._allow()

    def _allow(self) -> None:
        plan = self.plan
        asked = plan is not None and bool(plan.unusual_sums) and not self.any_sum.isChecked()
        self.take.setEnabled(plan is not None and bool(plan.placements) and not asked)
        self.take.setToolTip("Some compositions do not add up to about 100 %: allow them above" if asked else "")

    def _say(self, words: str, *, error: bool = False) -> None:
        theme.mark_error(self.summary, error)
        self.summary.setText(words)

    def _on_finding_typed(self, place: int, typed: str) -> None:
        try:
            self.places[place] = typed_finding(self._session, typed)
        except MicroscopeQCError as error:
            self._say(str(error), error=True)
            return
        if self.plan is not None:  # else it is shown when the table has been read
            self._show()


def typed_finding(session: Session, typed: str) -> int | None:
    """The finding that a user typed the number of; None for nothing.

    Raises
    ------
    InputError
        When there is no such finding.
    """
    from microscope_qc.core.errors import InputError
    from microscope_qc.correlation.edx_tables import finding_number

    if not typed.strip("–- "):
        return None
    number, project = finding_number(typed), session.project
    if number is None or project is None:
        raise InputError(f"“{typed[:30]}” is not the number of a finding.", hint="Type a number, or nothing for none.")
    project.boxes.slide_of(number)
    return number
