"""Driving along the travel list: where the stage is, typed, pasted or read from a file, and the next place."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit, QPushButton, QVBoxLayout, QWidget

from microscope_qc.app.base import theme
from microscope_qc.app.widgets.parts import note
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.wording import metric_text

if TYPE_CHECKING:
    from microscope_qc.app.base.jobs import JobRunner
    from microscope_qc.app.base.settings import AppSettings
    from microscope_qc.app.session.session import Session
    from microscope_qc.correlation.targets import Target

LOOK_MS = 500


class StageBar(QWidget):
    """Tells where the stage is (``moved``), and what the user wants: the next place, an order that begins here."""

    moved = Signal(float, float)  # x, y in mm
    step_wanted = Signal(int)
    order_wanted = Signal()

    def __init__(self, session: Session, jobs: JobRunner, settings: AppSettings) -> None:
        super().__init__()
        self._session, self._jobs, self._settings = session, jobs, settings
        self._file: Path | None = None
        self._reading = False
        self.entry = QLineEdit()
        self.entry.setPlaceholderText("Stage is at: X Y")
        self.entry.setAccessibleName("Position of the stage")
        self.entry.setToolTip("Type or paste where the stage is now, in the unit of the tables; the slide shows it")
        self.follow = QPushButton("Follow file…")
        self.follow.setCheckable(True)
        self.follow.setToolTip("A file in which another program writes the stage’s position; its last line counts")
        self.previous = QPushButton(theme.icon("chevron-left"), "")
        self.next = QPushButton(theme.icon("chevron-right"), "Next")
        self.previous.setToolTip("Previous place of the travel list  (Shift J)")
        self.next.setToolTip("Next place of the travel list  (J)")
        self.from_here = QPushButton("Order from here")
        self.from_here.setToolTip("The short way then begins where the stage is")
        self.words = note()
        first, second = QHBoxLayout(), QHBoxLayout()
        for row, parts in ((first, (self.entry, self.follow)), (second, (self.previous, self.next, self.from_here))):
            for part in parts:
                row.addWidget(part)
        second.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(first)
        column.addLayout(second)
        column.addWidget(self.words)
        self._timer = QTimer(self)
        self._timer.setInterval(LOOK_MS)
        self._timer.timeout.connect(self.look)
        self.entry.returnPressed.connect(self._on_typed)
        self.follow.clicked.connect(self._on_follow_clicked)
        self.previous.clicked.connect(lambda: self.step_wanted.emit(-1))
        self.next.clicked.connect(lambda: self.step_wanted.emit(+1))
        self.from_here.clicked.connect(self.order_wanted)
        self.show_target(None, 0, 0)

    def show_target(self, target: Target | None, number: int, count: int) -> None:
        """Show where to drive: a place of the list, its number from 1, and how far the stage is from it."""
        self.previous.setEnabled(count > 0)
        self.next.setEnabled(count > 0)
        here = self._session.stage_now.xy_mm
        self.from_here.setEnabled(here is not None)
        if target is None:
            self.words.setText("")
            return
        x, y = target.stage_x_mm, target.stage_y_mm
        away = "" if here is None else f"; the stage is {metric_text(1000 * float(_distance(here, (x, y))))} away"
        self.words.setText(f"{number} of {count}: {target.class_code} {target.finding_id} at {x:.4f}, {y:.4f} mm{away}")

    def follow_file(self, path: Path | None) -> None:
        """Read the position from a file from now on; None stops."""
        self._file = path
        self.follow.setChecked(path is not None)
        self.follow.setText("Follow file…" if path is None else f"Following {path.name}")
        if path is None:
            self._timer.stop()
        else:
            self._timer.start()
            self.look()

    def look(self) -> None:
        """Read the file again, in a worker; only one reads at a time."""
        from microscope_qc.workflows.stage.navigator import position_in_file

        path, unit = self._file, self._settings.stage_unit
        if path is None or self._reading:
            return
        self._reading = True
        self._jobs.call(
            lambda: position_in_file(path, unit=unit),
            on_done=lambda xy: self._on_looked(path, xy),
            on_failed=lambda error: self._on_looking_failed(path, error),
        )

    def _on_looked(self, path: Path, xy_mm: tuple[float, float]) -> None:
        self._reading = False
        if path == self._file:
            self._take(xy_mm)

    def _on_looking_failed(self, path: Path, error: BaseException) -> None:
        self._reading = False
        if path == self._file:
            self.follow_file(None)
            if not isinstance(error, MicroscopeQCError):
                raise error
            self._session.notice.emit(str(error))

    def _on_follow_clicked(self, on: bool) -> None:
        chosen = QFileDialog.getOpenFileName(self, "File with the stage's position")[0] if on else ""
        self.follow_file(Path(chosen) if chosen else None)

    def _on_typed(self) -> None:
        from microscope_qc.correlation.positions import position_in

        try:
            self._take(position_in(self.entry.text(), unit=self._settings.stage_unit))
        except MicroscopeQCError as error:
            self._session.notice.emit(str(error))

    def _take(self, xy_mm: tuple[float, float]) -> None:
        if xy_mm != self._session.stage_now.xy_mm:
            self.moved.emit(*xy_mm)


def _distance(a: tuple[float, float], b: tuple[float, float]) -> float:
    return float(((a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2) ** 0.5)
