"""Which slides of a project, or which blocks of them, are learned from, validated on, and kept for the test.

The project keeps the division: every training and every measurement reads the same one, and nothing of the test is ever
learned from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import JsonValue

from microscope_qc.core.boxes import SAYS_NOTHING, ReviewState, coordinates
from microscope_qc.core.defect_class import DefectClass
from microscope_qc.core.errors import ModelError, ReadOnlyProjectError
from microscope_qc.core.wording import listed, things
from microscope_qc.ml.datasets.kept import SHARES, JudgedSlide, KeptParts, assign, divided, guard_px
from microscope_qc.ml.datasets.parts import DataPart
from microscope_qc.ml.datasets.records import AnnotatedImage
from microscope_qc.project import Project
from microscope_qc.project.records import SlideRecord
from microscope_qc.workflows.learning.dataset import trusted

_KEY, _HOMES_KEY = "parts", "part_homes"
_SPECIMEN = "specimen"
WORDS = {DataPart.TRAIN: "learned from", DataPart.VALIDATION: "validated on", DataPart.TEST: "kept for the test"}


@dataclass(frozen=True, slots=True)
class PartCounts:
    """What one part of a project holds: slides that have something in it, places, pixels, and boxes by class."""

    slides: int
    places: int
    area_px: float
    boxes: Mapping[str, int]

    def document(self) -> dict[str, JsonValue]:
        """The same as values that JSON can store."""
        return {"slides": self.slides, "places": self.places, "area_px": self.area_px, "boxes": dict(self.boxes)}


@dataclass(frozen=True, slots=True)
class ProjectParts:
    """The division that a project keeps.

    Attributes
    ----------
    parts
        Without those that hold nothing.
    slides
        The parts of each slide with something judged on it, by its name; none for a slide that has no part yet.
    turned
        Slides whose pixels lie elsewhere than when they were divided: they are left out.
    shared
        Specimens that are both learned from and held out.
    """

    parts: Mapping[DataPart, PartCounts]
    slides: Mapping[str, tuple[DataPart, ...]]
    turned: tuple[str, ...]
    shared: tuple[str, ...]

    @property
    def without(self) -> list[str]:
        """Slides that have no part yet."""
        return [name for name, parts in self.slides.items() if not parts and name not in self.turned]

    def document(self) -> dict[str, JsonValue]:
        """Everything, as values that JSON can store."""
        return {
            "parts": {str(part): counts.document() for part, counts in self.parts.items()},
            "slides": {name: [str(part) for part in parts] for name, parts in self.slides.items()},
            "without_part": [*self.without], "turned": [*self.turned], "shared_specimens": [*self.shared],
        }  # fmt: skip

    def sentences(self) -> list[str]:
        """What a user should know besides the counts."""
        said = []
        if not self.slides:
            said.append("Nothing is confirmed, drawn or declared complete yet.")
        if self.without:
            said.append(f"{things(len(self.without), 'slide')} without a part yet: {listed(self.without)}.")
        if self.turned:
            said.append(
                f"{listed(self.turned)}: turned or replaced since the division, and neither learned from nor measured "
                "on."
            )
        if self.shared:
            said.append(
                f"Specimen {listed(self.shared)}: both learned from and held out. What is measured is optimistic for "
                "other specimens."
            )
        return said


def kept_parts(project: Project) -> KeptParts:
    """The division that a project keeps; an empty one where it has none yet.

    Raises
    ------
    ModelError
        When it is damaged.
    """
    return KeptParts.of_documents(project.settings.get(_KEY), project.settings.get(_HOMES_KEY))


def keep_parts(project: Project, *, shares: Mapping[DataPart, float] = SHARES) -> KeptParts:
    """Give every slide with something judged on it to a part, and keep that; what has a part keeps it.

    Reads no pixels.

    Parameters
    ----------
    project
        Open for writing.
    shares
        Of validation and test among what is new.

    Raises
    ------
    ModelError
        When there is too little to hold anything out, or what was kept is damaged.
    """
    after = dividing(project, shares=shares)()
    store_parts(project, after)
    return after


def dividing(project: Project, *, shares: Mapping[DataPart, float] = SHARES) -> Callable[[], KeptParts]:
    """Return a function that divides what is judged now; it may run in any thread, :func:`store_parts` gets its result.

    It raises ModelError as :func:`keep_parts` does.
    """
    places, before = slide_places(project), kept_parts(project)
    return lambda: assign(places, before, shares=shares)


def store_parts(project: Project, parts: KeptParts) -> None:
    """Keep a division."""
    if parts != kept_parts(project):
        division, homes = parts.documents()
        project.settings.set(_HOMES_KEY, homes)
        project.settings.set(_KEY, division)


def keep_parts_before_learning(path: Path) -> list[str]:
    """Keep the parts of a project that is not open; return what to tell the user.

    Where it cannot be written, new slides get the same parts each time until something is judged.
    """
    try:
        with Project.open(path) as project:
            keep_parts(project)
    except ReadOnlyProjectError:
        with Project.open(path, write=False) as project:
            without = project_parts(project).without
        if without:
            return [
                f"{path.stem} cannot be written now: the parts of {things(len(without), 'new slide')} are not kept."
            ]
    except ModelError as error:
        return [f"{path.stem}: {error.message}"]
    return []


def slide_places(project: Project) -> list[JudgedSlide]:
    """The slides of a project on which something was confirmed, drawn or declared complete."""
    places = (slide_place(project, record) for record in project.slides)
    return [place for place in places if place is not None]


def slide_place(project: Project, record: SlideRecord) -> JudgedSlide | None:
    """A slide with what is true, rejected and open on it; None where nobody has said anything."""
    rows = project.boxes.rows(record.id, every=True)
    if not len(trusted(rows)) and not project.areas.of(record.id):
        return None
    specimen = str(record.fields.get(_SPECIMEN, "") or "").strip()
    content = f"slide {record.fingerprint}"
    image, numbers = _image(record, rows, project.classes, group=f"specimen {specimen}" if specimen else content)
    return JudgedSlide(record.id, content, specimen, (*record.shape_px, record.orientation), image, numbers)


def _image(
    record: SlideRecord, rows: np.ndarray, classes: Sequence[DefectClass], *, group: str
) -> tuple[AnnotatedImage, np.ndarray]:
    place = {defect.id: number for number, defect in enumerate(classes)}
    truth = trusted(rows)
    truth = truth[np.isin(truth["class_id"], list(place))]
    said_no = (rows["state"] == ReviewState.REJECTED) & ~np.isin(rows["reason"], list(SAYS_NOTHING))
    waiting = ~said_no & ~np.isin(rows["id"], truth["id"])
    height, width = record.shape_px
    image = AnnotatedImage(
        path=record.path,
        shape=record.shape_px,
        boxes=np.clip(coordinates(truth), 0, [height, width] * 2),
        labels=np.array([place[int(number)] for number in truth["class_id"]], np.int64),
        pixel_size_um=record.pixel_size_um,
        open_boxes=coordinates(rows[waiting]),
        hard_boxes=coordinates(rows[said_no]),
        group=group,
        scene=record.scene,
        orientation=record.orientation,
    )
    return image, truth["id"]


def project_parts(project: Project) -> ProjectParts:
    """Say what is in which part of a project."""
    kept = kept_parts(project)
    classes = [defect.code for defect in project.classes]
    places: dict[DataPart, list[AnnotatedImage]] = {}
    slides: dict[str, tuple[DataPart, ...]] = {}
    turned = []
    specimens: dict[str, set[DataPart]] = {}
    for slide in slide_places(project):
        name = project.slides.by_id(slide.number).name
        pieces = divided(slide, kept, guard_px=guard_px(None, None))
        if pieces is None:
            turned.append(name)
        known = [DataPart(piece.part) for piece in pieces or () if piece.part]
        slides[name] = tuple(part for part in DataPart if part in known)
        for piece in pieces or ():
            if piece.part:
                places.setdefault(DataPart(piece.part), []).append(piece)
        if slide.specimen:
            specimens.setdefault(slide.specimen, set()).update(known)
    parts = {part: _counts(places[part], classes) for part in DataPart if part in places}
    shared = tuple(name for name, known in specimens.items() if DataPart.TRAIN in known and len(known) > 1)
    return ProjectParts(parts, slides, tuple(turned), shared)


def _counts(images: Sequence[AnnotatedImage], classes: Sequence[str]) -> PartCounts:
    areas = [(y1 - y0) * (x1 - x0) for y0, x0, y1, x1 in (image.area for image in images)]
    labels = Counter(classes[label] for image in images for label in image.labels.tolist())
    boxes = {code: labels[code] for code in classes if labels[code]}
    return PartCounts(len({image.path for image in images}), len(images), float(sum(areas)), boxes)
