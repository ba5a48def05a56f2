"""The detection dock: which model, where, how long it takes, and what it found so far."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QLocale, QTimer, Signal
from qtpy.QtWidgets import (
    QButtonGroup,
    QDoubleSpinBox,
    QHBoxLayout,
    QProgressBar,
    QPushButton,
    QRadioButton,
    QVBoxLayout,
    QWidget,
)

from microscope_qc.app.docks.detect_models import (
    ChooseFolder,
    LoadModel,
    ModelChooser,
    Models,
    choose_folder,
    installed_models,
    load_model,
)
from microscope_qc.app.docks.detect_runs import RunList
from microscope_qc.app.docks.detect_speed import remember, tiles_of, tiles_per_second
from microscope_qc.app.docks.gallery_link import link
from microscope_qc.app.docks.gallery_parts import column_of, heading, note, scrolled, sentence
from microscope_qc.app.docks.gallery_text import count_text, things
from microscope_qc.app.session import Session
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import Job, Progress, format_seconds

if TYPE_CHECKING:
    from microscope_qc.app.jobs import JobHandle, JobRunner
    from microscope_qc.project.records import RunRecord

log = logging.getLogger(__name__)

LONG_S = 600.0
"""A detection that takes longer is offered for the visible area first."""
VIEW_MS = 150

Detect = Callable[..., Job[Any]]
Viewport = Callable[[], tuple[float, float, float, float]]


def _detect(*arguments: Any, **options: Any) -> Job[Any]:
    from microscope_qc.workflows.detect import detect

    return detect(*arguments, wait_s=0.0, **options)


class DetectDock(QWidget):
    """Starts, watches, stops and continues detections.

    Parameters
    ----------
    viewport
        Gives the rectangle y0, x0, y1, x1 of the slide that is on screen, in full-resolution pixels.
    detect, models, load_model, choose_folder
        Take the place of ``workflows.detect.detect``, ``ml.models.list_models``, ``ml.models.load_card`` and the folder
        dialog in tests.
    """

    detect_started = Signal()

    def __init__(
        self,
        session: Session,
        jobs: JobRunner,
        parent: QWidget | None = None,
        *,
        viewport: Viewport | None = None,
        detect: Detect = _detect,
        models: Models = installed_models,
        load_model: LoadModel = load_model,
        choose_folder: ChooseFolder = choose_folder,
    ) -> None:
        super().__init__(parent)
        self.setObjectName("detect")
        self.setWindowTitle("Detect")
        self._session = session
        self._jobs = jobs
        self._detect = detect
        self._viewport = viewport
        self._handle: JobHandle | None = None
        self._finds_before = 0
        self._clock = (0.0, 0.0)
        self.models = ModelChooser(session, models=models, load=load_model, ask_folder=choose_folder)
        self.whole = QRadioButton("Whole slide")
        self.visible_area = QRadioButton("Visible area")
        self.estimate = sentence()
        self.pixel_size = QDoubleSpinBox()
        self.pixel_row = QWidget()
        self.set_pixel_size = QPushButton("Set")
        self.start = QPushButton("Start")
        self.start_anew = QPushButton("Start anew")
        self.stop = QPushButton("Stop")
        self.bar = QProgressBar()
        self.story = sentence()
        self.runs = RunList(session)
        self.continue_run = QPushButton("Continue this one")
        self._build()
        for signal in (session.project_changed, session.slide_changed, session.slides_changed, session.runs_changed):
            link(self, signal, self.refresh)
        link(self, session.boxes_changed, self._on_boxes_changed)
        self._view_soon = QTimer(self)
        self._view_soon.setSingleShot(True)
        self._view_soon.timeout.connect(self.refresh)
        self.refresh()

    # -- parts -------------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        self.models.changed.connect(self.refresh)
        self.whole.setChecked(True)
        self._where = QButtonGroup(self)
        for button in (self.whole, self.visible_area):
            self._where.addButton(button)
            button.toggled.connect(lambda _: self.refresh())
        self.start.setProperty("primary", "true")
        self.start.clicked.connect(self._on_start_clicked)
        self.start_anew.clicked.connect(lambda: self.begin(fresh=True))
        self.start_anew.setToolTip("Does not continue the interrupted detection of the same model and area")
        self.stop.clicked.connect(self.cancel)
        self.stop.setToolTip("What was found so far stays; you can continue later")
        self.bar.setTextVisible(False)
        self.continue_run.clicked.connect(self._on_continue_clicked)
        self.runs.continue_possible.connect(self._on_continue_possible)
        self._on_continue_possible(None)
        buttons = QHBoxLayout()
        for press in (self.start, self.start_anew, self.stop):
            buttons.addWidget(press)
        buttons.addStretch(1)
        where = QHBoxLayout()
        where.addWidget(self.whole)
        where.addWidget(self.visible_area)
        where.addStretch(1)
        below = QHBoxLayout()
        below.addWidget(note("The tick shows and hides the finds of a detection."), 1)
        below.addWidget(self.continue_run)
        content = column_of(
            heading("Model"), self.models, 6, heading("Area"), where, self._pixel_row(), self.estimate,
            buttons, self.bar, self.story, 6, heading("Detections on this slide"),
        )  # fmt: skip
        content.addWidget(self.runs, 1)
        content.addLayout(below)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(scrolled(content, self))
        self.bar.hide()
        self.stop.hide()

    def _pixel_row(self) -> QWidget:
        self.pixel_size.setLocale(QLocale.c())
        self.pixel_size.setDecimals(4)
        self.pixel_size.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)
        self.pixel_size.setRange(0.0, 1000.0)
        self.pixel_size.setSingleStep(0.05)
        self.pixel_size.setSuffix(" µm per px")
        self.pixel_size.setSpecialValueText("type it")
        self.set_pixel_size.clicked.connect(self._on_set_pixel_size)
        line = QHBoxLayout()
        line.addWidget(self.pixel_size, 1)
        line.addWidget(self.set_pixel_size)
        text = sentence("This slide does not say its pixel size. Detection needs it: the model knows defects by size.")
        column = column_of(text, line)
        column.setContentsMargins(0, 4, 0, 4)
        self.pixel_row.setLayout(column)
        return self.pixel_row

    # -- what is chosen ----------------------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether a detection started here is under way."""
        return self._handle is not None

    @property
    def card(self) -> Any | None:
        """Card of the chosen model."""
        return self.models.card

    def region(self) -> Region | None:
        """Area to look at, None for the whole slide."""
        return self._visible() if self.visible_area.isChecked() else None

    def _visible(self) -> Region | None:
        """What the canvas shows, cut to the slide; None when there is no canvas or it shows nothing of the slide."""
        if self._viewport is None or self._session.slide is None:
            return None
        y0, x0, y1, x1 = self._viewport()
        region = Region(math.floor(y0), math.floor(x0), math.ceil(y1), math.ceil(x1))
        region = region.clip(self._session.slide.shape_px)
        return None if region.empty else region

    def on_view_changed(self) -> None:
        """The canvas looks elsewhere: say the new time soon."""
        if not self.running and self.isVisible():
            self._view_soon.start(VIEW_MS)

    # -- what is shown -----------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Show model, area, time and what the buttons can do."""
        slide = self._session.slide
        self.pixel_row.setVisible(slide is not None and slide.pixel_size_um is None)
        self.set_pixel_size.setEnabled(self._session.can_write)
        view = self._visible()
        self.visible_area.setEnabled(view is not None and not self.running)
        self.visible_area.setToolTip("" if view is not None else "No part of the slide is in view.")
        self.whole.setEnabled(not self.running)
        self.models.list.setEnabled(not self.running)
        self._show_estimate()
        why_not = self._why_not()
        before = self._run_before()
        finished = before is not None and before.state == "finished"
        left = before is not None and not finished
        self.start.setText("Detect again" if finished else "Continue" if left else "Start")
        self.start.setEnabled(not why_not)
        tip = "Goes on where this detection was interrupted" if left else ""
        tip = "Switches the finds of the detection before off; its tick brings them back" if finished else tip
        self.start.setToolTip(why_not or tip)
        self.start.setVisible(not self.running)
        self.start_anew.setVisible(left and not self.running)
        self.start_anew.setEnabled(not why_not)

    def _why_not(self) -> str:
        """Why detection cannot start; "" when it can."""
        if self._session.slide is None:
            return "Open a slide first."
        if not self._session.can_write:
            return "This project is open for reading only."
        if self.card is None:
            return "No model is installed."
        if self._session.slide.pixel_size_um is None:
            return "Type the pixel size first."
        if self._session.slide.missing:
            return "The slide file was moved away."
        return "A detection is running." if self.running else ""

    def tile_count(self, region: Region | None) -> int | None:
        """Tiles of an area (None: the whole slide), or None while model or pixel size is missing."""
        card, slide = self.card, self._session.slide
        if card is None or slide is None or slide.pixel_size_um is None:
            return None
        whole = Region(0, 0, *slide.shape_px)
        slide_um = sum(slide.pixel_size_um) / 2
        return tiles_of(
            region or whole,
            tile_px=card.tile_px,
            overlap_px=card.overlap_px,
            scale=(card.pixel_size_um or slide_um) / slide_um,
        )

    def _show_estimate(self) -> None:
        tiles = self.tile_count(self.region())
        self.estimate.setVisible(not self.running)
        if tiles is None or self.card is None:
            self.estimate.setText("")
            return
        pace = tiles_per_second(_model_key(self.card))
        area = "The visible area" if self.region() is not None else "The whole slide"
        if pace is None:
            self.estimate.setText(
                f"{area} has {things(tiles, 'tile')}. How long that takes is not known before the first tiles."
            )
            return
        seconds = tiles / pace
        text = f"{area} takes about <b>{format_seconds(seconds)}</b> ({things(tiles, 'tile')})."
        view = self._visible()
        if seconds > LONG_S and self.region() is None and view is not None:
            part = (self.tile_count(view) or 0) / pace
            text += f" Try the visible area first: about {format_seconds(part)}."
        self.estimate.setText(text)

    def _run_before(self) -> RunRecord | None:
        """The newest run of the same model over the same area."""
        card, slide = self.card, self._session.slide
        if card is None or slide is None or self.running:
            return None
        region = self.region() or Region(0, 0, *slide.shape_px)
        wanted = [region.y0, region.x0, region.y1, region.x1]
        for run in self.runs.runs:
            same = Path(str(run.card.get("model", ""))).name == Path(self.models.argument).name
            if same and list(run.card.get("region") or []) == wanted:
                return run
        return None

    # -- what a person does ------------------------------------------------------------------------------------------

    def begin(self, *, fresh: bool = False) -> None:
        """Start (or continue) the detection that is chosen."""
        slide = self._session.slide
        if self._why_not() or slide is None or self.card is None:
            return
        self._run(slide.id, self.models.argument, self.region(), fresh=fresh)

    def _on_start_clicked(self) -> None:
        before = self._run_before()
        self.begin(fresh=before is not None and before.state == "finished")

    def cancel(self) -> None:
        """Stop; what was found stays."""
        if self._handle is not None:
            self._handle.cancel()
            self.story.setText("Stopping …")
            self.stop.setEnabled(False)

    def _on_continue_clicked(self) -> None:
        run = self.runs.selected_run()
        if run is None or self.running:
            return
        slide = self._session.slide
        region = Region(*run.card["region"]) if run.card.get("region") else None
        if region is not None and slide is not None and region == Region(0, 0, *slide.shape_px):
            region = None
        self._run(run.slide_id, str(run.card.get("model", "")), region, fresh=False)

    def _run(self, slide_id: int, model: str, region: Region | None, *, fresh: bool) -> None:
        slide = self._session.slide
        self._finds_before = len(self._session.table)
        self._clock = (time.monotonic(), -1.0)
        self.bar.setRange(0, 0)
        self.bar.show()
        self.stop.show()
        self.stop.setEnabled(True)
        self.story.setText("Starting …")
        try:
            job = self._detect(self._session.project, slide_id, model, region=region, device="auto", fresh=fresh)
            handle = self._jobs.run_in_slices(
                job,
                f"Detecting {slide.name if slide is not None else ''}".strip(),
                on_done=self._on_done,
                on_failed=self._on_failed,
                on_cancelled=self._on_cancelled,
            )
        except MicroscopeQCError as error:
            self._on_failed(error)
            return
        self._handle = handle
        handle.changed.connect(self._on_progress)
        self.runs.set_running(self._newest_running())
        self.refresh()
        self.detect_started.emit()

    def _newest_running(self) -> int | None:
        return next((run.id for run in self.runs.runs if run.state == "running"), None) if self.running else None

    def _on_set_pixel_size(self) -> None:
        project, slide = self._session.project, self._session.slide
        if project is None or slide is None or self.pixel_size.value() <= 0:
            return
        try:
            project.set_pixel_size(slide.id, self.pixel_size.value())
        except MicroscopeQCError as error:
            self._session.notice.emit(str(error))

    # -- what happens ------------------------------------------------------------------------------------------------

    def _on_progress(self) -> None:
        handle = self._handle
        if handle is None:
            return
        progress: Progress = handle.progress
        if progress.total > 0:
            self.bar.setRange(0, 1000)
            self.bar.setValue(round(1000 * progress.fraction))
        if self._clock[1] < 0 and progress.done > 0:
            self._clock = (time.monotonic(), progress.done)  # the start-up of the child does not count
        self.runs.set_running(self._newest_running())
        self._show_story()

    def _show_story(self) -> None:
        if self._handle is None:
            return
        found = max(0, len(self._session.table) - self._finds_before)
        progress = self._handle.progress
        if progress.total <= 0:
            self.story.setText(progress.note or "Starting …")
            return
        left = self._handle.seconds_left
        words = [f"{100 * progress.fraction:.0f} %"]
        if left is not None:
            words.append(f"{format_seconds(left)} left")
        words.append(f"{things(found, 'find')} so far")
        tiles = f"{count_text(int(progress.done))} of {count_text(int(progress.total))} {progress.unit or 'tiles'}"
        self.story.setText(f"<b>{',  '.join(words)}</b><br>{tiles}")

    def _on_boxes_changed(self, change: Any) -> None:
        if self.running and change.kind == "added":
            self._show_story()

    def _on_done(self, result: Any) -> None:
        self._measure()
        finds = getattr(result, "finds", None)
        count = finds if isinstance(finds, int) else max(0, len(self._session.table) - self._finds_before)
        taken = getattr(result, "seconds", None)
        time_text = f" in {format_seconds(taken)}" if isinstance(taken, int | float) else ""
        self._end(f"Done: {things(count, 'find')}{time_text}. Judge them in the gallery, worst first.")

    def _on_cancelled(self) -> None:
        self._measure()
        self._end("Stopped. What was found stays; Continue goes on from here.")

    def _on_failed(self, error: BaseException) -> None:
        if isinstance(error, MicroscopeQCError):
            self._end(str(error))
        else:
            log.error("detection failed", exc_info=error)
            self._end(f"The detection failed ({error}). What was found stays; the log says more.")

    def _measure(self) -> None:
        """Remember the pace for the next estimate."""
        handle, card = self._handle, self.card
        started, done = self._clock
        if handle is None or card is None or done < 0:
            return
        tiles, seconds = handle.progress.done - done, time.monotonic() - started
        if tiles >= 4 and seconds > 0:
            remember(_model_key(card), tiles / seconds)

    def _end(self, text: str) -> None:
        self._handle = None
        self.bar.hide()
        self.stop.hide()
        self.story.setText(text)
        self.runs.set_running(None)
        self.refresh()

    def _on_continue_possible(self, run: object) -> None:
        possible = run is not None and not self.running
        self.continue_run.setEnabled(possible)
        self.continue_run.setToolTip("" if possible else "Select a detection that was interrupted.")


def _model_key(card: Any) -> str:
    return str(getattr(card, "fingerprint", "") or card.name)
