"""Which findings of a project are meant by boxes of its data set, and what to open where there is none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from microscope_qc.core.arrays import Ints
from microscope_qc.core.boxes import coordinates
from microscope_qc.core.matching import match_by_overlap
from microscope_qc.ml.datasets.records import AnnotatedImage
from microscope_qc.project import Project
from microscope_qc.workflows.learning.project_parts import kept_parts, slide_places

_SAME_PLACE = 0.5


@dataclass(frozen=True, slots=True)
class Spot:
    """A place on a slide where the project has no finding: ``box`` is y0, x0, y1, x1 in full-resolution pixels."""

    slide: int
    box: tuple[float, float, float, float]
    code: str
    confidence: float

    def document(self) -> dict[str, Any]:
        """Values that JSON can store."""
        sides = [round(side, 2) for side in self.box]
        return {"slide": self.slide, "box": sides, "class": self.code, "confidence": round(self.confidence, 4)}

    @classmethod
    def of_document(cls, stored: Mapping[str, Any]) -> Spot:
        """What :meth:`document` stored."""
        y0, x0, y1, x1 = (float(side) for side in stored["box"])
        return cls(int(stored["slide"]), (y0, x0, y1, x1), str(stored["class"]), float(stored["confidence"]))


@dataclass(frozen=True, slots=True)
class ListedPlaces:
    """Numbers of findings, sorted, and places without one, the surest first."""

    numbers: tuple[int, ...] = ()
    spots: tuple[Spot, ...] = ()

    @classmethod
    def of(cls, numbers: Iterable[int], spots: Iterable[Spot] = ()) -> ListedPlaces:
        """In their order, each finding once."""
        return cls(tuple(sorted(set(numbers))), tuple(sorted(spots, key=lambda spot: -spot.confidence)))

    def document(self) -> dict[str, Any]:
        """Values that JSON can store."""
        return {"numbers": list(self.numbers), "spots": [spot.document() for spot in self.spots]}

    @classmethod
    def of_document(cls, stored: Mapping[str, Any]) -> ListedPlaces:
        """What :meth:`document` stored."""
        return cls(
            tuple(int(number) for number in stored["numbers"]),
            tuple(Spot.of_document(spot) for spot in stored["spots"]),
        )


class ProjectFindings:
    """The findings of an open project behind the pictures of its data set."""

    def __init__(self, project: Project) -> None:
        kept = kept_parts(project)
        self._project = project
        self._slides = {kept.key(slide): slide for slide in slide_places(project)}

    def slide(self, image: AnnotatedImage) -> int | None:
        """Number of the slide of a picture; None where it is none of the project."""
        slide = self._slides.get(image.place)
        return None if slide is None else slide.number

    def true(self, image: AnnotatedImage, boxes: np.ndarray) -> Ints:
        """Number of the finding behind each of some true boxes (n,); 0 where there is none."""
        slide = self._slides.get(image.place)
        if slide is None:
            return np.zeros(len(boxes), np.int64)
        known = {tuple(box): number for box, number in zip(slide.image.boxes, slide.boxes.tolist(), strict=True)}
        return np.array([known.get(tuple(box), 0) for box in boxes], np.int64)

    def at(self, image: AnnotatedImage, boxes: np.ndarray) -> Ints:
        """Number of the finding at each of some other boxes (n,), such as a rejected one; 0 where there is none."""
        numbers, slide = np.zeros(len(boxes), np.int64), self.slide(image)
        if slide is not None:
            rows = self._project.boxes.rows(slide, every=True)
            mine, there = match_by_overlap(boxes, coordinates(rows), iou=_SAME_PLACE)
            numbers[mine] = rows["id"][there]
        return numbers
