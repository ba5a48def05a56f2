"""Declaring areas complete: for which classes, what is said about it, and what of it is shown on the canvas."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np
from psygnal import Signal

from microscope_qc.core.arrays import Floats
from microscope_qc.core.box_rows import ReviewState
from microscope_qc.core.errors import InputError, MicroscopeQCError
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import run_job
from microscope_qc.core.wording import area_text, plural, things

if TYPE_CHECKING:
    from microscope_qc.app.session.state import SessionState
    from microscope_qc.project import Project
    from microscope_qc.project.records import AreaRecord, SlideRecord

CLASSES = "declared_classes"
"""Setting of a project: the classes that were chosen last; none for all."""
NAMED = 6
"""So many classes are named one by one."""
LEFT_OUT = 2

Box = tuple[float, float, float, float]


class AreaDeclaring:
    """Declares areas of the slide on screen complete, and takes declarations back.

    ``changed`` tells of the classes to declare, of the area that is picked out and of what is shown; what is declared
    is the project's, which tells itself (``areas_changed``).
    """

    changed = Signal()

    def __init__(self, session: SessionState) -> None:
        self._session = session
        self._picked: int | None = None
        self._shown = True

    # -- for which classes -------------------------------------------------------------------------------------------

    @property
    def class_ids(self) -> frozenset[int] | None:
        """The classes that the next area is complete for; None for all. Classes that are gone are left out."""
        project = self._session.project
        stored = None if project is None else project.settings.get(CLASSES)
        if stored is None or project is None:
            return None
        return frozenset(stored) & {item.id for item in project.classes}

    def choose_classes(self, class_ids: Collection[int] | None) -> None:
        """Choose the classes of the next areas (None for all); the project remembers it."""
        project = self._session.project
        if project is not None and not project.read_only:
            project.settings.remember(CLASSES, None if class_ids is None else sorted(class_ids))
            self.changed.emit()

    def class_words(self, class_ids: Collection[int] | None) -> str:
        """``all classes``, ``ACP, CRK``, ``all classes but CRK`` or ``8 classes``."""
        classes = self._session.classes
        known = [item.code for item in classes if class_ids is None or item.id in class_ids]
        rest = [item.code for item in classes if class_ids is not None and item.id not in class_ids]
        if not rest:
            return "all classes"
        if not known:
            return "no class"
        if len(known) <= NAMED:
            return ", ".join(known)
        return f"all classes but {', '.join(rest)}" if len(rest) <= LEFT_OUT else f"{len(known)} classes"

    # -- declaring ---------------------------------------------------------------------------------------------------

    def declare(self, outline: Region | Floats | Sequence[tuple[float, float]], *, what: str = "") -> AreaRecord:
        """Declare an area complete for the chosen classes and say so.

        Parameters
        ----------
        outline
            A rectangle or corners y, x in slide pixels.
        what
            The area in words; "an area" otherwise.

        Raises
        ------
        InputError
            When no class is chosen, or the outline encloses nothing of the slide.
        """
        project, slide = self._place()
        area = project.areas.declare(slide.id, outline, self.class_ids)
        size = area_text(size_px(area, slide.shape_px), slide.pixel_size_um)
        self._session.notice.emit(
            f"Declared complete for {self.class_words(area.class_ids)}: {what or 'an area'} of {slide.name}, {size}."
            " Undo takes it back."
        )
        return area

    def declare_slide(self) -> AreaRecord:
        """Declare the whole slide complete."""
        _, slide = self._place()
        return self.declare(Region(0, 0, *slide.shape_px), what="all")

    def declare_view(self, bounds: Box) -> AreaRecord:
        """Declare what is in view complete; ``bounds`` is y0, x0, y1, x1."""
        _, slide = self._place()
        y0, x0, y1, x1 = bounds
        # only whole pixels that are in sight
        seen = Region(math.ceil(y0), math.ceil(x0), math.floor(y1), math.floor(x1)).clip(slide.shape_px)
        if seen.empty:
            raise InputError(f"Nothing of {slide.name} is in view.", hint="Go back to the slide first.")
        return self.declare(seen, what="what is in view")

    def remove(self, area_id: int) -> None:
        """Take a declaration back and say so."""
        project, slide = self._place()
        area = project.areas.by_id(area_id)
        project.areas.remove(area_id)
        size = area_text(size_px(area, slide.shape_px), slide.pixel_size_um)
        again = area.drawn and area.class_ids
        what = "is to be searched again. Undo declares it searched" if again else "removed. Undo brings it back"
        self._session.notice.emit(f"{'Drawn' if area.drawn else 'Declared'} area of {size} {what}.")

    # -- areas drawn at random ---------------------------------------------------------------------------------------

    def draw(self) -> None:
        """Draw areas of the slides in the scope at random, in the background, and go to the first."""
        from microscope_qc.workflows.detection.random_areas import COUNT, SIDE_UM, drawn_places, slides_to_draw_on

        project, jobs = self._session.project, self._session.jobs
        if project is None:
            raise InputError("No slide is open.", hint="Open a slide first.")
        slides = slides_to_draw_on(project, self._session.scope.slide_ids)

        def draw() -> list[tuple[int, Region]]:
            return run_job(drawn_places(slides, COUNT, SIDE_UM))

        def keep(places: list[tuple[int, Region]]) -> None:
            if project is not self._session.project:
                return
            drawn = project.areas.add_drawn(places)
            self._session.notice.emit(
                f"{things(len(drawn), 'area')} of {SIDE_UM:.0f} µm drawn at random. Mark every defect in each, and "
                "declare it searched: that tells how much models miss."
            )
            self.go_to(drawn[0])

        if jobs is None:
            keep(draw())
        else:
            jobs.call(draw, on_done=keep, on_failed=self._on_not_drawn)

    def _on_not_drawn(self, error: BaseException) -> None:
        if not isinstance(error, MicroscopeQCError):
            raise error
        self._session.notice.emit(str(error))

    @property
    def to_search(self) -> AreaRecord | None:
        """The area that is picked out, where it was drawn at random and not searched yet."""
        area = next((area for area in self.areas() if area.id == self._picked), None)
        return area if area is not None and area.drawn and not area.class_ids else None

    def go_to_next(self) -> None:
        """Go to the next area that was drawn at random and is to be searched, on whichever slide of the scope."""
        from microscope_qc.workflows.detection.random_areas import next_to_search

        session, project = self._session, self._session.project
        slide_ids = session.scope.slide_ids
        areas = [] if project is None else [area for area in project.areas if area.slide_id in slide_ids]
        area = next_to_search(areas, self._picked)
        if area is None:
            session.notice.emit("No area that was drawn at random is left to be searched.")
        else:
            self.go_to(area)

    def go_to(self, area: AreaRecord) -> None:
        """Show all of an area, and pick it out."""
        session = self._session
        if session.slide is None or session.slide.id != area.slide_id:
            session.show_slide(area.slide_id)
        self.pick(area.id)
        session.area_requested.emit(area.outline.bounds)

    def searched(self, area: AreaRecord) -> None:
        """Declare an area that was drawn at random searched, say so, and go to the next one."""
        from microscope_qc.workflows.detection.random_areas import next_to_search

        project, slide = self._place()
        now = project.areas.searched(area.id, self.class_ids)
        inside = self._unjudged(now)
        left = f" It counts when {things(inside, 'finding')} in it {plural(inside, 'is', 'are')} judged, too."
        self._session.notice.emit(
            f"Searched for {self.class_words(now.class_ids)}: an area of {slide.name}.{left if inside else ''}"
            " Undo takes it back."
        )
        if not inside and next_to_search(project.areas) is not None:
            self.go_to_next()

    def _unjudged(self, area: AreaRecord) -> int:
        """Findings in an area, of its classes, that nobody judged."""
        project = self._session.project
        assert project is not None
        table, included = project.boxes.table(area.slide_id), project.boxes.included(area.slide_id)
        y0, x0, y1, x1 = area.outline.bounds
        top, left, bottom, right = table.corners
        y, x = (top + bottom) / 2, (left + right) / 2
        there = included & (table.states == ReviewState.UNREVIEWED) & np.isin(table.class_ids, [*area.class_ids])
        there &= (y >= y0) & (y < y1) & (x >= x0) & (x < x1)
        return int((there & ~np.isnan(table.confidences)).sum())

    def _place(self) -> tuple[Project, SlideRecord]:
        if self._session.project is None or self._session.slide is None:
            raise InputError("No slide is open.", hint="Open a slide first.")
        return self._session.project, self._session.slide

    # -- what is shown -----------------------------------------------------------------------------------------------

    def areas(self) -> list[AreaRecord]:
        """Return the declared areas of the slide on screen, oldest first."""
        project, slide = self._session.project, self._session.slide
        return [] if project is None or slide is None else project.areas.of(slide.id)

    @property
    def shown(self) -> bool:
        """Whether declared areas are outlined on the canvas."""
        return self._shown

    def show(self, shown: bool) -> None:
        """Outline declared areas on the canvas, or not."""
        self._shown = shown
        self.changed.emit()

    @property
    def picked(self) -> int | None:
        """Number of the area that is picked out in a list; the canvas outlines it more strongly."""
        return self._picked

    def pick(self, area_id: int | None) -> None:
        """Pick an area out, or none."""
        if area_id != self._picked:
            self._picked = area_id
            self.changed.emit()


def size_px(area: AreaRecord, shape_px: tuple[int, int]) -> float:
    """Return how many square pixels of the slide an area covers."""
    from microscope_qc.analysis.coverage import Declared, SlideCoverage

    declared = Declared(area.id, area.class_ids, area.outline)
    return SlideCoverage(shape_px, declared=[declared]).drawn(declared).size_px


def signed(area: AreaRecord) -> str:
    """``anna, 2026-11-02``; of what was drawn at random and is to be searched, when it was drawn."""
    return ", ".join(filter(None, (area.user, area.declared[:10] or area.drawn[:10])))
