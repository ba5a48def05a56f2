"""Importing EDX measurements: what belongs to which finding is shown first; then it is one undo step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QLabel,
    QLineEdit,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from microscope_qc.app.base import theme
from microscope_qc.app.panels.sem.candidates import CandidateView
from microscope_qc.app.panels.sem.columns_dialog import ColumnsDialog
from microscope_qc.app.panels.sem.edx_rows import EdxRow, EdxRows
from microscope_qc.app.panels.sem.tables import fit_table, plain_table
from microscope_qc.core.composition import UNITS, composition_text, of_unit
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.jobs import run_job
from microscope_qc.core.wording import things

if TYPE_CHECKING:
    from microscope_qc.app.base.jobs import JobRunner
    from microscope_qc.app.session.session import Session
    from microscope_qc.app.widgets.crops import CropProvider
    from microscope_qc.correlation.edx_columns import EdxColumns
    from microscope_qc.workflows.stage.edx import EdxPlan

MOST_NOTES, MOST_NAMES = 6, 30
BY_NUMBER_ONLY = "none: by numbers only"


class EdxDialog(QDialog):
    """Reads table or spectra in a worker; :attr:`plan` and :attr:`places` are what to import after ``accept``.

    Parameters
    ----------
    sites
        The pattern of labels to begin with, see :mod:`microscope_qc.correlation.sites`.
    layouts
        What is remembered of the columns of tables, see :func:`microscope_qc.correlation.edx_columns.remembered`.
    """

    def __init__(
        self,
        session: Session,
        jobs: JobRunner,
        paths: Sequence[Path],
        parent: QWidget | None = None,
        *,
        crops: CropProvider,
        sites: str,
        layouts: Mapping[str, dict[str, Any]],
    ) -> None:
        super().__init__(parent)
        self.setObjectName("edxDialog")
        self.setWindowTitle("Import EDX measurements")
        self._session, self._jobs, self._paths = session, jobs, list(paths)
        self._project = session.project
        self._generation = 0
        self.plan: EdxPlan | None = None
        self.places: dict[int, int | None] = {}
        """What the user typed: findings by row, None for no finding. It stays when the alignment is changed."""
        self._labels: list[str] = []
        self._pattern = sites
        self.layouts = dict(layouts)
        """What is remembered of the columns of tables, with what the user said here."""
        self._columns: EdxColumns | None = None
        self.asked: ColumnsDialog | None = None
        self.alignment, self.unit, self.sites = QComboBox(), QComboBox(), QLineEdit(sites)
        self.sites.setToolTip(
            "Point 1 of a site lies on the defect, its other points are references beside it; a site is one finding.\n"
            "Empty: every label is a place of its own."
        )
        self.candidates = CandidateView(session, crops)
        self.rows, self.table = EdxRows(self), QTableView()
        self.summary = QLabel()
        self.any_sum = QCheckBox("Import also what is doubtful: wrong sums, missing amounts, swapped units")
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.take = self.buttons.addButton("Import", QDialogButtonBox.ButtonRole.AcceptRole)
        self.ask_columns = self.buttons.addButton("Columns…", QDialogButtonBox.ButtonRole.ActionRole)
        self.ask_columns.setToolTip("Say what the columns hold, where the table is not read as it should be")
        self._fill()
        self._lay_out()
        self.alignment.activated.connect(lambda _place: self._read())
        self.unit.activated.connect(lambda _place: self._read())
        self.sites.editingFinished.connect(self._on_sites_edited)
        self.rows.finding_typed.connect(self._on_finding_typed)
        self.table.selectionModel().currentRowChanged.connect(lambda _now, _before: self._show_candidates())
        self.candidates.taken.connect(self._on_candidate_taken)
        self.any_sum.toggled.connect(lambda _on: self._allow())
        self.ask_columns.clicked.connect(self._on_columns_clicked)
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
        one = len(self._paths) == 1
        file = QLabel(self._paths[0].name if one else f"{self._paths[0].name} and {len(self._paths) - 1} more")
        file.setToolTip("\n".join(map(str, self._paths[:MOST_NAMES])))
        form.addRow("File" if one else "Files", file)
        form.addRow("Alignment", self.alignment)
        form.addRow("Amounts without a unit", self.unit)
        form.addRow("Sites in labels", self.sites)
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
        column.addWidget(self.candidates)
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
        generation, place, paths = self._generation, self._project.path, self._paths
        registration, aligned_on = self.alignment.currentData() or (None, None)
        unit, sites = self.unit.currentData(), self._pattern
        self.plan = None
        self._allow()
        self._say("Reading…")

        layouts = dict(self.layouts)

        def work() -> tuple[EdxPlan, EdxColumns | None]:
            from microscope_qc.correlation.edx_columns import remembered
            from microscope_qc.correlation.edx_files import holds_spectra
            from microscope_qc.project import Project
            from microscope_qc.workflows.stage.edx import plan_edx

            sheets = _cells(paths[0]) if layouts and not holds_spectra(paths[0]) else []
            columns = next((known for rows in sheets if (known := remembered(rows, layouts))), None)
            with Project.open(place, write=False) as reader:
                job = plan_edx(
                    reader,
                    paths,
                    registration=registration,
                    aligned_on=aligned_on,
                    unit=unit,
                    sites=sites,
                    columns=columns,
                )
                return run_job(job), columns

        self._jobs.call(
            work,
            on_done=lambda read: self._on_read(generation, *read),
            on_failed=lambda error: self._on_failed(generation, error),
        )

    def _on_finished(self) -> None:
        self._generation += 1  # what is still being read comes too late

    def _on_read(self, generation: int, plan: EdxPlan, columns: EdxColumns | None) -> None:
        if generation == self._generation:
            self.plan, self._columns = plan, columns
            labels = [placement.label for placement in plan.placements]
            if labels != self._labels:
                self._labels, self.places = labels, {}
            self.any_sum.setVisible(bool(plan.doubts))
            self.ask_columns.setVisible(not any(known.spectrum.energy for known in plan.placements))
            self._show()
            fit_table(self.table, rows=(4, 14))
            self._select_doubtful()

    def _on_failed(self, generation: int, error: BaseException) -> None:
        from microscope_qc.correlation.edx_tables import UnitNotSaidError

        if generation != self._generation:
            return
        if not isinstance(error, MicroscopeQCError):
            self.reject()
            raise error
        self.rows.show([])
        self.candidates.hide()
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
            role = placement.kind + f" of site {placement.site}" if placement.site else ""
            why = placement.reason if finding is None else ""
            remark = " ".join(words for words in (f"{role}." * bool(role), why, *placement.spectrum.notes) if words)
            by = "user" if typed else placement.by
            energy = placement.spectrum.energy
            composition = composition_text(of_unit(placement.spectrum.amounts, "at").values())
            composition = composition or ("" if energy is None else energy.words)
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
        asked = plan is not None and bool(plan.doubts) and not self.any_sum.isChecked()
        self.take.setEnabled(plan is not None and bool(plan.placements) and not asked)
        self.take.setToolTip("Some compositions are doubtful: allow them above" if asked else "")

    def _say(self, words: str, *, error: bool = False) -> None:
        theme.mark_error(self.summary, error)
        self.summary.setText(words)

    def _select_doubtful(self) -> None:
        """Begin with what a person must decide."""
        assert self.plan is not None
        doubtful = [n for n, known in enumerate(self.plan.placements) if known.candidates and n not in self.places]
        if doubtful:
            self.table.selectRow(doubtful[0])
        self._show_candidates()

    def _show_candidates(self) -> None:
        place = self.table.currentIndex().row()
        if self.plan is None or not 0 <= place < len(self.plan.placements):
            self.candidates.hide()
            return
        known = self.plan.placements[place]
        ids = () if self.places.get(place) is not None else known.candidates
        self.candidates.show_candidates(known.site or known.label, ids, self.plan.place_of(known))

    def _on_sites_edited(self) -> None:
        if self.sites.text() != self._pattern:
            self._pattern = self.sites.text()
            self._labels = []  # what was typed was about other sites
            self._read()

    def _on_columns_clicked(self) -> None:
        """Ask what the columns hold; the cells are read in a worker."""
        path, generation = self._paths[0], self._generation
        self._jobs.call(
            lambda: _cells(path),
            on_done=lambda sheets: self._ask_columns(sheets, generation),
            on_failed=lambda error: self._on_failed(generation, error),
        )

    def _ask_columns(self, sheets: list[list[list[str]]], generation: int) -> None:
        if generation != self._generation:
            return
        self.asked = ColumnsDialog(max(sheets, key=len), self._columns, self)
        self.asked.accepted.connect(self._on_columns_said)
        self.asked.finished.connect(self.asked.deleteLater)
        self.asked.open()

    def _on_columns_said(self) -> None:
        if self.asked is not None and self.asked.columns is not None:
            self.layouts[self.asked.layout_key] = self.asked.columns.to_json()
            self._labels = []  # others may stand there
            self._read()

    def _on_candidate_taken(self, finding: int) -> None:
        self._place(self.table.currentIndex().row(), finding)
        if self.plan is not None:
            self._select_doubtful()

    def _on_finding_typed(self, place: int, typed: str) -> None:
        try:
            self._place(place, typed_finding(self._session, typed))
        except MicroscopeQCError as error:
            self._say(str(error), error=True)

    def _place(self, place: int, finding: int | None) -> None:
        """Take over what a user decided; it is said of all points of a site."""
        self.places[place] = finding
        if self.plan is not None:  # else it is shown when the table has been read
            site = self.plan.placements[place].site
            others = [n for n, known in enumerate(self.plan.placements) if site and known.site == site]
            self.places.update(dict.fromkeys(others, finding))
            self._show()
            self._show_candidates()


def _cells(path: Path) -> list[list[list[str]]]:
    from microscope_qc.core.sheets import read_sheets

    return read_sheets(path, what="table of compositions")


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
