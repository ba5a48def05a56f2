"""By what severities are worked out: weights of the parts, limits of the classes, and medians kept with them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from microscope_qc.analysis.severity import PARTS, SeverityProfile
from microscope_qc.app.base import theme
from microscope_qc.app.base.number_entry import NumberEntry
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.numbers import Quantity
from microscope_qc.workflows.review.severity import class_medians, keep_profile, profile_of, profile_words

if TYPE_CHECKING:
    from microscope_qc.analysis.acceptance import Limit
    from microscope_qc.app.base.jobs import JobRunner
    from microscope_qc.app.session.session import Session

ABOUT = (
    "Severity is 100 times the weight of the class and the weighted mean of these parts. Size is full at the limit of "
    "the class, or at four times its median; medians are kept as they are now. Confidence is no part of it."
)
_TITLES = {"size": "Size", "anomaly": "Anomaly", "crowding": "Crowding"}
_TABLES = "Tables (*.csv *.xlsx)"


class SeverityDialog(QDialog):
    """Shows the profile and keeps another one; medians are worked out in the background."""

    def __init__(self, session: Session, jobs: JobRunner, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Severity")
        self._session, self._jobs = session, jobs
        self._limits: list[Limit] | None = None
        project = session.project
        profile = SeverityProfile() if project is None else profile_of(project)
        self.parts = {
            name: NumberEntry(Quantity(f"The weight of {name}", "", 0.0, 100.0), getattr(profile, name), step=0.05)
            for name in PARTS
        }
        self.radius = NumberEntry(Quantity("The radius", "µm", 0.001, 1e6), profile.radius_um, step=10.0)
        self.words = QLabel("" if project is None else profile_words(project))
        self.limits = QPushButton("Limits from a table…")
        self.limits.clicked.connect(self._on_limits_clicked)
        about = QLabel(ABOUT)
        for label in (self.words, about):
            label.setWordWrap(True)
        about.setProperty("quiet", True)
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        keep = self.buttons.addButton("Keep", QDialogButtonBox.ButtonRole.AcceptRole)
        assert keep is not None
        keep.setDefault(True)
        self.keep = keep
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        form = QFormLayout()
        for name, entry in self.parts.items():
            form.addRow(_TITLES[name], entry)
        form.addRow("Neighbours within", self.radius)
        form.addRow("Largest sizes", self.limits)
        column = QVBoxLayout(self)
        column.setContentsMargins(2 * theme.STEP, 2 * theme.STEP, 2 * theme.STEP, 2 * theme.STEP)
        column.setSpacing(theme.STEP)
        for widget in (about, self.words):
            column.addWidget(widget)
        column.addLayout(form)
        column.addWidget(self.buttons)
        why = session.why_not_write()
        self.keep.setEnabled(not why)
        self.keep.setToolTip(why)

    def use_limits(self, file: Path) -> None:
        """Take the largest sizes of a table of acceptance limits."""
        from microscope_qc.workflows.results.batches import read_limits

        try:
            self._limits = read_limits(file)
        except MicroscopeQCError as error:
            self._say(str(error), bad=True)
        else:
            self._say(f"Largest sizes from {file.name}.")

    def accept(self) -> None:
        """Qt: keep the profile, once the medians are worked out."""
        project = self._session.project
        entries = [*self.parts.values(), self.radius]
        if project is None or not all(entry.commit() for entry in entries):
            return
        try:
            size, anomaly, crowding = (self.parts[name].value() for name in PARTS)
            profile = replace(
                profile_of(project), size=size, anomaly=anomaly, crowding=crowding, radius_um=self.radius.value()
            )
        except MicroscopeQCError as error:
            self._say(str(error), bad=True)
            return
        path, limits = project.path, self._limits
        self.keep.setEnabled(False)

        def work() -> dict[int, float]:
            from microscope_qc.project import Project

            with Project.open(path, write=False) as read:
                return class_medians(read)

        def keep(medians: dict[int, float]) -> None:
            try:
                if project is self._session.project:
                    keep_profile(project, profile, limits=limits, medians=medians)
            except MicroscopeQCError as error:
                self._on_failed(error)
            else:
                super(SeverityDialog, self).accept()

        self._jobs.call(work, on_done=keep, on_failed=self._on_failed)

    def _on_failed(self, error: BaseException) -> None:
        self.keep.setEnabled(True)
        self._say(str(error), bad=True)
        if not isinstance(error, MicroscopeQCError):
            raise error

    def _say(self, words: str, *, bad: bool = False) -> None:
        theme.mark_error(self.words, bad)
        self.words.setText(words)

    def _on_limits_clicked(self) -> None:
        file, _ = QFileDialog.getOpenFileName(self, "Acceptance limits", "", _TABLES)
        if file:
            self.use_limits(Path(file))
