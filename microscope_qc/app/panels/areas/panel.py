"""Densities of the slides in the scope beside the areas that users declared complete."""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterator, Sequence
from threading import Event
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QSize, Qt, QTimer, Signal
from qtpy.QtGui import QHideEvent
from qtpy.QtWidgets import QLabel, QSplitter, QStackedLayout, QVBoxLayout, QWidget

from microscope_qc.app.base import theme
from microscope_qc.app.base.refresh import Refresh
from microscope_qc.app.base.signals import link
from microscope_qc.app.panels.areas.declared import DeclaredAreas
from microscope_qc.app.panels.areas.numbers import DensityTable, density_lines
from microscope_qc.app.widgets.parts import EmptyPage
from microscope_qc.app.widgets.scope_switch import ScopeSwitch
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.workflows.detection.looked_at import looked_words

if TYPE_CHECKING:
    from microscope_qc.app.session.session import Session
    from microscope_qc.project import Project
    from microscope_qc.workflows.results.statistics import SlideFindings

Numbers = dict[int, tuple[dict[str, Any], float | None]]
"""Statistics of slides, by slide id, and their whole areas in mm²."""
AFTER_MS = 250
STEP_S = 0.008
"""So long what is known of slides is taken before the window goes on."""
WHAT = "Densities count only what was scanned by a detection or declared complete by a user."
HOW = (
    f"{WHAT}\nIf you have looked through an area yourself and every defect in it is marked, declare it: choose the "
    "tool, then drag a rectangle or click the corners."
)

Place = tuple["Project", tuple[int, ...]]
Made = tuple[dict[str, Any] | None, Numbers]
"""Numbers of all slides together (None when that was stopped), and those of each that was worked out."""


class DensitiesPanel(QWidget):
    """Counts, areas and densities by class, worked out in the background.

    ``tool_requested`` asks for the tool that declares areas complete.
    """

    tool_requested = Signal()

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("densities")
        self._session = session
        self._working: Place | None = None
        self._again = False
        self._known_of: Project | None = None
        self._found: Numbers = {}
        self._as_of = 0  # version of the project that they are of
        self._stop = Event()
        self._step = _Step(self)
        self._shown: Place | None = None
        self.table = DensityTable()
        self.notes = QLabel()
        self.notes.setProperty("quiet", True)
        self.notes.setTextFormat(Qt.TextFormat.PlainText)
        self.notes.setWordWrap(True)
        self.declared = DeclaredAreas(session)
        self.empty = EmptyPage()
        self._build()
        self.empty.button.clicked.connect(self.tool_requested)
        self.declared.tool_requested.connect(self.tool_requested)
        self._due = Refresh(self, self.refresh, after_ms=AFTER_MS)
        for signal in (session.inclusion_changed, session.areas_changed, session.runs_changed, session.classes_changed,
                       session.slides_changed):  # fmt: skip
            link(self, signal, self._on_all_changed)
        session.slide_view.seen_stored.connect(self._on_all_changed)
        for signal in (session.slide_changed, session.project_changed, session.scope.changed):
            link(self, signal, self._on_place_changed)
        for signal in (session.scoped.changed, session.scoped.loading_changed):
            link(self, signal, self._due.soon)
        self._on_place_changed()

    def _build(self) -> None:
        self.scope = ScopeSwitch(self._session)
        left = QWidget()
        column = QVBoxLayout(left)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.table, 1)
        self.notes.setContentsMargins(theme.STEP, theme.STEP // 2, theme.STEP, theme.STEP // 2)
        column.addWidget(self.notes)
        parts = QSplitter()
        parts.addWidget(left)
        parts.addWidget(self.declared)
        parts.setStretchFactor(0, 1)
        parts.setSizes([760, 232])
        parts.setChildrenCollapsible(False)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(0)
        outer.addWidget(self.scope, 0, Qt.AlignmentFlag.AlignLeft)
        self._stack = QStackedLayout()
        outer.addLayout(self._stack, 1)
        self._stack.addWidget(self.empty)
        self._stack.addWidget(parts)
        self._parts = parts

    def sizeHint(self) -> QSize:
        """Qt: room for some classes."""
        return QSize(900, 216)

    @property
    def up_to_date(self) -> bool:
        """Whether the numbers of the scope are shown as they are now."""
        return self._shown is not None and self._shown == self._place() and not (self._working or self._due.due)

    def _place(self) -> Place | None:
        project, slides = self._session.project, self._session.scope.slide_ids
        return None if project is None or not slides else (project, slides)

    def hideEvent(self, event: QHideEvent) -> None:
        """Qt: what nobody sees is not worked out."""
        super().hideEvent(event)
        if self._working is not None:
            self._stop.set()
            self._again = True  # when it is seen again

    def _on_all_changed(self) -> None:
        self._found = {}  # what is being worked out from the old ones goes into those
        self._due.soon()

    def _on_place_changed(self) -> None:
        place = self._place()
        if place is not None and place in (self._shown, self._working):
            return  # another slide of the scope came on screen
        self._shown = None  # numbers of other slides must not stand under these
        self._stop.set()
        self.table.show_lines([])
        self._say("")
        self.empty.say(f"{WHAT}\nOpen a slide first." if place is None else "Working out the densities…")
        self._stack.setCurrentWidget(self.empty)
        self._due.soon()

    # -- working out -------------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Work the numbers out again; what was asked for meanwhile is worked out once, after that."""
        place = self._place()
        if place is None or self._session.scoped.loading:
            return
        if self._working is not None:
            self._again = True
            return
        self._stop = Event()
        if self._known_of is not place[0]:
            self._known_of, self._found = place[0], {}
        boxes, found = place[0].boxes, self._found
        for slide_id in boxes.changed_since(self._as_of):
            found.pop(slide_id, None)
        self._as_of = boxes.version  # what changes from here on is worked out again
        gathering = _gathering(*place, found)
        if self._session.jobs is None:
            self._take(place, worked_out(list(gathering), place[1], found, self._stop), found)
            return
        self._working = place
        self._gather(place, gathering, [], found)

    def _gather(
        self, place: Place, gathering: Iterator[SlideFindings], known: list[SlideFindings], found: Numbers
    ) -> None:
        """Take what is known of the slides, a few at a time; then work the numbers out in the background."""
        jobs, until = self._session.jobs, time.monotonic() + STEP_S
        if self._stop.is_set() or jobs is None or jobs.closed:
            self._end()
            return
        try:
            for findings in gathering:
                known.append(findings)
                if time.monotonic() > until:
                    self._step.wait(lambda: self._gather(place, gathering, known, found))
                    return
        except MicroscopeQCError:  # a slide went away meanwhile: what it tells brings the next refresh
            self._end()
            self._due.soon()
            return
        stop, so_far = self._stop, dict(found)
        jobs.call(
            lambda: worked_out(known, place[1], so_far, stop),
            on_done=lambda made: self._on_done(place, made, found),
            on_failed=lambda error: self._on_failed(place, error),
        )

    def _on_done(self, place: Place, made: Made, found: Numbers) -> None:
        self._end()
        self._take(place, made, found)

    def _on_failed(self, place: Place, error: BaseException) -> None:
        self._end()
        if place == self._place():
            self.table.show_lines([])
            self._shown = place
            self._stack.setCurrentWidget(self._parts)
            self._say(f"The densities could not be worked out: {error}", bad=True)
        if not isinstance(error, MicroscopeQCError):
            raise error

    def _end(self) -> None:
        self._working = None
        if self._again:
            self._again = False
            self._due.soon()

    def _take(self, place: Place, made: Made, known: Numbers) -> None:
        found, new = made
        known.update(new)
        if found is None or place != self._place():  # the scope is another one now
            return
        self._shown = place
        something = bool(found["classes"] or found["warnings"] or self._session.declaring.areas())
        if not something:
            self.empty.say(HOW, "I have looked at all of this…" if self._session.can_write else "")
        self._stack.setCurrentWidget(self._parts if something else self.empty)
        self.table.show_lines(density_lines(found))
        words = []
        if len(place[1]) > 1:
            words.append(f"Of {self._session.scope.words}; a density is of those on which the class was looked for.")
        if found["looked_at"] is not None:
            words.append(looked_words(found["looked_at"], "the slide" if len(place[1]) == 1 else "these slides"))
        self._say(" ".join([*words, *found["warnings"]]), bad=bool(found["warnings"]))

    def _say(self, words: str, *, bad: bool = False) -> None:
        theme.mark_error(self.notes, bad)
        self.notes.setText(words)
        self.notes.setVisible(bool(words))


class _Step(QObject):
    """Calls a function when the window has answered."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._next: Callable[[], None] = lambda: None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._on_timeout)

    def wait(self, following: Callable[[], None]) -> None:
        self._next = following
        self._timer.start(0)

    def _on_timeout(self) -> None:
        self._next()


def _gathering(project: Project, slide_ids: Sequence[int], found: Container[int]) -> Iterator[SlideFindings]:
    """What is known of the slides whose numbers were not found yet."""
    from microscope_qc.workflows.results.statistics import slide_findings

    for slide_id in slide_ids:
        if slide_id not in found:
            yield slide_findings(project, slide_id)


def worked_out(known: Sequence[SlideFindings], slide_ids: Sequence[int], found: Numbers, stop: Event) -> Made:
    """Work numbers out (any thread) until that is stopped.

    Parameters
    ----------
    known
        The slides that are worked out.
    slide_ids, found
        The slides whose numbers are wanted together, and those of them that need no working out.
    """
    from microscope_qc.workflows.results.statistics import numbers_together, slide_numbers

    new: Numbers = {}
    for findings in known:
        if stop.is_set():
            return None, new
        slide = findings.sources.slide
        size, shape = slide.pixel_size_um, slide.shape_px
        area = None if size is None else shape[0] * size[0] * shape[1] * size[1] / 1e6
        new[slide.id] = slide_numbers(findings, sizes=False), area
    all_found = {**found, **new}
    slides, areas = zip(*(all_found[slide_id] for slide_id in slide_ids), strict=True)
    return slides[0] if len(slides) == 1 else numbers_together(slides, areas), new
