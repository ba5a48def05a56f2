"""EDX measurements in the SEM panel: their import, and the findings they belong to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QModelIndex
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QPushButton, QTableView, QVBoxLayout, QWidget

from microscope_qc.app.base import theme
from microscope_qc.app.base.refresh import Refresh
from microscope_qc.app.base.signals import link
from microscope_qc.app.panels.sem.candidates import CandidateView
from microscope_qc.app.panels.sem.edx_dialog import EdxDialog, typed_finding
from microscope_qc.app.panels.sem.edx_rows import FINDING, EdxRow, EdxRows
from microscope_qc.app.panels.sem.tables import fit_table, plain_table
from microscope_qc.app.widgets.gating import allow
from microscope_qc.app.widgets.parts import note
from microscope_qc.core.composition import composition_text, of_unit
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.wording import things

if TYPE_CHECKING:
    from microscope_qc.app.base.jobs import JobRunner
    from microscope_qc.app.base.settings import AppSettings
    from microscope_qc.app.session.session import Session
    from microscope_qc.app.widgets.crops import CropProvider
    from microscope_qc.project import EdxMeasurement

REFRESH_MS = 60
FILES = (
    "Tables and spectra (*.csv *.txt *.xlsx *.xlsm *.msa *.emsa *.ems *.h5oina);;"
    "Tables (*.csv *.txt *.xlsx *.xlsm);;Spectra (*.msa *.emsa *.ems *.h5oina *.txt);;All files (*)"
)


class MeasurementList(QWidget):
    """All measurements, those without a finding first; a finding is typed, and its name is a way to it."""

    def __init__(
        self,
        session: Session,
        jobs: JobRunner,
        settings: AppSettings,
        parent: QWidget | None = None,
        *,
        save: Callable[[], None],
        crops: CropProvider,
    ) -> None:
        super().__init__(parent)
        self._session, self._jobs, self._crops = session, jobs, crops
        self._settings, self._save = settings, save
        self._known: list[EdxMeasurement] = []
        self.words, self.model, self.table = note(), EdxRows(self), QTableView()
        self.table.setModel(self.model)
        plain_table(self.table)
        self.candidates = CandidateView(session, crops)
        self.load = QPushButton(theme.icon("table-arrow-right"), "Import EDX…")
        self.delete = QPushButton(theme.icon("delete-outline"), "Delete")
        row = QHBoxLayout()
        row.addWidget(self.load)
        row.addWidget(self.delete)
        row.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addWidget(self.words)
        column.addWidget(self.table)
        column.addWidget(self.candidates)
        column.addLayout(row)
        self._due = Refresh(self, self.refresh, after_ms=REFRESH_MS)
        for signal in (session.measurements_changed, session.project_changed):
            link(self, signal, self._due.soon)
        self.load.clicked.connect(self.ask)
        self.delete.clicked.connect(self._on_delete_clicked)
        self.model.finding_typed.connect(self._on_finding_typed)
        self.table.clicked.connect(self._on_clicked)
        self.table.selectionModel().currentRowChanged.connect(lambda _now, _before: self._show_candidates())
        self.candidates.taken.connect(self._on_candidate_taken)
        self.refresh()

    def refresh(self) -> None:
        """Show the measurements of the project."""
        self._due.stop()
        project = self._session.project
        links = {} if project is None else project.measurements.links
        known = [] if project is None else list(project.measurements)
        self._known = sorted(known, key=lambda one: (one.id in links, one.id))
        rows = []
        for one in self._known:
            found = links.get(one.id)
            finding, by = (None, "") if found is None else (found.finding_id, found.matched_by)
            composition = composition_text(of_unit(one.amounts, "at").values())
            kind = "" if one.kind == "point" else f"{one.kind}. "
            if project is not None and one.id in project.measurements.spectra:
                kind = f"spectrum. {kind}" if composition else kind
                composition = composition or "spectrum"
            rows.append(EdxRow(one.label, finding, by, composition, f"{kind}{one.note}".strip()))
        self.model.editable = self._session.can_write
        self.model.show(rows)
        fit_table(self.table, rows=(1, 8))
        self.table.setVisible(bool(rows))
        unplaced = sum(row.finding is None for row in rows)
        text = "Compositions that were measured at the SEM come back to their findings here."
        if rows:
            text = f"{things(len(rows), 'measurement')}."
            if unplaced:
                text += f" {unplaced} without a finding: type its number."
        self.words.setText(text)
        allow(self._session, self.load, self.delete)
        self.delete.setVisible(bool(rows))
        self._show_candidates()

    def import_from(self, *paths: Path) -> EdxDialog:
        """Show what a table, or files with spectra, hold, and import it when the user accepts."""
        from microscope_qc.workflows.stage.edx import keep_edx

        project, settings = self._session.project, self._settings
        dialog = EdxDialog(
            self._session, self._jobs, paths, self,
            crops=self._crops, sites=settings.edx_sites, layouts=settings.edx_columns,
        )  # fmt: skip

        def accepted() -> None:
            if project is None or dialog.plan is None or self._session.project is not project:
                return
            try:
                keep_edx(project, dialog.plan, places=dialog.places, any_sum=dialog.any_sum.isChecked())
            except MicroscopeQCError as error:
                self._session.notice.emit(str(error))
            settings.edx_sites, settings.edx_columns = dialog.sites.text(), dialog.layouts
            self._save()
            self.refresh()

        dialog.accepted.connect(accepted)
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()
        return dialog

    def ask(self) -> None:
        """Ask for a table or for spectra, and show what they hold."""
        project = self._session.project
        if project is not None:
            chosen, _ = QFileDialog.getOpenFileNames(self, "Import EDX", str(project.path.parent), FILES)
            self.import_all([Path(path) for path in chosen])

    def import_all(self, paths: Sequence[Path]) -> None:
        """Import files one after another, those with spectra all at once."""
        from microscope_qc.correlation.edx_files import SPECTRA

        spectra = [path for path in paths if path.suffix.lower() in SPECTRA]
        for table in paths:
            if table not in spectra:
                self.import_from(table)
        if spectra:
            self.import_from(*spectra)

    def _show_candidates(self) -> None:
        """Show what a measurement without a finding may belong to."""
        from microscope_qc.workflows.stage.edx import candidates_of

        project, place = self._session.project, self.table.currentIndex().row()
        if project is None or not 0 <= place < len(self._known) or self.model.rows[place].finding is not None:
            self.candidates.hide()
            return
        one = self._known[place]
        try:
            ids = candidates_of(project, one)
        except MicroscopeQCError as error:  # the alignment cannot be read
            self._session.notice.emit(str(error))
            return
        where = None if one.on_slide is None or one.place_px is None else (one.on_slide, *one.place_px)
        self.candidates.show_candidates(one.label, ids, where)

    def _on_candidate_taken(self, finding: int) -> None:
        self._link(self.table.currentIndex().row(), lambda: finding)

    def _on_finding_typed(self, place: int, typed: str) -> None:
        self._link(place, lambda: typed_finding(self._session, typed))

    def _link(self, place: int, finding: Callable[[], int | None]) -> None:
        """Say where a measurement belongs, together with the others of its site that belonged where it did."""
        from microscope_qc.workflows.stage.edx import site_of

        project = self._session.project
        if project is None:
            return
        links, one = project.measurements.links, self._known[place].id

        def now(number: int) -> int | None:
            return links[number].finding_id if number in links else None

        try:
            together = [n for n in site_of(project, one, sites=self._settings.edx_sites) if now(n) == now(one)]
            project.measurements.link(dict.fromkeys(together, finding()))
        except MicroscopeQCError as error:
            self._session.notice.emit(str(error))

    def _on_delete_clicked(self) -> None:
        project, index = self._session.project, self.table.currentIndex()
        if project is None or not index.isValid():
            self._session.notice.emit("Select a measurement first.")
            return
        try:
            project.measurements.delete([self._known[index.row()].id])
        except MicroscopeQCError as error:
            self._session.notice.emit(str(error))

    def _on_clicked(self, index: QModelIndex) -> None:
        finding = self.model.rows[index.row()].finding
        if finding is not None and index.column() != FINDING:
            self._session.navigation.select_and_centre(finding)
