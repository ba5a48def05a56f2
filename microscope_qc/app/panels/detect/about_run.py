"""Facts about the selected detection: area, tiles, findings, speed and device, in a section that can be unfolded."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QGridLayout, QLabel, QPushButton, QToolButton, QVBoxLayout, QWidget

from microscope_qc.app.base import theme
from microscope_qc.app.widgets.parts import sentence
from microscope_qc.core.errors import ProjectError
from microscope_qc.core.geometry import Region
from microscope_qc.core.wording import count_text, duration_text, percent_text, rounded_text, things
from microscope_qc.project.runs.plan import EVERYTHING
from microscope_qc.project.runs.speed import notes_of, starts_of

if TYPE_CHECKING:
    from microscope_qc.app.base.jobs import JobRunner
    from microscope_qc.app.session.session import Session
    from microscope_qc.project.records import RunRecord
    from microscope_qc.project.runs.plan import RunPlan

AGAIN_MS = 1000
MOST_NAMED = 6
"""Numbers of damaged tiles that are listed; the button goes to all of them."""
REST = 0.05
"""A smaller share of the time is not mentioned."""
PRECISIONS = {"bfloat16": "16-bit precision", "float16": "16-bit precision", "float32": "32-bit precision"}


@dataclass(frozen=True, slots=True)
class DamagedTile:
    """A tile that could not be read: its number, starting at 1, its position, and the error."""

    number: int
    place: Region
    why: str

    @property
    def words(self) -> str:
        """``Tile 6 (x 400–800, y 400–800 px): ...``."""
        return f"Tile {count_text(self.number)} ({place_text(self.place)}): {self.why}"


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What a run's folder contains: its last status, and the damaged tiles in order."""

    status: dict[str, Any] = field(default_factory=dict)
    damaged: tuple[DamagedTile, ...] = ()


def read_facts(folder: Path, plan: RunPlan, *, known: RunFacts | None = None) -> RunFacts:
    """Read a run's folder (any thread); the journal only if the damaged tiles differ from ``known``."""
    from microscope_qc.project.runs.journal import read_status, read_tile_errors

    status = read_status(folder)
    count = status.get("tiles_damaged")
    if count == 0:
        return RunFacts(status)
    if known is not None and count == len(known.damaged):
        return RunFacts(status, known.damaged)
    try:
        grid = plan.grid()
    except ProjectError:  # a run of another program, without positions
        return RunFacts(status)
    errors = read_tile_errors(folder)
    tiles = (DamagedTile(tile + 1, grid[tile], errors[tile]) for tile in sorted(errors) if 0 <= tile < len(grid))
    return RunFacts(status, tuple(tiles))


def place_text(place: Region) -> str:
    """``x 0–1 600, y 0–1 200 px``."""
    return f"x {count_text(place.x0)}–{count_text(place.x1)}, y {count_text(place.y0)}–{count_text(place.y1)} px"


def area_text(run: RunRecord, shape_px: tuple[int, int] | None) -> str:
    """``whole slide, 457 mm²`` or ``x 0–1 600, y 0–1 200 px, 0.48 mm²``."""
    region = run.plan.region
    if region is None:
        return "whole slide"
    whole = shape_px is not None and region == Region(0, 0, *shape_px)
    size = None if run.plan.slide is None else run.plan.slide.pixel_size_um
    height, width = region.shape
    area = "" if not size else f", {rounded_text(height * size[0] * width * size[1] / 1e6)} mm²"
    return ("whole slide" if whole else place_text(region)) + area


def lines_of(run: RunRecord, facts: RunFacts, *, shape_px: tuple[int, int] | None) -> list[tuple[str, str]]:
    """Name and value of each line; unknown values are left out."""
    status = facts.status
    lines = [("Model", run.plan.title), ("Area", area_text(run, shape_px))]
    lines.append(("Looked at", str(status.get("looked_at") or "")))
    done, total = status.get("tiles_done"), status.get("tiles_total")
    if total:
        skipped = status.get("tiles_skipped") or 0
        why = "empty" if run.settings.get("area") in (None, EVERYTHING) else "outside the chosen area"
        share = f", {percent_text(status.get('share_skipped') or 0)} of them {why} and left out" if skipped else ""
        lines.append(("Tiles", f"{count_text(int(done or 0))} of {count_text(int(total))} done{share}"))
    if facts.damaged:
        numbers = ", ".join(count_text(tile.number) for tile in facts.damaged[:MOST_NAMED])
        more = ", …" if len(facts.damaged) > MOST_NAMED else ""
        lines.append(("Damaged", f"{things(len(facts.damaged), 'tile')} could not be read: No. {numbers}{more}"))
    lines.append(("Findings", count_text(run.found)))
    lines.append(("Time", time_text(status)))
    lines += _speed_lines(status)
    where = [str(status.get("device_name") or status.get("device") or "")]
    precision = str(status.get("precision") or "")
    where.append(PRECISIONS.get(precision, precision))
    where.append(f"{things(int(status['batch']), 'tile')} at once" if status.get("batch") else "")
    lines.append(("Computed on", ", ".join(part for part in where if part)))
    notes = [*notes_of(status), str(status.get("message") or "")]
    lines.append(("Notes", "\n".join(text for text in notes if text)))
    return [(name, value) for name, value in lines if value]


def time_text(status: dict[str, Any]) -> str:
    """``2:05 in 3 starts, 0:20 of it before the first tiles``; "" if it is not known."""
    starts = starts_of(status)
    seconds = sum(start["seconds"] for start in starts)
    if not seconds:
        return ""
    if not status.get("starts"):  # a detection of an older version
        return f"{duration_text(seconds)} since the last start"
    idle = seconds - sum(start.get("working_s", 0.0) for start in starts)
    words = duration_text(seconds) + (f" in {count_text(len(starts))} starts" if len(starts) > 1 else "")
    return words + (f", {duration_text(idle)} of it before the first tiles" if round(idle) else "")


def _speed_lines(status: dict[str, Any]) -> list[tuple[str, str]]:
    lines = []
    if status.get("tiles_per_s"):
        area = f", {rounded_text(float(status['mm2_per_min']))} mm²/min" if status.get("mm2_per_min") else ""
        lines.append(("Speed", f"{rounded_text(float(status['tiles_per_s']))} tiles/s{area}"))
    if status.get("share_computed") is not None:
        computed, waited = float(status["share_computed"]), float(status.get("share_waited") or 0)
        rest = 1 - computed - waited  # the rest of a loop that reads, computes and turns scores into findings
        words = f"{percent_text(computed)} of the time; {percent_text(waited)} waiting for slide and disk"
        lines.append(
            ("Computing", words + (f", {percent_text(rest)} working out the findings" if rest >= REST else ""))
        )
    return lines


class RunAbout(QWidget):
    """The section. Files are read in the background, and again every second while the detection is running."""

    def __init__(self, session: Session, jobs: JobRunner, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session, self._jobs = session, jobs
        self._run: RunRecord | None = None
        self._live = self._busy = self._dirty = self._opened = False
        self.facts: RunFacts | None = None
        self._next_damaged = 0
        self.fold = QToolButton()
        self.fold.setText("About this detection")
        self.fold.setAutoRaise(True)
        self.fold.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.fold.clicked.connect(lambda: self._on_folded(not self._opened))
        self._body = QWidget()
        self._grid = QGridLayout(self._body)
        self._grid.setContentsMargins(20, 0, 0, 0)
        self._grid.setHorizontalSpacing(theme.STEP)
        self._grid.setVerticalSpacing(3)
        self._grid.setColumnStretch(1, 1)
        self.values: dict[str, QLabel] = {}
        self.go_to_damaged = QPushButton("Go to the first damaged tile")
        self.go_to_damaged.clicked.connect(self._on_go_to_damaged)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.fold)
        column.addWidget(self._body)
        column.addWidget(self.go_to_damaged, 0, Qt.AlignmentFlag.AlignLeft)
        self._again = QTimer(self)
        self._again.setSingleShot(True)
        self._again.setInterval(AGAIN_MS)
        self._again.timeout.connect(self.read)
        self._on_folded(False)

    @property
    def text(self) -> str:
        """The whole text."""
        return "\n".join(f"{name}: {label.text()}" for name, label in self.values.items())

    def show_run(self, run: RunRecord | None, *, live: bool = False) -> None:
        """Show another detection; ``live`` while it is running."""
        same = run is not None and self._run is not None and run.folder == self._run.folder
        changed = not same or live != self._live or run != self._run
        self._run, self._live = run, live
        self.fold.setEnabled(run is not None)
        self.fold.setToolTip("" if run is not None else "Select a detection.")
        if not same:
            self.facts, self._next_damaged = None, 0
            self._show()
        if changed and not (live and self._again.isActive()):
            self.read()

    def read(self) -> None:
        """Read the folder in the background, unless the section is folded."""
        run = self._run
        if run is None or not self._opened or self._jobs.closed:
            return
        if self._busy:
            self._dirty = True
            return
        self._busy, self._dirty = True, False
        known = self.facts
        self._jobs.call(
            lambda: read_facts(run.folder, run.plan, known=known),
            on_done=lambda facts: self._on_read(run, facts),
            on_failed=self._on_failed,
        )

    def _on_read(self, run: RunRecord, facts: RunFacts) -> None:
        self._busy = False
        if self._run is not None and run.folder == self._run.folder:
            self.facts = facts
            self._show()
        if self._dirty:
            self.read()
        elif self._live:
            self._again.start()

    def _on_failed(self, error: BaseException) -> None:
        self._busy = False
        raise error

    # -- showing -----------------------------------------------------------------------------------------------------

    def _on_folded(self, opened: bool) -> None:
        self._opened = opened
        self.fold.setArrowType(Qt.ArrowType.DownArrow if opened else Qt.ArrowType.RightArrow)
        self._show()
        self.read()

    def _show(self) -> None:
        run, facts, opened = self._run, self.facts, self._opened
        self._body.setVisible(opened and run is not None)
        self.go_to_damaged.setVisible(opened and facts is not None and bool(facts.damaged))
        if run is None or not opened:
            return
        slide = self._session.slide
        lines = lines_of(run, facts or RunFacts(), shape_px=None if slide is None else slide.shape_px)
        if [name for name, _ in lines] != list(self.values):
            while (item := self._grid.takeAt(0)) is not None:
                before = item.widget()
                if before is not None:
                    before.deleteLater()
            self.values = {name: sentence() for name, _ in lines}
            for row, (name, label) in enumerate(self.values.items()):
                self._grid.addWidget(QLabel(name), row, 0, Qt.AlignmentFlag.AlignTop)
                self._grid.addWidget(label, row, 1)
        for name, value in lines:
            text = escape(value).replace("\n", "<br>")
            if self.values[name].text() != text:
                self.values[name].setText(text)
        if facts is not None and len(facts.damaged) > 1 and self._next_damaged:
            self.go_to_damaged.setText(f"Go to the next damaged tile ({self._next_damaged + 1})")
        else:
            self.go_to_damaged.setText("Go to the damaged tile" if facts is not None and len(facts.damaged) == 1
                                       else "Go to the first damaged tile")  # fmt: skip

    def _on_go_to_damaged(self) -> None:
        if self.facts is None or not self.facts.damaged:
            return
        tiles = self.facts.damaged
        tile = tiles[self._next_damaged % len(tiles)]
        self._session.area_requested.emit((tile.place.y0, tile.place.x0, tile.place.y1, tile.place.x1))
        self._session.notice.emit(tile.words)
        self._next_damaged = (self._next_damaged + 1) % len(tiles)
        self._show()
