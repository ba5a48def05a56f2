"""How a slide is shown to the user: brightness and contrast, bookmarks, viewed areas, the measured line.

Kept with the project, one entry per slide; not part of undo. Changes are saved together after a moment; a project
that is open for reading keeps them for as long as it is open.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal

from microscope_qc.core.errors import InputError, MicroscopeQCError
from microscope_qc.core.seen_map import SeenMap
from microscope_qc.core.wording import degrees_text, metric_text, number_text
from microscope_qc.project.parts.bookmarks import LONGEST_NAME, MOST_BOOKMARKS, Bookmark, too_many, view_setting
from microscope_qc.slides.display import DisplaySettings

if TYPE_CHECKING:
    from microscope_qc.project import Project
    from microscope_qc.project.records import SlideRecord

log = logging.getLogger(__name__)

SAVE_MS = 1000
REPAINT_MS = 30


@dataclass(frozen=True, slots=True)
class Measurement:
    """A line between two places, y, x in slide pixels."""

    y0: float
    x0: float
    y1: float
    x1: float

    @property
    def length_px(self) -> float:
        """Length in slide pixels."""
        return math.hypot(self.y1 - self.y0, self.x1 - self.x0)

    def length_um(self, pixel_size_um: tuple[float, float]) -> float:
        """Length in micrometres; ``pixel_size_um`` is (y, x)."""
        return math.hypot((self.y1 - self.y0) * pixel_size_um[0], (self.x1 - self.x0) * pixel_size_um[1])

    def angle_deg(self, pixel_size_um: tuple[float, float] | None = None) -> float:
        """Angle to the horizontal in degrees, above -90 up to 90: positive if the line rises to the right."""
        sy, sx = pixel_size_um or (1.0, 1.0)
        angle = math.degrees(math.atan2((self.y0 - self.y1) * sy, (self.x1 - self.x0) * sx))
        turned = angle - 180.0 if angle > 90.0 else angle + 180.0 if angle <= -90.0 else angle
        return turned + 0.0  # no -0

    def words(self, pixel_size_um: tuple[float, float] | None) -> str:
        """Length and angle as they are shown at the line."""
        pixels, angle = f"{number_text(self.length_px, 1)} px", degrees_text(self.angle_deg(pixel_size_um))
        if pixel_size_um is None:
            return f"{pixels}   {angle}"
        return f"{metric_text(self.length_um(pixel_size_um), 4)}   {pixels}   {angle}"


@dataclass(slots=True)
class _State:
    """The view state of one slide; the flags say what is not saved in the project yet."""

    seen: SeenMap
    display: DisplaySettings = field(default_factory=DisplaySettings)
    bookmarks: list[Bookmark] = field(default_factory=list)
    no_conversion: bool = False
    view_dirty: bool = False
    seen_dirty: bool = False


class SlideView(QObject):
    """The view state of the slide on screen; its owner says which slide that is (:meth:`show`).

    ``display_changed`` carries the new :class:`DisplaySettings`, at most once per screen refresh while something is
    dragged. The other signals carry nothing. All of them are also sent when another slide is shown.

    Parameters
    ----------
    say
        Called with a sentence for the user.
    """

    display_changed = Signal(object)
    bookmarks_changed = Signal()
    seen_changed = Signal()
    seen_stored = Signal()  # in the project, where numbers read it
    measurement_changed = Signal()
    veil_changed = Signal(bool)
    grey_place_picked = Signal(float, float, float)  # y, x and radius in slide pixels, by the tool "grey"

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__()
        self._say = say
        self._project: Project | None = None
        self._slide_id: int | None = None
        self._states: dict[int, _State] = {}
        self._state = _State(SeenMap((1, 1)))
        self._measurement: Measurement | None = None
        self._veil = False
        self.stack_axis = ""
        """The axis of a stack that the user chose a picture along last."""
        self._save = QTimer(self)
        self._save.setSingleShot(True)
        self._save.setInterval(SAVE_MS)
        self._save.timeout.connect(self._on_save_timeout)
        self._repaint = QTimer(self)
        self._repaint.setSingleShot(True)
        self._repaint.setInterval(REPAINT_MS)
        self._repaint.timeout.connect(self._tell_display)

    # -- the slide on screen -----------------------------------------------------------------------------------------

    def show(self, project: Project | None, slide: SlideRecord | None) -> None:
        """Switch to another slide, after saving what is not stored yet of the previous one."""
        self.save()
        if project is not self._project:
            self._states.clear()
            self._project = project
        self._slide_id = None if slide is None else slide.id
        self._state = _State(SeenMap((1, 1)))
        if slide is not None and project is not None:
            if slide.id not in self._states or _grid(self._states[slide.id]) != SeenMap(slide.shape_px).cells.shape:
                self._states[slide.id] = _load(project, slide.id, slide.shape_px)
            self._state = self._states[slide.id]
        self._measurement = None
        self._repaint.stop()
        self._tell_display()
        for signal in (self.bookmarks_changed, self.seen_changed, self.measurement_changed):
            signal.emit()

    def save(self) -> None:
        """Save now what is not stored yet; what cannot be saved is kept in memory, and the user is told once."""
        self._save.stop()
        project = self._project
        if project is None or project.read_only:
            return
        for slide_id, state in self._states.items():
            try:
                if state.view_dirty:
                    project.settings.set(view_setting(slide_id), _view_to_dict(state), light=True)
                    state.view_dirty = False
                if state.seen_dirty:
                    project.settings.set(f"seen:{slide_id}", state.seen.to_dict(), light=True)
                    state.seen_dirty = False
                    self.seen_stored.emit()
            except MicroscopeQCError as error:
                log.warning("view of slide %s not stored: %s", slide_id, error)
                self._say(f"The display of this slide could not be saved: {error}")
                return

    def _on_save_timeout(self) -> None:
        if self._project is not None and self._project.is_writing:  # the database is locked: do not wait for it
            self._save.start()
        else:
            self.save()

    def _touch(self, *, seen: bool = False) -> None:
        if self._slide_id is None:
            return
        if seen:
            self._state.seen_dirty = True
        else:
            self._state.view_dirty = True
        if not self._save.isActive():  # not restarted: a long drag is saved while it lasts
            self._save.start()

    # -- brightness and contrast -------------------------------------------------------------------------------------

    @property
    def display(self) -> DisplaySettings:
        """How the slide on screen is shown."""
        return self._state.display

    def set_display(self, display: DisplaySettings) -> None:
        """Change how the slide on screen is shown."""
        if self._slide_id is None or display == self._state.display:
            return
        self._state.display = display
        self._touch()
        if not self._repaint.isActive():
            self._repaint.start()

    def display_of(self, slide_id: int) -> DisplaySettings:
        """How any slide of the project is shown (thumbnails of slides that are not on screen)."""
        if slide_id in self._states:
            return self._states[slide_id].display
        return _stored_view(self._project, slide_id)[0] if self._project is not None else DisplaySettings()

    def _tell_display(self) -> None:
        self.display_changed.emit(self._state.display)

    # -- bookmarks ---------------------------------------------------------------------------------------------------

    @property
    def bookmarks(self) -> list[Bookmark]:
        """Bookmarks of the slide on screen, in their order."""
        return list(self._state.bookmarks)

    def add_bookmark(self, bookmark: Bookmark) -> int:
        """Keep a view; returns its place in the list.

        Raises
        ------
        InputError
            Without a slide, or when there are too many.
        """
        if self._slide_id is None:
            raise InputError("No slide is open.", hint="Open a slide first.")
        if len(self._state.bookmarks) >= MOST_BOOKMARKS:
            raise too_many()
        self._state.bookmarks.append(bookmark)
        self._bookmarks_touched()
        return len(self._state.bookmarks) - 1

    def rename_bookmark(self, place: int, name: str) -> None:
        """Give a bookmark another name; an empty one leaves it as it is."""
        name = name.strip()[:LONGEST_NAME]
        old = self._state.bookmarks[place]
        if name and name != old.name:
            self._state.bookmarks[place] = Bookmark(name, old.y, old.x, old.zoom)
            self._bookmarks_touched()

    def delete_bookmark(self, place: int) -> None:
        """Forget a bookmark."""
        del self._state.bookmarks[place]
        self._bookmarks_touched()

    def restore_bookmark(self, place: int, bookmark: Bookmark) -> None:
        """Put a deleted bookmark back where it was."""
        self._state.bookmarks.insert(place, bookmark)
        self._bookmarks_touched()

    def _bookmarks_touched(self) -> None:
        self._touch()
        self.bookmarks_changed.emit()

    # -- viewed areas -----------------------------------------------------------------------------------------------

    @property
    def seen(self) -> SeenMap:
        """The viewed areas of the slide on screen; changed only through this object."""
        return self._state.seen

    def mark_seen(self, y0: float, x0: float, y1: float, x1: float, zoom: float | None = None) -> None:
        """Mark a rectangle in slide pixels as viewed; ``zoom``: pixels of the screen for one of the slide."""
        if self._slide_id is not None and self._state.seen.mark(y0, x0, y1, x1, zoom):
            self._touch(seen=True)
            self.seen_changed.emit()

    def forget_seen(self) -> None:
        """Mark nothing of this slide as viewed."""
        self._state.seen.clear()
        self._touch(seen=True)
        self.seen_changed.emit()

    @property
    def veil(self) -> bool:
        """Whether what has not been viewed is dimmed on the map."""
        return self._veil

    def set_veil(self, shown: bool) -> None:
        """Dim what has not been viewed on the map, or not."""
        if shown != self._veil:
            self._veil = shown
            self.veil_changed.emit(shown)

    # -- the rest ----------------------------------------------------------------------------------------------------

    @property
    def measurement(self) -> Measurement | None:
        """The line that was measured last; it is dropped with the slide and not saved."""
        return self._measurement

    def set_measurement(self, measurement: Measurement | None) -> None:
        """Show a measured line, or none."""
        if measurement != self._measurement:
            self._measurement = measurement
            self.measurement_changed.emit()

    @property
    def no_conversion(self) -> bool:
        """Whether the user does not want this slide to be converted."""
        return self._state.no_conversion

    def refuse_conversion(self) -> None:
        """Do not offer a conversion of this slide again."""
        self._state.no_conversion = True
        self._touch()


def _grid(state: _State) -> tuple[int, ...]:
    return state.seen.cells.shape


def _view_to_dict(state: _State) -> dict[str, Any]:
    return {
        "display": state.display.to_dict(),
        "bookmarks": [asdict(bookmark) for bookmark in state.bookmarks],
        "no_conversion": state.no_conversion,
    }


def _stored_view(project: Project, slide_id: int) -> tuple[DisplaySettings, list[Bookmark], bool]:
    """What the project holds; an entry that cannot be read counts as not set, the rest is kept."""
    stored = project.settings.get(view_setting(slide_id), {})
    stored = stored if isinstance(stored, dict) else {}
    display = DisplaySettings()
    try:
        if "display" in stored:
            display = DisplaySettings.from_dict(stored["display"])
    except InputError as error:
        log.warning("display of slide %s: %s", slide_id, error)
    return display, project.bookmarks.of_slide(slide_id), stored.get("no_conversion") is True


def _load(project: Project, slide_id: int, shape: tuple[int, int]) -> _State:
    display, bookmarks, no_conversion = _stored_view(project, slide_id)
    state = _State(SeenMap(shape), display, bookmarks, no_conversion)
    stored = project.settings.get(f"seen:{slide_id}")
    if stored is not None:
        try:
            state.seen.take_dict(stored)
        except InputError as error:
            log.warning("what was seen of slide %s: %s", slide_id, error)
    return state
