"""What helps with marks: snapping to the exact place, positions from the clipboard and from SEM pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QPushButton, QTableView, QVBoxLayout, QWidget

from microscope_qc.app.panels.sem.drift_dialog import DriftDialog
from microscope_qc.app.panels.sem.pictures_dialog import PicturesDialog
from microscope_qc.app.widgets.gating import allow
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.jobs import run_job
from microscope_qc.core.wording import rounded_text

if TYPE_CHECKING:
    from microscope_qc.app.base.jobs import JobRunner
    from microscope_qc.app.panels.sem.marks import MarksModel
    from microscope_qc.app.session.session import Session
    from microscope_qc.project.records import Mark
    from microscope_qc.workflows.stage.sem_pictures import SemPictures

PICTURES = "Pictures (*.tif *.tiff *.czi);;All files (*)"


class MarkTools(QWidget):
    """Buttons below the table of marks; pixels and pictures are read in workers."""

    def __init__(self, session: Session, jobs: JobRunner, model: MarksModel, table: QTableView) -> None:
        super().__init__()
        self._session, self._jobs, self._model, self._table = session, jobs, model, table
        self.snap = QPushButton("Snap")
        self.snap.setToolTip("Moves the selected mark to the corner, crossing or indent near it")
        self.paste = QPushButton("Paste positions")
        self.paste.setToolTip("Stage positions from the clipboard: a line for each mark, from the selected one on")
        self.pictures = QPushButton("SEM pictures…")
        self.pictures.setToolTip("Pictures of the marks (Zeiss, FEI) say where they were taken; or drop them here")
        self.drift = QPushButton("Drift…")
        self.drift.setToolTip("Marks that are visited again tell how the stage has moved since the alignment")
        self.asked: PicturesDialog | None = None
        self.drifting: DriftDialog | None = None
        column, row, second = QVBoxLayout(self), QHBoxLayout(), QHBoxLayout()
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(row)
        column.addLayout(second)
        second.addWidget(self.drift)
        second.addStretch(1)
        self.drift.clicked.connect(self._on_drift_clicked)
        for button, act in (
            (self.snap, self._on_snap_clicked),
            (self.paste, self._on_paste_clicked),
            (self.pictures, self._on_pictures_clicked),
        ):
            row.addWidget(button)
            button.clicked.connect(act)
        row.addStretch(1)

    def refresh(self) -> None:
        """Say what can be done."""
        none = "" if self._model.marks else "Place a mark first."
        allow(self._session, self.snap, self.paste, self.pictures, unless=none)
        allow(self._session, self.drift, unless="" if self._alignment else "Align the slide first.")

    @property
    def _alignment(self) -> str:
        """Name of the newest alignment of the slide, "" without one."""
        project, slide = self._session.project, self._session.slide
        if project is None or slide is None:
            return ""
        return next((known.name for known in reversed(project.registrations) if known.slide_id == slide.id), "")

    def _on_drift_clicked(self) -> None:
        project, slide, name = self._session.project, self._session.slide, self._alignment
        if project is None or slide is None or not name:
            return
        try:
            self.drifting = DriftDialog(project, slide.id, name, self)
        except MicroscopeQCError as error:
            self._session.notice.emit(str(error))
            return
        self.drifting.finished.connect(self.drifting.deleteLater)
        self.drifting.open()

    def _on_snap_clicked(self) -> None:
        from microscope_qc.workflows.stage.marks import exact_place, move_to

        project, slide, index = self._session.project, self._session.slide, self._table.currentIndex()
        if project is None or slide is None or not index.isValid():
            self._session.notice.emit("Select a mark first.")
            return
        mark = self._model.marks[index.row()]

        def found(place: tuple[float, float]) -> None:
            if self._session.project is project and mark in project.marks.of_slide(slide.id):
                moved = move_to(project, mark, place)
                self._session.notice.emit(f"{mark.name} moved by {rounded_text(moved)} px.")

        self._jobs.call(lambda: exact_place(slide, mark), on_done=found, on_failed=self._on_failed)

    def _on_paste_clicked(self) -> None:
        from microscope_qc.workflows.stage.marks import pasted_positions

        try:
            text = QGuiApplication.clipboard().text()
            self._keep(pasted_positions(self._model.marks, text, start=max(self._table.currentIndex().row(), 0)))
        except MicroscopeQCError as error:
            self._session.notice.emit(str(error))

    def _on_pictures_clicked(self) -> None:
        chosen, _ = QFileDialog.getOpenFileNames(self, "SEM pictures of the marks", "", PICTURES)
        if chosen:
            self.read_pictures([Path(name) for name in chosen])

    def read_pictures(self, paths: Sequence[Path]) -> None:
        """Read where pictures were taken, and ask which marks they show."""
        from microscope_qc.workflows.stage.sem_pictures import read_sem_pictures

        marks = list(self._model.marks)
        if not marks:
            self._session.notice.emit("Place the marks on the slide first; then drop the pictures of them.")
            return
        self._jobs.call(
            lambda: run_job(read_sem_pictures(list(paths), marks)),
            on_done=lambda found: self._ask(found, marks),
            on_failed=self._on_failed,
        )

    def _ask(self, found: SemPictures, marks: list[Mark]) -> None:
        if marks != self._model.marks:  # another slide is on screen, or they were moved
            self._session.notice.emit("The marks have changed meanwhile: drop the pictures again.")
            return
        project, dialog = self._session.project, PicturesDialog(found, marks, self)

        def accepted() -> None:
            if self._session.project is project:
                self._keep(dialog.positions)

        dialog.accepted.connect(accepted)
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()
        self.asked = dialog

    def _keep(self, positions: dict[int, tuple[float, float]]) -> None:
        from microscope_qc.workflows.stage.marks import keep_positions

        if self._session.project is not None:
            keep_positions(self._session.project, positions)

    def _on_failed(self, error: BaseException) -> None:
        if not isinstance(error, MicroscopeQCError):
            raise error
        self._session.notice.emit(str(error))
