"""The detection panel: model, area, time, and what was found so far."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget
from superqt import QFlowLayout

from microscope_qc.app.base.signals import link
from microscope_qc.app.panels.detect.area import AreaSection, Viewport
from microscope_qc.app.panels.detect.details import RunDetails
from microscope_qc.app.panels.detect.models import (
    ChooseFolder,
    LoadModel,
    ModelChooser,
    Models,
    choose_folder,
    installed_models,
    load_model,
)
from microscope_qc.app.panels.detect.pace import speed_key
from microscope_qc.app.panels.detect.past_area import PastAreaButton
from microscope_qc.app.panels.detect.pixel_size import PixelSizeRow
from microscope_qc.app.panels.detect.plane import PlaneOnScreen
from microscope_qc.app.panels.detect.progress import DetectProgress
from microscope_qc.app.panels.detect.run_menu import RunMenu
from microscope_qc.app.panels.detect.runs import RunList
from microscope_qc.app.session.session import Session
from microscope_qc.app.widgets.parts import column_of, heading, note, scrolled, sentence
from microscope_qc.app.widgets.scope_switch import ScopeSwitch
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import Job
from microscope_qc.core.wording import things
from microscope_qc.workflows.detection.pixel_fit import lacks_pixel_size

if TYPE_CHECKING:
    from microscope_qc.app.base.jobs import JobRunner
    from microscope_qc.app.canvas.canvas import Canvas
    from microscope_qc.project.records import RunRecord

VIEW_MS = 150
START_WORDS = ("Start", "Continue", "Detect again")
UNUSUAL_TIP = (
    "Learns from this slide what is normal, without a label, and shows the rest in the gallery, the most unusual first"
)

Detect = Callable[..., Job[Any]]


def _detect(*arguments: Any, **options: Any) -> Job[Any]:
    from microscope_qc.workflows.detection.run import detect

    return detect(*arguments, wait_s=0.0, **options)


def _resume(*arguments: Any, **options: Any) -> Job[Any]:
    from microscope_qc.workflows.detection.run import resume

    return resume(*arguments, wait_s=0.0, **options)


def _detect_many(*arguments: Any, **options: Any) -> Job[Any]:
    from microscope_qc.workflows.detection.many import detect_many

    return detect_many(*arguments, wait_s=0.0, **options)


def _find_unusual(*arguments: Any, **options: Any) -> Job[Any]:
    from microscope_qc.workflows.unusual.finding import find_unusual

    return find_unusual(*arguments, wait_s=0.0, **options)


class DetectDock(QWidget):
    """Starts, watches, stops and continues detections.

    Parameters
    ----------
    viewport
        Returns the rectangle y0, x0, y1, x1 of the slide that is on screen, in full-resolution pixels.
    detect, detect_many, resume, find_unusual, models, load_model, choose_folder
        Replace ``workflows.detect.detect``, ``detect_many`` and ``resume``, ``workflows.unusual.finding.find_unusual``,
        ``ml.models.list_models``, ``ml.models.load_card`` and the folder dialog in tests.
    """

    detect_started = Signal()

    def __init__(
        self,
        session: Session,
        jobs: JobRunner,
        parent: QWidget | None = None,
        *,
        viewport: Viewport | None = None,
        detect: Detect | None = None,
        detect_many: Detect | None = None,
        resume: Detect | None = None,
        find_unusual: Detect | None = None,
        models: Models = installed_models,
        load_model: LoadModel = load_model,
        choose_folder: ChooseFolder = choose_folder,
    ) -> None:
        super().__init__(parent)
        self.setObjectName("detect")
        self.setWindowTitle("Detect")
        self._session = session
        self._detect = detect or partial(_detect, children=jobs.detector)
        self._detect_many = detect_many or partial(_detect_many, children=jobs.detector)
        self._resume = resume or partial(_resume, children=jobs.detector)
        self._find_unusual = find_unusual or partial(_find_unusual, children=jobs.detector)
        self.scope = ScopeSwitch(session)
        self.models = ModelChooser(session, models=models, load=load_model, ask_folder=choose_folder)
        self.area = AreaSection(session, jobs, lambda: self.models.card, viewport=viewport)
        self.pixel_row = PixelSizeRow(session, lambda: self.models.card)
        self.plane, self.looks_at = PlaneOnScreen(session), note()
        self.progress = DetectProgress(session, jobs)
        self.story = self.progress.story
        self.start = QPushButton(START_WORDS[0])
        self.start_over = QPushButton("Start over")
        self.unusual, self.about_unusual = QPushButton("Find what is unusual"), sentence()
        self.stop = QPushButton("Stop")
        self.runs = RunList(session)
        self.run_menu = RunMenu(session, self.runs)
        self.run_details = RunDetails(session, jobs, self.runs)
        self.past_area = PastAreaButton(session, jobs, self.runs, self.area)
        self.continue_run = QPushButton("Continue this one")
        self._build()
        for signal in (
            session.project_changed, session.slide_changed, session.slides_changed, session.mosaic_changed,
            session.runs_changed,
        ):  # fmt: skip
            link(self, signal, self.refresh)
        link(self, session.boxes_changed, self._on_boxes_changed)
        link(self, session.scope.changed, self.refresh)
        session.slide_view.display_changed.connect(self._on_display_changed)
        self._view_soon = QTimer(self)
        self._view_soon.setSingleShot(True)
        self._view_soon.timeout.connect(self.refresh)
        self.refresh()

    # -- parts -------------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        self.models.changed.connect(self.refresh)
        self.area.changed.connect(self.refresh)
        self.start.setProperty("primary", "true")
        self.start.clicked.connect(self._on_start_clicked)
        self.start_over.clicked.connect(lambda: self.begin(fresh=True))
        self.start_over.setToolTip("Does not continue the interrupted detection of the same model and area")
        self.unusual.clicked.connect(self.find_unusual)
        self.about_unusual.hide()
        self.stop.clicked.connect(self.cancel)
        self.progress.began.connect(self._on_began)
        self.progress.advanced.connect(self._on_progress)
        self.progress.ended.connect(self._on_ended)
        self.stop.setToolTip("What was found so far is kept; you can continue later")
        self.stop.hide()
        self.continue_run.clicked.connect(self._on_continue_clicked)
        self.runs.continue_possible.connect(self._on_continue_possible)
        self._on_continue_possible(None)
        buttons = QHBoxLayout()
        for press in (self.start, self.start_over, self.stop):
            buttons.addWidget(press)
        buttons.addStretch(1)
        below = QFlowLayout()
        self.run_menu.continue_wanted.connect(self.go_on)
        self.run_menu.compare_wanted.connect(self.run_details.compare.compare)
        for part in (self.run_menu.button, self.continue_run, self.past_area):
            below.addWidget(part)
        content = column_of(
            self.scope, heading("Model"), self.models, 6, self.unusual, self.about_unusual, 6, heading("Area"),
            self.area, self.looks_at, self.pixel_row, 6, heading("Detections on this slide"),
        )  # fmt: skip
        content.addWidget(self.runs, 1)
        content.addWidget(note("The check box shows and hides what only this detection found; what you judged stays."))
        content.addLayout(below)
        content.addWidget(self.run_details)
        wide = max(_width_for(self.start, words) for words in (*START_WORDS, "Stop"))
        for press in (self.start, self.stop):  # one takes the place of the other
            press.setMinimumWidth(wide)
        # visible on a low screen too; at the bottom, the buttons stay put
        foot = column_of(self.area.pixel_fit, self.progress, buttons)
        foot.setContentsMargins(12, 6, 12, 8)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(scrolled(content, self), 1)
        column.addLayout(foot)

    def show_on(self, canvas: Canvas) -> None:
        """Show the scan area on a canvas, and let the user edit it there."""
        from microscope_qc.app.panels.detect.area_editor import ScanAreaView

        self.area.show_on(ScanAreaView(canvas))
        self.past_area.show()

    # -- what is shown -----------------------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether a detection started here is running."""
        return self.progress.running

    @property
    def card(self) -> Any | None:
        """Card of the chosen model."""
        return self.models.card

    def on_view_changed(self) -> None:
        """Update the estimate soon, because the canvas shows another part."""
        if not self.running and self.isVisible():
            self._view_soon.start(VIEW_MS)

    def refresh(self) -> None:
        """Show model, area, time and what the buttons can do."""
        self.pixel_row.refresh()
        self._show_plane()
        self.models.list.setEnabled(not self.running)
        self.area.refresh(running=self.running)
        if self.area.pixel_fit.text() in self.story.text():  # the end of a detection without findings says it, too
            self.area.pixel_fit.hide()
        why_not, several = self.why_not(), self.area.several.there
        finished, left = self._several_before() if several else self._before()
        start, go_on, again = START_WORDS
        self.start.setText(again if finished else go_on if left else start)
        self.start.setEnabled(not why_not)
        tip = "Continues where this detection was interrupted" if left else ""
        tip = "Scans the slides that are not finished yet" if left and several else tip
        tip = "Hides the findings of the previous detection; its check box shows them again" if finished else tip
        self.start.setToolTip(why_not or tip)
        self.start.setVisible(not self.running)
        why_not_unusual = self.why_not_unusual()
        self.unusual.setEnabled(not why_not_unusual)
        self.unusual.setToolTip(why_not_unusual or UNUSUAL_TIP)
        self.start_over.setVisible(left and not self.running)
        self.start_over.setEnabled(not why_not)
        selected = self.runs.selected_run()  # the list sent its signal before the detection ended
        self._on_continue_possible(selected if selected is not None and self.runs.can_continue(selected) else None)

    def _on_display_changed(self, _display: object) -> None:
        self.on_view_changed()  # it may show another plane

    def _show_plane(self) -> None:
        words = self.plane.words(several=self.area.several.there)
        self.looks_at.setText(words)
        self.looks_at.setVisible(bool(words))

    def why_not(self) -> str:
        """Why a detection cannot start; "" if it can."""
        if self._session.slide is None:
            return "Open a slide first."
        if not self._session.can_write:
            return "This project is open for reading only."
        if self.card is None:
            return "Choose a model." if self.models.list.count() else "No model is installed."
        if not self.area.several.there:
            if lacks_pixel_size(self.card, self._session.slide.pixel_size_um):
                return "Enter the pixel size first."
            if self._session.slide.missing:
                return "The slide file was moved away."
            if self.plane.opening:
                return "The slide is being opened."
        return "A detection is running." if self.running else self.area.why_not()

    def why_not_unusual(self) -> str:
        """Why it cannot be looked for what is unusual on the slide on screen; "" if it can."""
        slide = self._session.slide
        if slide is None:
            return "Open a slide first."
        if not self._session.can_write:
            return "This project is open for reading only."
        if slide.missing:
            return "The slide file was moved away."
        return "A detection is running." if self.running else ""

    def _before(self) -> tuple[bool, bool]:
        """Whether the chosen detection of the slide on screen is finished, and whether it was interrupted."""
        before = self._run_before()
        finished = before is not None and before.state == "finished"
        return finished, before is not None and not finished

    def _several_before(self) -> tuple[bool, bool]:
        """Whether the chosen detection of several slides is finished, and whether some of them are."""
        several = self.area.several
        done, begun = several.before(self._argument(), everything=self.area.kind() is None)
        finished = begun > 0 and done == len(several.ready)
        return finished, begun > 0 and not finished

    def _argument(self) -> str:
        """The chosen model as runs name it: a bundled one by its name, another by its folder."""
        path = Path(self.models.argument)
        return str(path) if path.name == str(path) else str(path.absolute())

    def _run_before(self) -> RunRecord | None:
        """The newest run of the same model on the same area."""
        card, slide = self.card, self._session.slide
        if card is None or slide is None or self.running:
            return None
        region = self.area.region() or Region(0, 0, *slide.shape_px)
        key, plane = self.area.key(), self.plane.of_slide()
        wanted = None if plane is None else plane.to_dict()
        for run in self.runs.runs:
            same = Path(run.plan.model).name == Path(self.models.argument).name
            alike = run.settings.get("area") == key and run.settings.get("plane") == wanted
            if same and run.plan.region == region and alike:
                return run
        return None

    # -- what the user does ------------------------------------------------------------------------------------------

    def begin(self, *, fresh: bool = False) -> None:
        """Start (or continue) the detection that is chosen."""
        slide, card = self._session.slide, self.card
        if self.why_not() or slide is None or card is None:
            return
        self.area.finish_changing()
        if self.area.several.there:
            self._begin_several(card, fresh=fresh)
            return
        area, plane = self.area.choice(), self.plane.of_slide()
        self.progress.run(
            lambda: self._detect(
                self._session.project, slide.id, self.models.argument, region=area.region, device="auto", fresh=fresh,
                everything=area.everything, mask=area.mask, plane=plane, first=self.area.in_view(),
            ),
            f"Detecting {slide.name}",
            pace_key=speed_key(card),
        )  # fmt: skip

    def _begin_several(self, card: Any, *, fresh: bool) -> None:
        """Start (or continue) the detection of all slides of the scope, as one job."""
        from microscope_qc.workflows.detection.area import chosen_scan_area

        project, slides, kind = self._session.project, self.area.several.slides, self.area.kind()
        assert project is not None
        self.area.masks.save()
        plane_of, seen, on_screen = self.plane.of_each(slides), self.area.in_view(), self._session.slide
        first = {} if seen is None or on_screen is None else {on_screen.id: seen}
        self.progress.run(
            lambda: self._detect_many(
                project, self.models.argument, slide_ids=[slide.id for slide in slides], device="auto", fresh=fresh,
                everything=kind is None, area_of=lambda slide: chosen_scan_area(project, slide, kind=kind),
                plane_of=plane_of, first=first,
            ),
            f"Detecting on {things(len(slides), 'slide')}",
            pace_key=speed_key(card),
        )  # fmt: skip

    def find_unusual(self) -> None:
        """Learn what is normal on the slide on screen, and look for the rest (or continue with that)."""
        slide, project = self._session.slide, self._session.project
        if self.why_not_unusual() or slide is None:
            return
        from microscope_qc.workflows.unusual.finding import WARNING

        self.area.finish_changing()
        self.area.masks.save()
        self.about_unusual.setText(WARNING)
        self.about_unusual.show()
        self.progress.run(
            lambda: self._find_unusual(
                project, slide.id, first=self.area.in_view(),
                tell=lambda said: self.about_unusual.setText(f"{said} {WARNING}"),
            ),
            f"Finding what is unusual on {slide.name}",
            pace_key="unusual",
        )  # fmt: skip

    def go_on(self, run: RunRecord) -> None:
        """Continue a detection on its own area, whatever is chosen now."""
        slide = self._session.slide
        if self.running or slide is None or run.slide_id != slide.id:
            return
        same = Path(run.plan.model).name == Path(self.models.argument).name
        key = speed_key(self.card) if same and self.card is not None else run.plan.model_name
        self.progress.run(
            lambda: self._resume(self._session.project, run.id, first=self.area.in_view()), f"Detecting {slide.name}",
            pace_key=key,
        )  # fmt: skip

    def _on_start_clicked(self) -> None:
        self.area.finish_changing()
        if self.area.several.there:
            self.begin(fresh=self._several_before()[0])
            return
        before = self._run_before()
        if before is not None and before.state != "finished":
            self.go_on(before)
        else:
            self.begin(fresh=before is not None)

    def cancel(self) -> None:
        """Stop; what was found is kept."""
        self.progress.cancel()
        self.stop.setEnabled(False)

    def _on_continue_clicked(self) -> None:
        run = self.runs.selected_run()
        if run is not None:
            self.go_on(run)

    # -- what happens ------------------------------------------------------------------------------------------------

    def _on_began(self) -> None:
        self.stop.show()
        self.stop.setEnabled(True)
        self.runs.set_running(self._newest_running())
        self.refresh()
        self.detect_started.emit()

    def _on_ended(self) -> None:
        self.stop.hide()
        self.runs.set_running(None)
        self.refresh()

    def _newest_running(self) -> int | None:
        return next((run.id for run in self.runs.runs if run.state == "running"), None) if self.running else None

    def _on_progress(self) -> None:
        if self.running:
            self.runs.set_running(self._newest_running())

    def _on_boxes_changed(self, change: Any) -> None:
        if self.running and change.kind == "added":
            self.progress.refresh()

    def _on_continue_possible(self, run: object) -> None:
        possible = run is not None and not self.running
        self.continue_run.setEnabled(possible)
        self.continue_run.setToolTip("" if possible else "Select a detection that was interrupted.")


def _width_for(button: QPushButton, words: str) -> int:
    """The width that a button needs for other words."""
    wide = button.fontMetrics().horizontalAdvance
    return button.sizeHint().width() + wide(words) - wide(button.text())
