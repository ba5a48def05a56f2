"""What the window is looking at: project, slide, selection and tool, and the commands every dock calls.

Views listen to the signals here and call the commands here; no view calls another view. All of it lives in the
window's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from psygnal import Signal

from microscope_qc.app.session.box_editing import BoxEditing, count_words
from microscope_qc.app.session.shown import ShownBoxes
from microscope_qc.app.session.slide_view import SlideView
from microscope_qc.app.session.undoing import Undoing
from microscope_qc.core.arrays import Flags, Rows
from microscope_qc.core.boxes import BoxChange, BoxFilter, BoxTable, ReviewState, make_rows
from microscope_qc.core.defect_class import DefectClass
from microscope_qc.core.errors import InputError, MicroscopeQCError

if TYPE_CHECKING:
    from microscope_qc.app.base.jobs import JobRunner
    from microscope_qc.project import Project
    from microscope_qc.project.records import SlideRecord
    from microscope_qc.slides import Mosaic

TOOLS = ("select", "draw", "mark", "measure", "length", "grey")


class Selection:
    """The chosen boxes of the slide on screen; ``current`` is the one the defect card describes."""

    changed: ClassVar[Signal] = Signal()

    def __init__(self) -> None:
        self.ids: np.ndarray = np.empty(0, np.int64)
        self.current: int | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, box_id: int) -> bool:
        return bool((self.ids == box_id).any())

    def set(self, ids: Iterable[int] | np.ndarray, current: int | None = None) -> None:
        """Select ``ids``; ``current`` defaults to the one that was current if it is still selected, else the first."""
        new = np.unique(np.asarray(list(ids) if not isinstance(ids, np.ndarray) else ids, np.int64))
        if current is None:
            current = self.current if self.current is not None and (new == self.current).any() else None
        if current is None and len(new):
            current = int(new[0])
        if len(new) == 0:
            current = None
        if np.array_equal(new, self.ids) and current == self.current:
            return
        self.ids, self.current = new, None if current is None else int(current)
        self.changed.emit()

    def toggle(self, box_id: int) -> None:
        """Add a box to the selection or take it out."""
        if box_id in self:
            self.set(self.ids[self.ids != box_id])
        else:
            self.set(np.append(self.ids, box_id), current=box_id)

    def clear(self) -> None:
        """Select nothing."""
        self.set(np.empty(0, np.int64))


class Session:
    """One window's state.

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
    filter_changed: ClassVar[Signal] = Signal()
    boxes_changed: ClassVar[Signal] = Signal(BoxChange)  # of the slide on screen
    marks_changed: ClassVar[Signal] = Signal()
    runs_changed: ClassVar[Signal] = Signal()
    history_changed: ClassVar[Signal] = Signal()
    saved_filters_changed: ClassVar[Signal] = Signal()
    tool_changed: ClassVar[Signal] = Signal(str)
    draw_class_changed: ClassVar[Signal] = Signal(int)
    centre_requested: ClassVar[Signal] = Signal(int)  # box id; the canvas goes there
    area_requested: ClassVar[Signal] = Signal(tuple)  # y0, x0, y1, x1; the canvas brings it into sight
    line_drawn: ClassVar[Signal] = Signal(float)  # length in slide pixels, by the tool "measure"
    mark_placed: ClassVar[Signal] = Signal(float, float)  # y, x in slide pixels
    notice: ClassVar[Signal] = Signal(str)  # a short sentence for a toast

    def __init__(self, jobs: JobRunner | None = None) -> None:
        self.jobs = jobs
        self.project: Project | None = None
        self.slide: SlideRecord | None = None
        self.mosaic: Mosaic | None = None
        self.ahead: Mosaic | None = None  # on screen while its project is still being made
        self.mosaic_error: MicroscopeQCError | None = None
        self.selection = Selection()
        self.order: Callable[[], np.ndarray] = self._order_by_id
        self.tool = "select"
        self.draw_class_id = 0
        self._owner_words = ""
        self._opened: dict[int, Mosaic] = {}
        self._generation = 0
        self._table: BoxTable | None = None
        self._empty = BoxTable()
        self.shown = ShownBoxes(self)
        self.editing = BoxEditing(self)
        self.undoing = Undoing(self)
        self.slide_view = SlideView(self)  # listens first: whoever hears of another slide finds how it is shown

    # -- project and slide -------------------------------------------------------------------------------------------

    def set_project(self, project: Project | None) -> None:
        """Show another project (the one before is closed) and its first slide."""
        if self.project is not None:
            self._leave_project(self.project)
        self.project = project
        self.draw_class_id = 0
        if project is not None:
            events = project.events
            events.classes_changed.connect(self._on_classes_changed)
            events.slides_changed.connect(self._on_slides_changed)
            events.marks_changed.connect(self._on_marks_changed)
            events.runs_changed.connect(self._on_runs_changed)
            events.history_changed.connect(self._on_history_changed)
            events.filter_changed.connect(self._on_filter_changed)
            events.saved_filters_changed.connect(self._on_saved_filters_changed)
            self.refresh_owner()
            if project.classes:
                self.draw_class_id = project.classes[0].id
        self.project_changed.emit()
        slides = project.slides if project is not None else []
        last = project.settings.get("last_slide", None) if project is not None else None
        chosen = next((slide.id for slide in slides if slide.id == last), slides[0].id if slides else None)
        self.show_slide(chosen)

    def _leave_project(self, project: Project) -> None:
        events = project.events
        events.classes_changed.disconnect(self._on_classes_changed)
        events.slides_changed.disconnect(self._on_slides_changed)
        events.marks_changed.disconnect(self._on_marks_changed)
        events.runs_changed.disconnect(self._on_runs_changed)
        events.history_changed.disconnect(self._on_history_changed)
        events.filter_changed.disconnect(self._on_filter_changed)
        events.saved_filters_changed.disconnect(self._on_saved_filters_changed)
        if self.slide is not None and not project.read_only:
            project.settings.set("last_slide", self.slide.id)
        self.show_slide(None)
        self._opened.clear()
        self.ahead = None
        self.project = None
        project.close()

    def show_slide(self, slide_id: int | None) -> None:
        """Show a slide of the project; its pixels follow with ``mosaic_changed``."""
        if self.slide is not None and slide_id == self.slide.id and self.mosaic is not None:
            return
        self._generation += 1
        self.selection.clear()
        if self._table is not None:
            self._table.changed.disconnect(self._on_table_changed)
        self._table, self.slide, self.mosaic, self.mosaic_error = None, None, None, None
        self.shown.forget()
        if slide_id is not None and self.project is not None:
            self.slide = next(slide for slide in self.project.slides if slide.id == slide_id)
            self._table = self.project.boxes.table(slide_id)
            self._table.changed.connect(self._on_table_changed)
        self.slide_changed.emit()
        if self.slide is not None:
            self._open_pixels(self.slide)

    def _open_pixels(self, slide: SlideRecord) -> None:
        if slide.id in self._opened:
            self._on_pixels_opened(self._generation, slide, self._opened[slide.id])
            return
        if self.ahead is not None and self.shows_ahead(slide):
            self._on_pixels_opened(self._generation, slide, self.ahead)
            return
        generation = self._generation
        if self.jobs is None:
            try:
                mosaic = open_mosaic(slide)
            except MicroscopeQCError as error:
                self._on_pixels_failed(generation, error)
            else:
                self._on_pixels_opened(generation, slide, mosaic)
            return
        self.jobs.call(
            lambda: open_mosaic(slide),
            on_done=lambda mosaic: self._on_pixels_opened(generation, slide, mosaic),
            on_failed=lambda error: self._on_pixels_failed(generation, error),
        )

    def shows_ahead(self, slide: SlideRecord) -> bool:
        """Whether the pixels of a slide are on screen since before there was a project."""
        ahead = self.ahead
        if ahead is None or ahead.path.absolute() != slide.path.absolute() or slide.scene not in (None, ahead.name):
            return False
        return slide.pixel_size_um in (None, ahead.pixel_size_um) and slide.shape_px == ahead.shape

    def _on_pixels_opened(self, generation: int, slide: SlideRecord, mosaic: Mosaic) -> None:
        if self.project is not None:
            self._opened[slide.id] = mosaic
        if generation == self._generation:
            self.mosaic = mosaic
            self.mosaic_changed.emit()

    def _on_pixels_failed(self, generation: int, error: BaseException) -> None:
        if generation != self._generation:
            return
        if not isinstance(error, MicroscopeQCError):
            raise error
        self.mosaic_error = error
        self.mosaic_changed.emit()

    # -- what is shown -----------------------------------------------------------------------------------------------

    @property
    def table(self) -> BoxTable:
        """Boxes of the slide on screen (an empty table without one)."""
        return self._table if self._table is not None else self._empty

    @property
    def filter(self) -> BoxFilter:
        """Which boxes of the slide on screen are shown."""
        if self.project is None:
            return BoxFilter()
        known = self.project.filters.current
        return known if self.slide is None else replace(known, facts=self.project.boxes.facts(self.slide.id))

    def set_filter(self, **changes: object) -> None:
        """Change fields of the project's filter, e.g. ``set_filter(min_confidence=0.4)``."""
        if self.project is not None:
            self.project.filters.set(replace(self.project.filters.current, **changes))  # type: ignore[arg-type]

    def clear_filter(self) -> None:
        """Show all finds again (but those of detections that are switched off)."""
        self.shown.limit(None)
        if self.project is not None:
            self.project.filters.set(BoxFilter())

    @property
    def filter_active(self) -> bool:
        """Whether the filter may hide finds (detections switched off do not count)."""
        if self.project is None:
            return False
        return self.shown.limited or replace(self.project.filters.current, hidden_runs=frozenset()) != BoxFilter()

    def shown_rows(self) -> Rows:
        """Rows of the slide on screen that pass the filter (a copy that cannot be written to, sorted by id)."""
        return self.shown.rows()

    def shown_mask(self) -> Flags:
        """For each row of :attr:`table`, whether it passes the filter. Read it, do not write to it."""
        return self.shown.mask()

    @property
    def classes(self) -> list[DefectClass]:
        """Classes of the project, in their order."""
        return list(self.project.classes) if self.project is not None else []

    def class_of(self, class_id: int) -> DefectClass:
        """The class with this number; one that is gone shows as "?"."""
        for defect_class in self.classes:
            if defect_class.id == class_id:
                return defect_class
        return DefectClass("?", "Class that was deleted", "#999999", id=class_id)

    @property
    def pixel_size_um(self) -> tuple[float, float] | None:
        """Pixel size of the slide on screen (y, x) in micrometres."""
        return self.slide.pixel_size_um if self.slide is not None else None

    @property
    def can_write(self) -> bool:
        """Whether there is a project that this window owns."""
        return self.project is not None and not self.project.read_only

    def why_not_write(self) -> str:
        """Why nothing can be changed here, "" when it can: actions and buttons say it."""
        if self.project is None:
            return "Open a slide or a project first."
        if self.project.is_writing:
            return "A large step is just being written; wait a moment."
        return "" if self.can_write else f"Read only: {self._owner_words}."

    def refresh_owner(self) -> bool:
        """Look anew who writes a project that is open for reading (a small file is read); True while somebody does."""
        owner = self.project.owner if self.project is not None and self.project.read_only else None
        self._owner_words = owner_words(owner)
        return owner is not None

    # -- tools -------------------------------------------------------------------------------------------------------

    def set_tool(self, tool: str) -> None:
        """Take up "select", "draw", "mark", "measure" (a line along a scale bar), "length" or "grey" (a grey place)."""
        if tool not in TOOLS:
            raise ValueError(f"no tool {tool!r}")
        if tool != self.tool:
            self.tool = tool
            self.tool_changed.emit(tool)

    def set_draw_class(self, class_id: int) -> None:
        """Choose the class that the next box gets."""
        if class_id != self.draw_class_id:
            self.draw_class_id = class_id
            self.draw_class_changed.emit(class_id)

    def press_class_key(self, key: str) -> None:
        """Give the class with this digit to the selection, or draw with it when nothing is selected."""
        wanted = next((item for item in self.classes if item.key == key), None)
        if wanted is None:
            self.notice.emit(f"No class has the key {key}.")
        elif len(self.selection):
            self.relabel(self.selection.ids, wanted.id)
        else:
            self.set_draw_class(wanted.id)
            self.notice.emit(f"Drawing {wanted.code}, {wanted.name}.")

    # -- a person's commands -----------------------------------------------------------------------------------------

    def _project(self) -> Project:
        if self.project is None:
            raise InputError("No project is open.", hint="Open a slide or a project first.")
        return self.project

    def draw_box(self, y0: float, x0: float, y1: float, x1: float) -> int:
        """Add a box of the class to draw and select it; returns its id."""
        if self.slide is None:
            raise InputError("No slide is open.", hint="Open a slide first.")
        rows = make_rows(
            1,
            class_id=self.draw_class_id,
            y0=y0,
            x0=x0,
            y1=y1,
            x1=x1,
            state=ReviewState.CONFIRMED,  # drawn by a person: nobody has to confirm it again
        )
        code = self.class_of(self.draw_class_id).code
        box_id = int(self._project().boxes.add(self.slide.id, rows, title=f"Draw {code}")[0])
        self.selection.set([box_id])
        return box_id

    def move_box(self, box_id: int, y0: float, x0: float, y1: float, x1: float, *, resized: bool = False) -> None:
        """Move or resize a box."""
        title = "Resize 1 find" if resized else "Move 1 find"
        self._project().boxes.edit([box_id], title=title, y0=y0, x0=x0, y1=y1, x1=x1)

    def nudge(self, ids: np.ndarray, dy_px: float, dx_px: float) -> None:
        """Move boxes by a few pixels, together and inside the slide."""
        self.editing.nudge(ids, dy_px, dx_px)

    def confirm(self, ids: np.ndarray) -> None:
        """A person says: it is a defect."""
        if len(ids):
            self._project().boxes.edit(ids, title=count_words("Confirm", ids), state=ReviewState.CONFIRMED, reason="")

    def reject(self, ids: np.ndarray, reason: str) -> None:
        """A person says: it is none, because of ``reason``."""
        if len(ids):
            title = f"{count_words('Reject', ids)}: {reason}"
            self._project().boxes.edit(ids, title=title, state=ReviewState.REJECTED, reason=reason)

    def unreview(self, ids: np.ndarray) -> None:
        """Take a judgement back."""
        if len(ids):
            title = count_words("Back to unreviewed:", ids)
            self._project().boxes.edit(ids, title=title, state=ReviewState.UNREVIEWED, reason="")

    def relabel(self, ids: np.ndarray, class_id: int) -> None:
        """Give another class."""
        if len(ids):
            title = f"{count_words('Class', ids)} to {self.class_of(class_id).code}"
            self._project().boxes.edit(ids, title=title, class_id=class_id)

    def choose(self, ids: np.ndarray, chosen: bool) -> None:
        """Put finds on the SEM travel list or take them off."""
        if len(ids):
            title = count_words("Choose" if chosen else "Leave out", ids) + " for the SEM"
            self._project().boxes.edit(ids, title=title, chosen=chosen)

    def set_note(self, ids: np.ndarray, note: str) -> None:
        """Write a note."""
        if len(ids):
            self._project().boxes.edit(ids, title=count_words("Note on", ids), note=note)

    def delete(self, ids: np.ndarray) -> None:
        """Delete boxes (can be undone)."""
        if len(ids):
            self._project().boxes.delete(ids)

    def undo(self) -> None:
        """Take the last command back, say which, and go there."""
        self.undoing.step(undo=True)

    def redo(self) -> None:
        """Do the command that was taken back again."""
        self.undoing.step(undo=False)

    def _go_to(self, slide_id: int | None, box_ids: Iterable[int]) -> None:
        if slide_id is not None and (self.slide is None or slide_id != self.slide.id):
            if self.project is None or all(slide.id != slide_id for slide in self.project.slides):
                return
            self.show_slide(slide_id)
        there = [box_id for box_id in box_ids if box_id in self.table]
        self.selection.set(there)
        if there:
            self.centre_requested.emit(there[0])

    def show_boxes(self, box_ids: Iterable[int]) -> None:
        """Select those of some boxes that still exist, on the slide of the first of them, and go there."""
        project = self._project()
        for box_id in box_ids:
            try:
                slide_id = project.boxes.slide_of(int(box_id))
            except InputError:
                continue
            self._go_to(slide_id, box_ids)
            return
        self.notice.emit("These finds do not exist any more.")

    def go_to_box(self, box_id: int) -> None:
        """Show the slide of a box, select it and centre it."""
        self._go_to(self._project().boxes.slide_of(box_id), [box_id])

    # -- the order of review -----------------------------------------------------------------------------------------

    def _order_by_id(self) -> np.ndarray:
        return self.shown_rows()["id"].copy()

    def next_(self) -> None:
        """Select the next find of the gallery's order and centre it."""
        self._step(+1)

    def previous(self) -> None:
        """Select the find before and centre it."""
        self._step(-1)

    def _step(self, step: int) -> None:
        order = np.asarray(self.order(), np.int64)
        if len(order) == 0:
            return
        place = np.flatnonzero(order == (-1 if self.selection.current is None else self.selection.current))
        start = -1 if step > 0 else len(order)
        target = (int(place[0]) if len(place) else start) + step
        if not 0 <= target < len(order):
            self.notice.emit("That was the last find." if step > 0 else "That was the first find.")
            return
        self.select_and_centre(int(order[target]))

    def select_and_centre(self, box_id: int) -> None:
        """Select one box, on another slide if need be, and centre it."""
        if box_id in self.table:
            self.selection.set([box_id], current=box_id)
            self.centre_requested.emit(box_id)
        else:
            self.go_to_box(box_id)

    def after_current(self) -> int | None:
        """The find that follows the current one (asked before a judgement that may hide the current one)."""
        order = np.asarray(self.order(), np.int64)
        place = np.flatnonzero(order == (-1 if self.selection.current is None else self.selection.current))
        if len(place) == 0 or place[0] + 1 >= len(order):
            return None
        return int(order[place[0] + 1])

    def judge_and_next(self, judge: Callable[[np.ndarray], None]) -> None:
        """Judge the selection, then go to the find that followed it.

        With several selected the selection stays, so that the person sees what was judged.
        """
        ids = self.selection.ids
        if len(ids) == 0:
            self.notice.emit("Select a find first.")
            return
        following = self.after_current() if len(ids) == 1 else None
        judge(ids)
        if len(ids) > 1:
            return
        if following is None:
            self.notice.emit("That was the last find.")
        else:
            self.select_and_centre(following)

    # -- forwarding the model's signals ------------------------------------------------------------------------------

    def _on_table_changed(self, change: BoxChange) -> None:
        self.shown.follow(change)
        gone = change.kind in {"removed", "reset"}
        if gone and len(self.selection):
            left = self.table.has(self.selection.ids)
            if not left.all():
                self.selection.set(self.selection.ids[left])
        self.boxes_changed.emit(change)

    def _on_classes_changed(self) -> None:
        self.shown.forget()
        if self.draw_class_id not in {item.id for item in self.classes}:
            self.set_draw_class(self.classes[0].id if self.classes else 0)
        self.classes_changed.emit()

    def _on_slides_changed(self) -> None:
        self.shown.forget()
        shown, project = self.slide, self.project
        if shown is not None and project is not None:
            now = next((slide for slide in project.slides if slide.id == shown.id), None)
            if now is None:
                self._opened.pop(shown.id, None)
                self.show_slide(project.slides[0].id if project.slides else None)
            elif now.path != shown.path or now.scene != shown.scene:
                self._opened.pop(shown.id, None)
                self.mosaic = None
                self.show_slide(now.id)
            else:
                self.slide = now
        elif shown is None and project is not None and project.slides:
            self.show_slide(project.slides[0].id)
        self.slides_changed.emit()

    def _on_marks_changed(self) -> None:
        self.marks_changed.emit()

    def _on_runs_changed(self) -> None:
        self.runs_changed.emit()

    def _on_history_changed(self) -> None:
        self.history_changed.emit()

    def _on_filter_changed(self) -> None:
        self.shown.forget()
        self.filter_changed.emit()

    def _on_saved_filters_changed(self) -> None:
        self.saved_filters_changed.emit()


def owner_words(owner: dict[str, Any] | None) -> str:
    """Who writes a project, and since when."""
    if owner is None:
        return "its folder cannot be written"
    place = "window" if owner.get("program") == "window" else "command"
    since = str(owner.get("since", ""))[:16].replace("T", " ")
    who = f"{owner.get('user', 'somebody')} on {owner.get('host', 'another machine')} writes to it"
    return f"{who} (in a {place})" + (f" since {since}" if since else "")


def open_mosaic(slide: SlideRecord) -> Mosaic:
    """Open the scene of a slide record (only metadata is read; may run in a worker thread)."""
    from microscope_qc.slides import open_slide

    size = slide.pixel_size_um
    opened = open_slide(slide.path, pixel_size_um=None if size is None else float(size[0]))
    return opened.scene(slide.scene)
