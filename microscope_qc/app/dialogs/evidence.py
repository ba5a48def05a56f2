"""What a classifier takes the selected finding for, and which pixels speak for that; open beside the review."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QRectF, QSize, Qt
from qtpy.QtGui import QCloseEvent, QIcon, QImage, QPainter, QPaintEvent, QShowEvent
from qtpy.QtWidgets import QComboBox, QDialog, QDialogButtonBox, QFormLayout, QSizePolicy, QVBoxLayout, QWidget

from microscope_qc.app.base import theme
from microscope_qc.app.base.refresh import Refresh
from microscope_qc.app.base.signals import link
from microscope_qc.app.widgets.job_bar import JobBar
from microscope_qc.app.widgets.parts import sentence
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.jobs import Job
from microscope_qc.workflows.models.in_child import run_command
from microscope_qc.workflows.models.shelf import ModelEntry, shelf_reader

if TYPE_CHECKING:
    from microscope_qc.app.base.jobs import JobHandle, JobRunner
    from microscope_qc.app.session.session import Session

SIZE = QSize(860, 680)
NO_CLASSIFIER = (
    "None of the models at hand is a classifier. Train one: in Learn choose a classifier under Settings, or use "
    "“microscope-qc train --task classify”."
)
_Asked = tuple[str, str, int]
"""A project, a classifier and a finding."""
ABOUT = "Bright: what speaks for the class. The box is around the largest part of it."
SELECT = "Select a finding."


class PictureView(QWidget):
    """A picture, as large as it fits."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.image: QImage | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def show_image(self, image: QImage | None) -> None:
        """Show another picture, or none."""
        self.image = image
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt: draw."""
        if self.image is None or self.image.isNull():
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        size = self.image.size().scaled(self.size(), Qt.AspectRatioMode.KeepAspectRatio)
        left, top = (self.width() - size.width()) / 2, (self.height() - size.height()) / 2
        painter.drawImage(QRectF(left, top, size.width(), size.height()), self.image)
        painter.end()


class EvidenceDialog(QDialog):
    """Asks a process of its own for the maps of the selected finding, and again for every other one.

    Parameters
    ----------
    command
        Runs a command of the program; replaced in tests.
    """

    def __init__(
        self,
        session: Session,
        jobs: JobRunner,
        parent: QWidget | None = None,
        *,
        command: Callable[[Sequence[str]], Job[None]] = run_command,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("What speaks for its class")
        self._session, self._jobs, self._command = session, jobs, command
        self._handle: JobHandle | None = None
        self._asked: _Asked | None = None
        self._folder: Path | None = None
        self._numbers: dict[_Asked, int] = {}  # of the pictures in the folder
        self.models, self.words, self.bar, self.view = QComboBox(), sentence(), JobBar(), PictureView()
        self.models.setToolTip("The classifier that looks at the finding")
        self.models.activated.connect(self._on_model_activated)
        form = QFormLayout()
        form.addRow("Classifier", self.models)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.button(QDialogButtonBox.StandardButton.Close).setIcon(QIcon())
        buttons.rejected.connect(self.close)
        column = QVBoxLayout(self)
        column.setContentsMargins(2 * theme.STEP, 2 * theme.STEP, 2 * theme.STEP, 2 * theme.STEP)
        column.addLayout(form)
        column.addWidget(self.words)
        column.addWidget(self.bar)
        column.addWidget(self.view, 1)
        column.addWidget(buttons)
        self.bar.hide()
        self._due = Refresh(self, self._refresh)
        for signal in (session.selection.changed, session.project_changed):
            link(self, signal, self._due.soon)
        link(self, session.project_changed, self._list_models)
        self.resize(SIZE.boundedTo(self.screen().availableSize() * 0.9))

    def showEvent(self, event: QShowEvent) -> None:
        """Qt: look at what is selected now."""
        super().showEvent(event)
        self._list_models()

    def closeEvent(self, event: QCloseEvent) -> None:
        """Qt: stop, and delete the pictures."""
        self._stop()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
        super().closeEvent(event)

    # -- models ------------------------------------------------------------------------------------------------------

    def _list_models(self) -> None:
        """Read which classifiers are at hand, in another thread."""
        if self.isVisible() and not self._jobs.closed:
            project = self._session.project
            self._jobs.call(shelf_reader(project), lambda entries: self._take_models(project, entries))

    def _take_models(self, project: object, entries: Sequence[ModelEntry]) -> None:
        if project is not self._session.project:
            return
        before = self.models.currentData()
        self.models.clear()
        for entry in entries:
            if entry.card is not None and entry.card.task == "classify":
                self.models.addItem(entry.name, entry.argument)
        self.models.setCurrentIndex(max(0, self.models.findData(before)))
        self._refresh()

    def _on_model_activated(self) -> None:
        self._refresh()

    # -- one finding -------------------------------------------------------------------------------------------------

    def _refresh(self) -> None:
        project, finding = self._session.project, self._session.selection.current
        if not self.isVisible():
            return
        model = self.models.currentData()
        if model is None or finding is None or project is None:
            self._stop()
            self.view.show_image(None)
            self.words.setText(NO_CLASSIFIER if model is None else SELECT)
            return
        asked = str(project.path), str(model), finding
        if self._asked == asked:
            return
        self._stop()
        self._asked = asked
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="evidence-"))
        out = self._folder / f"{self._numbers.setdefault(asked, len(self._numbers))}.png"
        if out.exists():
            self._show(out)
            return
        self.bar.setRange(0, 0)
        self.bar.show()
        self.words.setText("The classifier looks at it …")
        arguments = ["explain", str(model), str(project.path), "--finding", str(finding), "--out", str(out)]
        self._handle = self._jobs.run(
            self._command(arguments), "Looking at a finding", lambda _: self._on_done(asked, out),
            lambda error: self._on_failed(asked, error), urgent=True,
        )  # fmt: skip

    def _stop(self) -> None:
        handle, self._handle, self._asked = self._handle, None, None
        self.bar.hide()
        if handle is not None:
            handle.cancel()

    def _on_done(self, asked: _Asked, out: Path) -> None:
        if asked == self._asked:
            self._handle = None
            self._show(out)

    def _on_failed(self, asked: _Asked, error: BaseException) -> None:
        if asked != self._asked:
            return
        self._handle, self._asked = None, None
        self.bar.hide()
        self.view.show_image(None)
        self.words.setText(str(error) if isinstance(error, MicroscopeQCError) else f"It failed ({error}); see the log.")

    def _show(self, out: Path) -> None:
        self.bar.hide()
        self.view.show_image(QImage(str(out)))
        self.words.setText(ABOUT)
