"""What the network will see: crops as the training draws them, with the settings that are chosen now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QRectF, QSize, QSizeF, Qt
from qtpy.QtGui import QColor, QIcon, QImage, QPainter, QPaintEvent
from qtpy.QtWidgets import QDialog, QDialogButtonBox, QHBoxLayout, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from microscope_qc.app.base import theme
from microscope_qc.app.panels.learn.boxes import draw_box, fitting_cells
from microscope_qc.app.widgets.crops import to_image
from microscope_qc.app.widgets.job_bar import JobBar
from microscope_qc.app.widgets.parts import sentence
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.jobs import Job
from microscope_qc.core.wording import things

if TYPE_CHECKING:
    from microscope_qc.app.base.jobs import JobHandle, JobRunner
    from microscope_qc.workflows.learning.preview import CropPreview

COUNT = 24
SIZE = QSize(1120, 780)
_SHOWN_PX = 256
"""Crops are made smaller beside the window's thread: it would stop for as long as painting larger ones takes."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """Crops with their pictures, which may be smaller."""

    preview: CropPreview
    images: Sequence[QImage]


def drawn_crops(sources: Path, **asked: Any) -> Job[Drawn]:
    """See :func:`microscope_qc.workflows.learning.preview.preview_crops`."""
    import cv2

    from microscope_qc.workflows.learning.preview import preview_crops

    preview = yield from preview_crops(sources, count=COUNT, **asked)
    images = []
    for crop in preview.crops:
        side = min(_SHOWN_PX, crop.pixels.shape[0])
        images.append(to_image(cv2.resize(crop.pixels, (side, side), interpolation=cv2.INTER_AREA)))
    return Drawn(preview, images)


class CropGrid(QWidget):
    """Crops with the boxes that are to be learned: pasted ones dashed, and grey what counts as nothing."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.drawn: Drawn | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def show_crops(self, drawn: Drawn | None) -> None:
        """Show other crops, or none."""
        self.drawn = drawn
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt: draw."""
        if self.drawn is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        for number, cell in enumerate(fitting_cells(QSizeF(self.size()), len(self.drawn.images))):
            painter.drawImage(cell, self.drawn.images[number])
            self._draw_boxes(painter, self.drawn.preview, number, cell)
        painter.end()

    def _draw_boxes(self, painter: QPainter, preview: CropPreview, number: int, cell: QRectF) -> None:
        crop = preview.crops[number]
        scale = cell.width() / crop.pixels.shape[0]
        placed = [(box, "", QColor(theme.DARK.quiet), False) for box in crop.ignore.tolist()]
        placed += [
            (box, preview.classes[label], QColor(preview.colours[label]), place >= len(crop.boxes) - crop.pasted)
            for place, (box, label) in enumerate(zip(crop.boxes.tolist(), crop.labels.tolist(), strict=True))
        ]
        for (y0, x0, y1, x1), code, colour, pasted in placed:
            box = QRectF(cell.left() + x0 * scale, cell.top() + y0 * scale, (x1 - x0) * scale, (y1 - y0) * scale)
            draw_box(painter, box, colour, code, within=cell, dashed=pasted)


class PreviewDialog(QDialog):
    """Draws crops in the background, and others on request.

    Parameters
    ----------
    project
        What is learned from.
    asked
        Slides, network and settings, as :func:`microscope_qc.workflows.learning.preview.preview_crops` takes them.
    """

    def __init__(self, jobs: JobRunner, project: Path, asked: Mapping[str, Any], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("What the network will see")
        self._jobs, self._project, self._asked = jobs, project, dict(asked)
        self._draw = 0
        self._handle: JobHandle | None = None
        self.words, self.bar, self.grid = sentence(), JobBar(), CropGrid()
        self.others, self.stop = QPushButton("Other examples"), QPushButton("Stop")
        for button in (self.others, self.stop):
            button.setAutoDefault(False)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.button(QDialogButtonBox.StandardButton.Close).setIcon(QIcon())
        row = QHBoxLayout()
        row.addWidget(self.others)
        row.addWidget(self.stop)
        row.addStretch(1)
        row.addWidget(buttons)
        column = QVBoxLayout(self)
        column.setContentsMargins(2 * theme.STEP, 2 * theme.STEP, 2 * theme.STEP, 2 * theme.STEP)
        column.addWidget(self.words)
        column.addWidget(self.bar)
        column.addWidget(self.grid, 1)
        column.addLayout(row)
        self.others.clicked.connect(self._on_others_clicked)
        self.stop.clicked.connect(self._on_stop_clicked)
        buttons.rejected.connect(self.reject)
        self.finished.connect(self._on_finished)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        room = self.screen().availableSize() * 0.9
        self.resize(SIZE.boundedTo(room))
        self._begin()

    def _begin(self) -> None:
        job = drawn_crops(self._project, draw=self._draw, **self._asked)
        self._handle = self._jobs.run(
            job, "Preview of a training", on_done=self._on_done, on_failed=self._on_failed,
            on_cancelled=self._on_cancelled, urgent=True,
        )  # fmt: skip
        self._handle.changed.connect(self._on_job_changed)
        self.bar.setRange(0, 0)
        self._show_state("Reading the slides …")

    def _show_state(self, words: str) -> None:
        running = self._handle is not None
        self.words.setText(words)
        self.bar.setVisible(running)
        self.stop.setVisible(running)
        self.others.setEnabled(not running)

    def _on_job_changed(self) -> None:
        if self._handle is not None and self._handle.progress.total:
            self.bar.setRange(0, 1000)
            self.bar.setValue(round(1000 * self._handle.progress.fraction))

    def _on_done(self, drawn: Drawn) -> None:
        if self._handle is None:  # closed meanwhile
            return
        self._handle = None
        self.grid.show_crops(drawn)
        preview = drawn.preview
        pasted = f", {preview.pasted} of them pasted (dashed)" if preview.pasted else ""
        grey = " Grey: neither defect nor background." if any(len(crop.ignore) for crop in preview.crops) else ""
        shown = f"{things(len(preview.crops), 'crop')} with {things(preview.defects, 'defect')}{pasted}"
        self._show_state(f"{shown}, turned, mirrored and in changed light.{grey}")

    def _on_failed(self, error: BaseException) -> None:
        if self._handle is None:
            return
        self._handle = None
        self._show_state(str(error) if isinstance(error, MicroscopeQCError) else f"It failed ({error}); see the log.")

    def _on_cancelled(self) -> None:
        if self._handle is None:
            return
        self._handle = None
        self._show_state("Stopped.")

    def _on_others_clicked(self) -> None:
        self._draw += 1
        self._begin()

    def _on_stop_clicked(self) -> None:
        if self._handle is not None:
            self._handle.cancel()

    def _on_finished(self) -> None:
        self._on_stop_clicked()
        self._handle = None
