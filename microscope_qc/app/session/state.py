"""The state of a window: project, slide and pixels, selection, tool, class to draw, and what the filter shows.

Views listen to it and read it; the user's commands are built on it, in :mod:`session`. All of it belongs to the
window's thread.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from psygnal import EmissionInfo, Signal

from microscope_qc.app.session.pixels import SlidePixels
from microscope_qc.app.session.scope import Scope
from microscope_qc.app.session.scoped import ScopedFindings
from microscope_qc.app.session.selection import Selection
from microscope_qc.app.session.shown import ShownBoxes
from microscope_qc.app.session.slide_pool import SlidePool
from microscope_qc.app.session.slide_view import SlideView
from microscope_qc.app.session.stage_now import StageNow
from microscope_qc.core.arrays import Flags, Ints, Rows
from microscope_qc.core.boxes import BOX_DTYPE, BoxChange, BoxFilter, BoxTable
from microscope_qc.core.defect_class import DefectClass
from microscope_qc.core.errors import InputError, MicroscopeQCError
from microscope_qc.core.inclusion import Inclusion

if TYPE_CHECKING:
    from microscope_qc.app.base.jobs import JobRunner
    from microscope_qc.project import Project
    from microscope_qc.project.records import LogEntry, SlideRecord
    from microscope_qc.slides import Mosaic

# measure: a line along a scale bar; grey: a grey place for the white balance; area: what is declared complete
TOOLS = ("select", "draw", "mark", "measure", "length", "grey", "area")


class SessionState:
    """The evented state of one window.

    Signals named like those of :class:`~microscope_qc.project.events.ProjectEvents` report on whichever project is
    open; changes of findings come from ``boxes_changed`` and :class:`ScopedFindings`.

    Parameters
    ----------
    jobs
        Opens slides in the background; without it they are opened at once (tests, scripts).
    """

    project_changed: ClassVar[Signal] = Signal()
    slide_changed: ClassVar[Signal] = Signal()  # another slide record; boxes are there, pixels may not be yet
    mosaic_changed: ClassVar[Signal] = Signal()  # the pixels of the slide are there (or mosaic_error says why not)
    slides_changed: ClassVar[Signal] = Signal()  # list of slides, their names, places or pixel sizes
    classes_changed: ClassVar[Signal] = Signal()
    inclusion_changed: ClassVar[Signal] = Signal()  # which boxes count; filter_changed follows
    areas_changed: ClassVar[Signal] = Signal()
    filter_changed: ClassVar[Signal] = Signal()  # which boxes are shown, for whatever reason
    boxes_changed: ClassVar[Signal] = Signal(BoxChange)  # of the slide on screen
    marks_changed: ClassVar[Signal] = Signal()
    runs_changed: ClassVar[Signal] = Signal()
    registrations_changed: ClassVar[Signal] = Signal()
    measurements_changed: ClassVar[Signal] = Signal()  # of EDX, or the findings that they belong to
    model_in_use_changed: ClassVar[Signal] = Signal()
    models_changed: ClassVar[Signal] = Signal()  # there are others, or they are called otherwise
    standards_changed: ClassVar[Signal] = Signal()  # see project/parts/standards.py
    history_changed: ClassVar[Signal] = Signal()
    saved_filters_changed: ClassVar[Signal] = Signal()
    stage_changed: ClassVar[Signal] = Signal()  # order of the travel list, unit or height of the stage
    tool_changed: ClassVar[Signal] = Signal(str)
    draw_class_changed: ClassVar[Signal] = Signal(int)
    centre_requested: ClassVar[Signal] = Signal(int)  # box id; the canvas goes there
    order_ended: ClassVar[Signal] = Signal()  # a step beyond the last finding of the review order
    area_requested: ClassVar[Signal] = Signal(tuple)  # y0, x0, y1, x1; the canvas brings it into view
    line_drawn: ClassVar[Signal] = Signal(float)  # length in slide pixels, by the tool "measure"
    mark_placed: ClassVar[Signal] = Signal(float, float)  # y, x in slide pixels
    notice: ClassVar[Signal] = Signal(str)  # a short sentence for a toast

    def __init__(self, jobs: JobRunner | None = None) -> None:
        self.jobs = jobs
        self.project: Project | None = None
        self.slide: SlideRecord | None = None
        self.mosaic: Mosaic | None = None
        self.ahead: Mosaic | None = None  # on screen while its project is still being created
        self.mosaic_error: MicroscopeQCError | None = None
        self.scope = Scope()
        self.selection = Selection()
        self.stage_now = StageNow()
        self.tool = "select"
        self.draw_class_id = 0
        self.drawn_last = 0  # id of the box that was drawn last
        self._owner_words = ""
        self._table: BoxTable | None = None
        self._empty = BoxTable()
        self._pixels = SlidePixels(self._on_pixels_opened, self._on_pixels_failed)
        self.shown = ShownBoxes()
        self.shown.limit_changed.connect(self._on_limit_changed)
        self.scoped = ScopedFindings(self, self.notice.emit)
        self.slides_changed.connect(self.scoped.forget_sizes)
        self.scoped.changed.connect(self._on_scoped_changed)
        self.slide_view = SlideView(self.notice.emit)

    # -- project and slide -------------------------------------------------------------------------------------------

    def set_project(self, project: Project | None) -> None:
        """Show another project (the previous one is closed) and the slide it was left on."""
        if self.project is not None:
            self._leave_project(self.project)
        self.project = project
        self.draw_class_id = self.drawn_last = 0
        if project is not None:
            project.sync_behind()
            project.events.connect(self._on_project_event)
            self.refresh_owner()
            known = [item.id for item in project.classes]
            last_class = project.settings.get("draw_class", 0)
            self.draw_class_id = last_class if last_class in known else known[0] if known else 0
        self.scope.show_project(project)
        self.project_changed.emit()
        slides = project.slides if project is not None else []
        last = project.settings.get("last_slide", None) if project is not None else None
        chosen = next((slide.id for slide in slides if slide.id == last), slides[0].id if slides else None)
        self.show_slide(chosen)
        self.scope.tell()  # also where the project has no slide
        self.scoped.read_ahead()

    def _leave_project(self, project: Project) -> None:
        project.events.disconnect(self._on_project_event)
        if self.slide is not None and not project.read_only and project.displaced is None:
            project.settings.remember("last_slide", self.slide.id)
            project.settings.remember("draw_class", self.draw_class_id)
        self.show_slide(None)
        self.slide_view.show(None, None)  # what could not be saved cannot be saved later either
        self._pixels.forget_all()
        self.ahead = None
        self.project = None
        project.close()

    def show_slide(self, slide_id: int | None, *, keep_selection: bool = False) -> None:
        """Show a slide of the project; its pixels follow with ``mosaic_changed``.

        ``keep_selection`` where the slide is shown because of a finding that is selected already.
        """
        if self.slide is not None and slide_id == self.slide.id and self.mosaic is not None:
            return
        self._pixels.leave()
        if not keep_selection:
            self.selection.clear()
        if self._table is not None:
            self._table.changed.disconnect(self._on_table_changed)
        self._table, self.slide, self.mosaic, self.mosaic_error = None, None, None, None
        if slide_id is not None and self.project is not None:
            self.slide = self.project.slides.by_id(slide_id)
            self._table = self.project.boxes.table(slide_id)
            self._table.changed.connect(self._on_table_changed)
        # before the signal: its listeners need what is shown of the slide, and how
        shown_id = None if self.slide is None else self.slide.id
        self.scope.show_slide(shown_id)
        self.shown.show(self.project, shown_id, self.table)
        self.slide_view.show(self.project, self.slide)
        self.scoped.sync()
        self.slide_changed.emit()
        self.scope.tell()
        if self.slide is not None:
            self._open_pixels(self.slide)

    def show_again(self) -> None:
        """Open the pixels of the slide on screen again: its file has changed."""
        if self.slide is not None:
            self._pixels.forget(self.slide.id)
            self.mosaic = None
            self.show_slide(self.slide.id, keep_selection=True)

    def _open_pixels(self, slide: SlideRecord) -> None:
        if self.ahead is not None and self.shows_ahead(slide):
            self._pixels.keep(slide, self.ahead)
        self._pixels.open(slide, self.jobs)

    @property
    def pool(self) -> SlidePool:
        """The slides that are open."""
        return self._pixels.pool

    def open_ahead(self, box_id: int) -> None:
        """Open in the background the slide of a finding that will be the current one soon."""
        slide = self.slide_of(box_id)
        if slide is not None and self.jobs is not None and (self.slide is None or slide.id != self.slide.id):
            self._pixels.open_ahead(slide, self.jobs)

    def shows_ahead(self, slide: SlideRecord) -> bool:
        """Whether the pixels of a slide were shown before its project was opened."""
        ahead = self.ahead
        if ahead is None or ahead.path.absolute() != slide.path.absolute() or slide.scene not in (None, ahead.name):
            return False
        return slide.pixel_size_um in (None, ahead.pixel_size_um) and slide.shape_px == ahead.shape

    def _on_pixels_opened(self, mosaic: Mosaic) -> None:
        self.mosaic = mosaic
        self.mosaic_changed.emit()

    def _on_pixels_failed(self, error: MicroscopeQCError) -> None:
        self.mosaic_error = error
        self.mosaic_changed.emit()

    # -- what is shown -----------------------------------------------------------------------------------------------

    @property
    def table(self) -> BoxTable:
        """Boxes of the slide on screen (an empty table without one)."""
        return self._table if self._table is not None else self._empty

    @property
    def inclusion(self) -> Inclusion:
        """Which boxes count; the others are not shown either."""
        return Inclusion() if self.project is None else self.project.inclusion.current

    def set_confidence_limit(self, limit: float, *, amends: LogEntry | None = None) -> LogEntry | None:
        """Set the confidence from which findings count; see :meth:`~.InclusionPart.set_limit`."""
        return None if self.project is None else self.project.inclusion.set_limit(limit, amends=amends)

    @property
    def filter(self) -> BoxFilter:
        """The filter of the boxes that count, with what it needs of the slide on screen."""
        if self.project is None:
            return BoxFilter()
        known = self.project.filters.current
        return known if self.slide is None else replace(known, facts=self.project.boxes.facts(self.slide.id))

    def set_filter(self, **changes: object) -> None:
        """Change fields of the project's filter, e.g. ``set_filter(text="foil")``."""
        if self.project is not None:
            self.project.filters.set(replace(self.project.filters.current, **changes))  # type: ignore[arg-type]

    def clear_filter(self) -> None:
        """Show all findings again that count."""
        self.shown.limit(None)
        if self.project is not None:
            self.project.filters.set(BoxFilter())

    @property
    def filter_active(self) -> bool:
        """Whether the filter may hide findings that count."""
        if self.project is None:
            return False
        return self.shown.limited or self.project.filters.current != BoxFilter()

    def has(self, ids: Ints) -> Flags:
        """Boolean for each of ``ids``: whether it is on the slide on screen or in the scope."""
        here: Flags = self.table.has(ids)
        return here | self.scoped.table.has(ids) if self.scoped.several else here

    def rows_of(self, ids: Ints) -> Rows:
        """Copies of the rows of findings of the slide on screen or the scope, in the order of ``ids``; others are
        left out."""
        if not self.scoped.several:
            return self.table.get(ids[self.table.has(ids)])
        inside, here = self.scoped.table.has(ids), self.table.has(ids)
        if inside.all():
            return self.scoped.table.get(ids)
        rows = np.zeros(len(ids), BOX_DTYPE)
        rows[inside], rows[here] = self.scoped.table.get(ids[inside]), self.table.get(ids[here])
        return rows[inside | here]

    def row_of(self, box_id: int) -> np.void | None:
        """The row of a finding of the slide on screen or the scope, None where it is in neither."""
        rows = self.rows_of(np.array([box_id], np.int64))
        return rows[0] if len(rows) else None

    def on_screen(self, ids: Ints) -> Ints:
        """Those of some findings that are on the slide on screen: only these can be moved or copied to a place."""
        return ids[self.table.has(ids)]

    def slide_of(self, box_id: int) -> SlideRecord | None:
        """The slide of a finding of the slide on screen or the scope."""
        if self.project is None or not self.scoped.several or box_id in self.table:
            return self.slide
        number = int(self.scoped.slides_of(np.array([box_id], np.int64))[0])
        with contextlib.suppress(InputError):  # not there, or its slide was removed
            return self.project.slides.by_id(number)
        return None

    def pixel_size_of(self, box_id: int) -> tuple[float, float] | None:
        """Pixel size (y, x) in micrometres of the slide of a finding."""
        if not self.scoped.several or box_id in self.table:
            return self.pixel_size_um
        number = int(self.scoped.slides_of(np.array([box_id], np.int64))[0])
        return self.scoped.known_sizes.by_slide.get(number)

    def shown_rows(self) -> Rows:
        """Rows of the slide on screen that pass the filter (a copy that cannot be written to, sorted by id)."""
        return self.shown.rows()

    def shown_mask(self) -> Flags:
        """For each row of :attr:`table`, whether it passes the filter. Read it, do not write to it."""
        return self.shown.mask()

    @property
    def classes(self) -> list[DefectClass]:
        """Classes of the project, in order."""
        return list(self.project.classes) if self.project is not None else []

    def class_of(self, class_id: int) -> DefectClass:
        """The class with this id; a deleted one is shown as "?"."""
        for defect_class in () if self.project is None else self.project.classes:
            if defect_class.id == class_id:
                return defect_class
        return DefectClass("?", "Class that was deleted", "#999999", id=class_id)

    @property
    def pixel_size_um(self) -> tuple[float, float] | None:
        """Pixel size of the slide on screen (y, x) in micrometres."""
        return self.slide.pixel_size_um if self.slide is not None else None

    # -- who may write -----------------------------------------------------------------------------------------------

    @property
    def can_write(self) -> bool:
        """Whether this window may change the open project."""
        return self.project is not None and not self.project.read_only

    def why_not_write(self) -> str:
        """Why nothing can be changed, "" if it can; shown by actions and buttons."""
        if self.project is None:
            return "Open a slide or a project first."
        if self.project.is_writing:
            return "A large change is being written; wait a moment."
        return "" if self.can_write else f"Read only: {self._owner_words}."

    def refresh_owner(self) -> bool:
        """Check who is writing to a project open for reading (reads a small file); True while someone is."""
        owner = self.project.owner if self.project is not None and self.project.read_only else None
        self._owner_words = owner_words(owner)
        return owner is not None

    # -- tools -------------------------------------------------------------------------------------------------------

    def set_tool(self, tool: str) -> None:
        """Choose a tool: one of ``TOOLS``."""
        if tool not in TOOLS:
            raise ValueError(f"unknown tool {tool!r}")
        if tool != self.tool:
            self.tool = tool
            self.tool_changed.emit(tool)

    def set_draw_class(self, class_id: int) -> None:
        """Choose the class that the next box gets."""
        if class_id != self.draw_class_id:
            self.draw_class_id = class_id
            self.draw_class_changed.emit(class_id)

    # -- what the project says ---------------------------------------------------------------------------------------

    def _on_project_event(self, event: EmissionInfo) -> None:
        """Update the state, then send the signal of the same name."""
        name = event.signal.name
        if name == "findings_changing":
            self.scoped.hold()
            return
        if name == "findings_changed":
            self.scoped.release()
            return
        if name == "classes_changed":
            self._take_classes()
        elif name == "slides_changed":
            self._take_slides()
        elif name in ("filter_changed", "inclusion_changed"):
            self._forget_shown()
        getattr(self, name).emit()
        if name == "slides_changed":
            self.scope.tell()
        if name == "inclusion_changed":
            self.filter_changed.emit()

    def _on_table_changed(self, change: BoxChange) -> None:
        self.shown.follow(change)
        self._deselect_gone(change)
        self.scoped.follow_slide(change)
        self.boxes_changed.emit(change)

    def _on_scoped_changed(self, change: BoxChange) -> None:
        self._deselect_gone(change)

    def _deselect_gone(self, change: BoxChange) -> None:
        if change.kind in {"removed", "reset"} and len(self.selection):
            left = self.has(self.selection.ids)
            if not left.all():
                self.selection.set(self.selection.ids[left])

    def _on_limit_changed(self) -> None:
        self.scoped.forget()
        self.filter_changed.emit()

    def _forget_shown(self) -> None:
        self.shown.forget()
        self.scoped.forget()

    def _take_classes(self) -> None:
        self._forget_shown()
        if self.draw_class_id not in {item.id for item in self.classes}:
            self.set_draw_class(self.classes[0].id if self.classes else 0)

    def _take_slides(self) -> None:
        self._forget_shown()
        shown, project = self.slide, self.project
        if shown is not None and project is not None:
            now = next((slide for slide in project.slides if slide.id == shown.id), None)
            if now is None:
                self._pixels.forget(shown.id)
                self.show_slide(project.slides[0].id if project.slides else None)
            elif now.path != shown.path or now.scene != shown.scene:
                self._pixels.forget(shown.id)
                self.mosaic = None
                self.show_slide(now.id)
            else:
                self.slide = now
        elif shown is None and project is not None and project.slides:
            self.show_slide(project.slides[0].id)


def owner_words(owner: dict[str, Any] | None) -> str:
    """Who writes a project, and since when."""
    if owner is None:
        return "its folder is not writable"
    place = "window" if owner.get("program") == "window" else "command"
    since = str(owner.get("since", ""))[:16].replace("T", " ")
    who = f"{owner.get('user', 'someone')} on {owner.get('host', 'another machine')} is writing to it"
    return f"{who} (in a {place})" + (f" since {since}" if since else "")
