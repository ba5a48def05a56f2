"""Judge findings that look alike the same way: shows them before it does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QSize, Qt, QTimer
from qtpy.QtGui import QIcon
from qtpy.QtWidgets import QDialog, QDialogButtonBox, QHBoxLayout, QLabel, QListView, QSlider, QVBoxLayout, QWidget

from microscope_qc.app.widgets.crop_list import CropList
from microscope_qc.app.widgets.job_bar import JobBar
from microscope_qc.app.widgets.parts import sentence
from microscope_qc.core.arrays import Ints
from microscope_qc.core.boxes import ReviewState
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.wording import class_of, listed, plural, things
from microscope_qc.workflows.suggestions.alike import Alike, find_alike, same_for

if TYPE_CHECKING:
    from microscope_qc.app.base.jobs import JobHandle, JobRunner
    from microscope_qc.app.session.session import Session

SIZE_PX = QSize(820, 560)
STEPS = 100
USUAL = 60
"""The slider stands there at first, in per cent."""
REST_MS = 120


class AlikeDialog(QDialog):
    """A slider of how alike, and the crops that it lets through; nothing is judged before the button is pressed."""

    def __init__(self, session: Session, jobs: JobRunner, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("alikeDialog")
        self.setWindowTitle("Same for all that look like it")
        self._session = session
        self._finding = session.selection.current or 0
        self.found: Alike | None = None
        self.ids: Ints = np.empty(0, np.int64)
        self.words, self.missing, self.bar = sentence(), sentence(), JobBar()
        self.bar.setRange(0, 0)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, STEPS)
        self.slider.setValue(USUAL)
        self.slider.setEnabled(False)
        self.slider.setToolTip("How alike they must look: to the right only what looks the same")
        self.crops = CropList(session, [], self)
        self.crops.setSelectionMode(QListView.SelectionMode.NoSelection)
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.accept_button = self.buttons.addButton("Apply", QDialogButtonBox.ButtonRole.AcceptRole)
        self.accept_button.setEnabled(False)
        self.accept_button.setDefault(True)
        self.buttons.button(QDialogButtonBox.StandardButton.Cancel).setIcon(QIcon())
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(REST_MS)
        self._rest.timeout.connect(self._show_crops)
        self.slider.valueChanged.connect(self._on_moved)
        self.buttons.accepted.connect(self._on_accepted)
        self.buttons.rejected.connect(self.reject)
        self._lay_out()
        self._handle = self._look(jobs)

    def _lay_out(self) -> None:
        row = QHBoxLayout()
        for part, stretch in ((QLabel("similar"), 0), (self.slider, 1), (QLabel("the same"), 0)):
            row.addWidget(part, stretch)
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 16, 16, 16)
        column.setSpacing(8)
        column.addWidget(self.words)
        column.addLayout(row)
        column.addWidget(self.bar)
        column.addWidget(self.crops, 1)
        column.addWidget(self.missing)
        column.addWidget(self.buttons)
        self.missing.hide()
        self.resize(SIZE_PX)

    def _look(self, jobs: JobRunner) -> JobHandle | None:
        project = self._session.project
        if project is None or not self._finding:
            self._fail("Select a finding first.")
            return None
        self.words.setText("Looking at the findings …")
        job = find_alike(project.path, self._finding, slide_ids=self._session.scope.slide_ids)
        return jobs.run(
            job, "Looking for findings that look alike", on_done=self._take,
            on_failed=lambda error: self._fail(str(error)), on_cancelled=lambda: None, urgent=True, listed=False,
        )  # fmt: skip

    def done(self, result: int) -> None:
        """Qt: the dialog is closed; what still looks is stopped."""
        if self._handle is not None:
            self._handle.cancel()
        self.crops.crops.close()
        super().done(result)

    def _fail(self, words: str) -> None:
        self.bar.hide()
        self.words.setText(words)

    def _take(self, found: Alike) -> None:
        self._handle = None
        self.bar.hide()
        self.found = found
        self.slider.setEnabled(len(found.ids) > 0)
        if found.without:
            self.missing.setText(f"Not looked at, as they have not been read: {listed(list(found.without))}.")
            self.missing.show()
        self._on_moved()
        self._show_crops()

    def _on_moved(self) -> None:
        if self.found is None:
            return
        self.ids = self.found.least(self.slider.value() / STEPS)
        self.words.setText(self._rule())
        self.accept_button.setEnabled(len(self.ids) > 0)
        self._rest.start()

    def _show_crops(self) -> None:
        self.crops.show_ids(self.ids.tolist())

    def _rule(self) -> str:
        row, count = self._session.row_of(self._finding), len(self.ids)
        if row is None or not count:
            return "<b>Nothing that is unreviewed looks so much like it.</b><br>Move the slider to the left."
        code = class_of(self._session.findings.classes, row).code
        verb = {ReviewState.CONFIRMED: f"Confirm {things(count, 'finding')} as {code}",
                ReviewState.REJECTED: f"Reject {things(count, 'finding')} as “{row['reason']}”"}.get(
            ReviewState(int(row["state"])), f"Give {things(count, 'finding')} the class {code}"
        )  # fmt: skip
        return f"<b>{verb}?</b><br>{plural(count, 'It is', 'They are')} unreviewed, the most alike first. One undo " \
               f"reverts it."  # fmt: skip

    def _on_accepted(self) -> None:
        project = self._session.project
        try:
            if project is not None:
                same_for(project, self._finding, self.ids, carry_out=self._session.writing.carry_out)
        except MicroscopeQCError as error:
            self._session.notice.emit(str(error))
        self.accept()
