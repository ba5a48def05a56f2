"""Areas that users declared complete: their outline, for which classes, by whom and when.

Some of them the program drew at random, to be searched: what a model missed there is missed elsewhere, too.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from microscope_qc.core.arrays import Floats
from microscope_qc.core.errors import InputError
from microscope_qc.core.geometry import Region
from microscope_qc.core.outline import Outline
from microscope_qc.core.wording import things
from microscope_qc.project.deltas import Delta
from microscope_qc.project.owner import now, user_name
from microscope_qc.project.parts.sequence import RecordPart
from microscope_qc.project.parts.slides import Slides
from microscope_qc.project.records import AreaRecord, SlideRecord
from microscope_qc.project.store import Store

_NAMED = 6
"""Classes that the history names; more are only counted."""
_NOT_SEARCHED = {"classes": "[]", "user": "", "declared": ""}


class Areas(RecordPart[AreaRecord]):
    """The declared areas of a project, oldest first."""

    table = "areas"
    noun = "declared area"

    def __init__(self, store: Store, slides: Slides) -> None:
        super().__init__(store, store.memory.areas)
        self._slides = slides

    def of(self, slide_id: int) -> list[AreaRecord]:
        """Return the areas of a slide, oldest first."""
        return [area for area in self if area.slide_id == slide_id]

    def declare(
        self,
        slide_id: int,
        outline: Region | Floats | Sequence[tuple[float, float]],
        class_ids: Iterable[int] | None = None,
    ) -> AreaRecord:
        """Declare an area complete: every defect of these classes in it is marked (undoable).

        Parameters
        ----------
        outline
            A rectangle, or the corners of a polygon, shape (N, 2): y, x in full-resolution pixels. What is outside
            the slide does not count.
        class_ids
            None for all classes that the project has now, without those made later.

        Raises
        ------
        InputError
            When there is no such slide or class, no class at all, or the outline encloses nothing of the slide.
        """
        self._store.require_writable()
        slide = self._slides.by_id(slide_id)
        shape = _outline(outline, slide)
        wanted = self._wanted(class_ids)
        number = self._store.next_id("areas")
        row = {
            "id": number,
            "slide_id": slide_id,
            "outline": shape.to_json(),
            "classes": json.dumps(wanted),
            "user": user_name(),
            "declared": now(),
            "drawn": "",
        }
        title = f"Declare an area of {slide.name} complete for {self._words(wanted)}"
        self._store.commit(title, [Delta.inserted("areas", [row])], slide_id=slide_id)
        return self.by_id(number)

    def add_drawn(self, places: Sequence[tuple[int, Region]]) -> list[AreaRecord]:
        """Keep areas that the program drew at random, to be searched (undoable as one step).

        Parameters
        ----------
        places
            Slide and rectangle of each; see :func:`microscope_qc.workflows.detection.random_areas.draw_areas`.

        Raises
        ------
        InputError
            When there is none, no such slide, or a rectangle encloses nothing of its slide.
        """
        self._store.require_writable()
        if not places:
            raise InputError("No area was drawn.")
        slides = {number: self._slides.by_id(number) for number, _ in places}
        first, drawn = self._store.next_id("areas"), now()
        numbers = range(first, first + len(places))
        rows = [
            {
                "id": number, "slide_id": slide_id, "outline": _outline(region, slides[slide_id]).to_json(),
                "classes": "[]", "user": "", "declared": "", "drawn": drawn,
            }
            for number, (slide_id, region) in zip(numbers, places, strict=True)
        ]  # fmt: skip
        only = next(iter(slides)) if len(slides) == 1 else None
        where = slides[only].name if only is not None else things(len(slides), "slide")
        title = f"Draw {things(len(rows), 'area')} of {where} at random"
        self._store.commit(title, [Delta.inserted("areas", rows)], slide_id=only)
        return [self.by_id(number) for number in numbers]

    def searched(self, area_id: int, class_ids: Iterable[int] | None = None) -> AreaRecord:
        """Declare an area that was drawn at random complete: every defect of these classes in it is marked (undoable).

        Parameters
        ----------
        class_ids
            None for all classes that the project has now, without those made later.

        Raises
        ------
        InputError
            When there is no such area or class, no class at all, or a user outlined the area.
        """
        self._store.require_writable()
        area, wanted = self.by_id(area_id), self._wanted(class_ids)
        if not area.drawn:
            raise InputError(f"Area {area_id} was not drawn at random.", hint="It is declared complete already.")
        new = {"classes": json.dumps(wanted), "user": user_name(), "declared": now()}
        slide = self._slides.by_id(area.slide_id)
        title = f"Declare the area {area_id} of {slide.name}, drawn at random, complete for {self._words(wanted)}"
        self._store.commit(title, [Delta.edited("areas", self._row(area_id), new)], slide_id=slide.id)
        return self.by_id(area_id)

    def remove(self, area_id: int) -> None:
        """Take a declaration back (undoable); an area that was drawn at random stays, to be searched again.

        Removing one that was not searched takes it away.
        """
        self._store.require_writable()
        row, area = self._row(area_id), self.by_id(area_id)
        name = self._slides.by_id(area.slide_id).name
        if area.drawn and area.class_ids:
            title = f"Take back that the area {area_id} of {name}, drawn at random, was searched"
            delta = Delta.edited("areas", row, _NOT_SEARCHED)
        else:
            title = f"Remove the {'drawn' if area.drawn else 'declared'} area {area_id} of {name}"
            delta = Delta.deleted("areas", [row])
        self._store.commit(title, [delta], slide_id=area.slide_id)

    def following(self, moved: Mapping[int, int | None]) -> list[Delta]:
        """Deltas for classes that are deleted: an area is complete for the class that replaces them, or for one less.

        Parameters
        ----------
        moved
            For each deleted class, the class that its boxes get; None where they are deleted too.
        """
        deltas = []
        for area in self:
            if area.class_ids.isdisjoint(moved):
                continue
            row = self._row(area.id)
            left = {now for number in area.class_ids if (now := moved.get(number, number)) is not None}
            if left:
                deltas.append(Delta.edited("areas", row, {"classes": json.dumps(sorted(left))}))
            elif area.drawn:
                deltas.append(Delta.edited("areas", row, _NOT_SEARCHED))
            else:
                deltas.append(Delta.deleted("areas", [row]))
        return deltas

    def _wanted(self, class_ids: Iterable[int] | None) -> list[int]:
        known = [defect.id for defect in self._store.memory.classes]
        wanted = sorted(set(known if class_ids is None else map(int, class_ids)))
        unknown = [number for number in wanted if number not in known]
        if unknown:
            raise InputError(f"There is no class {unknown[0]} in {self._store.name}.")
        if not wanted:
            raise InputError("An area is complete for at least one class.", hint="Make or choose a class first.")
        return wanted

    def _words(self, class_ids: Sequence[int]) -> str:
        classes = self._store.memory.classes
        if len(class_ids) == len(classes):
            return "all classes" if len(class_ids) > 1 else classes[0].code
        if len(class_ids) > _NAMED:
            return f"{len(class_ids)} classes"
        return ", ".join(defect.code for defect in classes if defect.id in class_ids)


def _outline(given: Region | Floats | Sequence[tuple[float, float]], slide: SlideRecord) -> Outline:
    import shapely

    if isinstance(given, Region):
        corners = [(given.y0, given.x0), (given.y0, given.x1), (given.y1, given.x1), (given.y1, given.x0)]
        points = np.array(corners, float)
    else:
        points = np.asarray(given, float)
    if points.ndim != 2 or points.shape[1] != 2:
        raise InputError("An outline is a list of points y, x.")
    outline = Outline.polygon([(y, x) for y, x in points.tolist()])
    height, width = slide.shape_px
    with np.errstate(over="ignore", invalid="ignore"):  # corners beyond what can be computed with enclose nothing
        ring = shapely.make_valid(shapely.Polygon([(x, y) for y, x in outline.parts[0][0]]))
        inside = shapely.area(shapely.intersection(ring, shapely.box(0, 0, width, height)))
    if not math.isfinite(inside) or inside <= 0:
        raise InputError(f"The outline encloses nothing of {slide.name}.", hint="Draw it again, around a part of it.")
    return outline
