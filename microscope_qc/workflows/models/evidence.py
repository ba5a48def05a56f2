"""Shows what a classifier takes a place of a slide for, and which pixels speak for that."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from microscope_qc.core.class_colours import class_colour
from microscope_qc.core.errors import InputError, ModelError
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.ml.cards import ModelCard
from microscope_qc.ml.library import load_card
from microscope_qc.ml.tiling import slide_scale
from microscope_qc.project import Project
from microscope_qc.reports.contact_sheet import SheetCell, SheetMark, write_contact_sheet
from microscope_qc.slides import Mosaic, open_slide
from microscope_qc.workflows.learning.from_project import is_project
from microscope_qc.workflows.scenes import open_scene

if TYPE_CHECKING:
    from microscope_qc.ml.tasks.evidence import ClassEvidence

_ROOM = 1.5
"""Side of what is shown of a finding larger than a window, as a share of the finding's."""
_OPAQUE = 0.55


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a model takes a place for.

    Attributes
    ----------
    region
        The square that was looked at, in full-resolution slide pixels.
    picture : ndarray, uint8 (h, w, 3)
        Its pixels at the model's pixel size.
    classes
        The likeliest ones; heat and boxes are in pixels of the picture.
    """

    card: ModelCard
    slide: str
    region: Region
    picture: np.ndarray
    classes: list[ClassEvidence]

    def document(self) -> dict[str, Any]:
        """Everything but pixels and maps, as values that JSON can store; boxes in slide pixels."""
        return {
            "model": self.card.name, "slide": self.slide,
            "region": [self.region.y0, self.region.x0, self.region.y1, self.region.x1],
            "classes": [
                {"code": one.code, "name": one.name, "confidence": round(one.confidence, 4), "box": self._on_slide(one)}
                for one in self.classes
            ],
        }  # fmt: skip

    def _on_slide(self, one: ClassEvidence) -> list[float]:
        scale_y, scale_x = (side / size for side, size in zip(self.region.shape, self.picture.shape[:2], strict=True))
        y0, x0, y1, x1 = one.box
        start_y, start_x = self.region.y0, self.region.x0
        corners = (start_y + y0 * scale_y, start_x + x0 * scale_x, start_y + y1 * scale_y, start_x + x1 * scale_x)
        return [round(float(value), 1) for value in corners]


def require_classifier(card: ModelCard) -> None:
    """Refuse a model that has no class activation maps.

    Raises
    ------
    ModelError
        When it is no classifier.
    """
    if card.task != "classify":
        raise ModelError(
            f"{card.name} is no classifier, so it has no class activation maps.",
            hint="Choose a classifier, or train one (--task classify on the command line).",
        )


def show_evidence(
    model: str | Path,
    source: str | Path,
    *,
    finding: int | None = None,
    region: Region | None = None,
    slide: str | None = None,
    device: str = "auto",
) -> Job[Evidence]:
    """Look at one place of a slide with a classifier, as with one of its windows.

    Parameters
    ----------
    model
        Name of a bundled model, or a model's folder.
    source
        A slide, or a project.
    finding
        Number of a finding of the project: the window around it is looked at.
    region
        Place in slide pixels, instead; the smallest square around it.
    slide
        Of the project, for ``region``.

    Raises
    ------
    InputError
        When not exactly one place is given, or there is no such finding or slide.
    ModelError
        When the model is no classifier.
    SlideError
        When the slide cannot be read.
    """
    card = load_card(model)
    require_classifier(card)
    if (finding is None) == (region is None):
        raise InputError("One place can be looked at: a finding or a region.", hint="Give one of the two.")
    yield Progress(0, 2, "steps", "reading the place")
    if is_project(Path(source)):
        name, square, picture = _of_project(card, Path(source), finding, region, slide)
    elif region is None:
        raise InputError("Only projects have findings.", hint="Give a region.")
    else:
        with open_slide(source) as opened:
            mosaic = opened.scene(None)
            square, picture = _read(card, mosaic, region, mosaic.pixel_size_um)
        name = Path(source).name
    yield Progress(1, 2, "steps", "loading the model")
    from microscope_qc.ml.architectures.loading import open_task
    from microscope_qc.ml.tasks.evidence import evidence_of
    from microscope_qc.ml.tasks.sliding import SlidingTask

    task = open_task(model, device=device)
    assert isinstance(task, SlidingTask)
    return Evidence(card, name, square, picture, evidence_of(task, picture))


def _of_project(
    card: ModelCard, path: Path, finding: int | None, region: Region | None, slide: str | None
) -> tuple[str, Region, np.ndarray]:
    with Project.open(path, write=False) as project:
        if finding is None:
            record = project.slides.named(slide)
        else:
            record = project.slides.by_id(project.boxes.slide_of(finding))
            rows = project.boxes.table(record.id).rows
            (row,) = rows[rows["id"] == finding]
            region = Region(int(row["y0"]), int(row["x0"]), int(np.ceil(row["y1"])), int(np.ceil(row["x1"])))
        assert region is not None
        with open_scene(record) as mosaic:
            square, picture = _read(card, mosaic, region, record.pixel_size_um, grown=finding is not None)
        return str(record.name), square, picture


def _read(
    card: ModelCard,
    mosaic: Mosaic,
    region: Region,
    pixel_size_um: tuple[float, float] | None,
    *,
    grown: bool = False,
) -> tuple[Region, np.ndarray]:
    """The square around a place, at least a window where it may grow, and its pixels as large as a window."""
    assert card.windows is not None  # classifiers have them
    scale = float(np.sqrt(np.prod(slide_scale(card.pixel_size_um, pixel_size_um))))
    side = float(max(region.shape))
    if grown:
        side = max(card.windows.window_px * scale, _ROOM * side)
    square = _square(region, max(1, round(side)), within=(mosaic.shape[0], mosaic.shape[1]))
    size = max(1, card.windows.window_px)
    return square, np.ascontiguousarray(mosaic.read_scaled(square, (size, size)))


def _square(region: Region, side: int, *, within: tuple[int, int]) -> Region:
    """A square around the middle of a region, moved into the slide where it fits there."""
    starts = []
    for low, high, length in ((region.y0, region.y1, within[0]), (region.x0, region.x1, within[1])):
        start = round((low + high - side) / 2)
        starts.append(min(max(start, 0), length - side) if side <= length else start)
    return Region(starts[0], starts[1], starts[0] + side, starts[1] + side)


def write_evidence(path: Path | str, evidence: Evidence) -> Path:
    """Write the place and its maps beside each other as one PNG; boxes enclose what speaks for each class.

    Raises
    ------
    InputError
        When the file is no PNG by its name.
    WriteError
        When it cannot be written.
    """
    cells = [SheetCell(evidence.picture)]
    for place, one in enumerate(evidence.classes):
        mark = SheetMark(one.box, class_colour(place), f"{one.code} {one.confidence:.2f}")
        cells.append(SheetCell(overlaid(evidence.picture, one.heat), [mark]))
    return write_contact_sheet(path, cells, caption="Bright: what speaks for the class.")


def overlaid(picture: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """A picture in grey, uint8 (h, w, 3), under the colours of its map (h, w), which is 0 to 1."""
    import cv2

    colours = cv2.applyColorMap(np.round(255 * heat).astype(np.uint8), cv2.COLORMAP_VIRIDIS)[..., ::-1]
    grey = np.repeat(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    share = _OPAQUE * heat[..., None]
    return np.round(grey * (1 - share) + colours * share).astype(np.uint8)
