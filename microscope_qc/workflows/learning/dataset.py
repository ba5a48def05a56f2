"""Cuts training images from projects: what the user confirmed or drew, and some background."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from microscope_qc.core.arrays import Flags
from microscope_qc.core.boxes import FindingFlag, ReviewState, coordinates, has_flag
from microscope_qc.core.errors import InputError
from microscope_qc.core.files import atomic_write
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.exchange.document import Box, Document, ImageEntry
from microscope_qc.exchange.format import AnnotationFormat
from microscope_qc.exchange.registry import FORMATS
from microscope_qc.project import Project
from microscope_qc.project.records import SlideRecord
from microscope_qc.slides.plane_choice import PlaneChoice
from microscope_qc.workflows.intake.changes import require_unchanged
from microscope_qc.workflows.learning.cutting import (
    SMALLEST_SHARE,
    Cut,
    clipped_boxes,
    overlapping,
    plan_tiles,
    read_cut,
)
from microscope_qc.workflows.left_out import LeftOut
from microscope_qc.workflows.over_slides import over_slides
from microscope_qc.workflows.scenes import open_scene

TRIES = 8
LAYOUTS = ("around", "tiles")


@dataclass(frozen=True, slots=True)
class DatasetSummary:
    """The images that were cut.

    ``unreviewed`` counts images with unreviewed findings, which a model learns as background; ``left_out`` are the
    slides that could not be cut, each with the reason.
    """

    folder: Path
    pictures: int
    background: int
    boxes: int
    classes: dict[str, int]
    unreviewed: int
    left_out: tuple[LeftOut, ...] = ()


def trusted(rows: np.ndarray) -> np.ndarray:
    """Boxes that the user confirmed, or drew and did not reject."""
    drawn = has_flag(rows, FindingFlag.DRAWN) & np.isnan(rows["confidence"]) & (rows["state"] != ReviewState.REJECTED)
    keep: Flags = (rows["state"] == ReviewState.CONFIRMED) | drawn
    return rows[keep]


def make_dataset(
    projects: Iterable[Path | str],
    out: Path | str,
    *,
    tile_px: int = 512,
    pixel_size_um: float | None = None,
    background: float = 0.25,
    seed: int = 0,
    layout: str = "around",
    overlap_px: int = 0,
    pad: bool = False,
    visible: float = SMALLEST_SHARE,
    format: str = "coco",
    classes: Collection[str] | None = None,
    slide_ids: Collection[int] | None = None,
    choice: PlaneChoice | None = None,
) -> Job[DatasetSummary]:
    """Cut images into ``out/images``, with their boxes beside them (COCO: ``out/annotations.json``).

    A slide that cannot be read is left out, and the others are cut.

    Parameters
    ----------
    tile_px
        Side of an image.
    pixel_size_um
        Pixel size of the images; None takes each slide's own.
    background
        Share of images without a defect; those of rejected findings come first, because models confuse them.
    seed
        The same seed cuts the same images.
    layout
        "around": an image around every box, with the box anywhere in it. "tiles": the slide in equal tiles; those with
        boxes and some of the others are taken.
    overlap_px
        Overlap of neighbouring tiles, in pixels of the images.
    pad
        Tiles at the edge of the slide reach beyond it and are padded with black; otherwise they are moved inside.
    visible
        A box with a smaller share inside an image is not annotated there.
    format
        Name of any annotation format.
    classes
        Codes of the classes to annotate; None takes all. Findings of other classes are not background either.
    slide_ids
        Only these slides, of a single project; None takes all.
    choice
        Which picture of a stack and which channels of every slide are cut.

    Raises
    ------
    InputError
        When nothing was confirmed or drawn, the seed is negative, or ``out`` already contains images.
    MicroscopeQCError
        When no slide could be cut: what was wrong with the first.
    """
    if seed < 0:
        raise InputError("The seed cannot be negative.")
    cutting = Cutting(tile_px, pixel_size_um, background, layout, overlap_px, pad, visible, choice)
    dataset = _Dataset(_new_folder(Path(out)), FORMATS.get(format), cutting, classes)
    for path in projects:
        with Project.open(path, write=False) as project:
            dataset.add_classes(project)
            records = [record for record in project.slides if slide_ids is None or record.id in slide_ids]
            yield from dataset.add_slides(project, records, seed)
    return dataset.finish()


@dataclass(frozen=True, slots=True)
class Cutting:
    """How images are cut out of a slide; for the parameters see :func:`make_dataset`.

    Raises
    ------
    InputError
        When images cannot be cut like this.
    """

    tile_px: int
    pixel_size_um: float | None
    background: float
    layout: str
    overlap_px: int
    pad: bool
    visible: float
    choice: PlaneChoice | None = None

    def __post_init__(self) -> None:
        if not 32 <= self.tile_px <= 8192:
            raise InputError(f"Images of {self.tile_px} px cannot be cut.", hint="Choose a side from 32 to 8192.")
        if self.pixel_size_um is not None and not 1e-4 < self.pixel_size_um < 1e4:
            raise InputError(f"A pixel size of {self.pixel_size_um} um is not possible.", hint="Give one such as 0.5.")
        if not 0 <= self.background < 1:
            raise InputError("The share of background must be at least 0 and below 1.")
        if self.layout not in LAYOUTS:
            raise InputError(f"There is no layout {self.layout!r}.", hint=f"Choose {' or '.join(LAYOUTS)}.")
        if not 0 <= self.overlap_px < self.tile_px:
            raise InputError("The overlap of tiles must be less than their side.", hint="Choose a smaller overlap.")
        if not 0 <= self.visible <= 1:
            raise InputError("The visible share of a box must be from 0 to 1.")

    def plan(self, rows: np.ndarray, record: SlideRecord, rng: np.random.Generator) -> list[Cut]:
        """Choose the regions of a slide to cut.

        Raises
        ------
        InputError
            When a pixel size is requested and the slide's own is unknown.
        """
        side = self._side(record)
        if self.layout == "around":
            return plan_cuts(rows, record.shape_px, side, self.tile_px, background=self.background, rng=rng)
        return plan_tiles(
            record.shape_px,
            side,
            self.tile_px,
            overlap=round(self.overlap_px * side / self.tile_px),
            pad=self.pad,
            boxes=coordinates(trusted(rows)),
            others=coordinates(rows[rows["state"] != ReviewState.REJECTED]),
            background=self.background,
            rng=rng,
        )

    def _side(self, record: SlideRecord) -> int:
        """Side of an image in the slide's pixels."""
        if self.pixel_size_um is None:
            return self.tile_px
        if record.pixel_size_um is None:
            raise InputError(
                f"The pixel size of {record.name} is not known.",
                hint="Enter it first, or choose no pixel size (leave out --pixel-size on the command line).",
            )
        return max(8, round(self.tile_px * self.pixel_size_um / record.pixel_size_um[1]))

    def pixel_size_of(self, record: SlideRecord) -> tuple[float, float] | None:
        """Pixel size (y, x) of a slide's images in um: square cuts of pixels that are not square keep their shape."""
        own = record.pixel_size_um
        if not self.pixel_size_um or own is None:
            return own
        return self.pixel_size_um * own[0] / own[1], self.pixel_size_um


class _Dataset:
    """The images written so far, and their boxes."""

    def __init__(self, out: Path, known: AnnotationFormat, cutting: Cutting, classes: Collection[str] | None) -> None:
        self._out, self._format, self._cutting, self._classes = out, known, cutting, classes
        self._document = Document()
        self._counts = Counter[str]()
        self._unreviewed = 0
        self._left_out: list[LeftOut] = []

    def add_classes(self, project: Project) -> None:
        """Add the requested classes that are still missing."""
        listed = {cls.code for cls in self._document.classes}
        for cls in project.classes:
            if cls.code not in listed and (self._classes is None or cls.code in self._classes):
                self._document.classes.append(cls)

    def add_slides(self, project: Project, records: Sequence[SlideRecord], seed: int) -> Job[None]:
        """Cut the images of slides; none where nothing is confirmed or drawn, or where a slide cannot be read."""
        _, left_out = yield from over_slides(project, records, lambda record: self._cut(project, record, seed))
        self._left_out += left_out

    def _cut(self, project: Project, record: SlideRecord, seed: int) -> Job[None]:
        everything = project.boxes.rows(record.id, every=True)
        rows = _set_aside(everything, project, self._classes)
        if len(trusted(rows)) == 0:
            return
        yield from require_unchanged(project, [record.id])
        cuts = self._cutting.plan(rows, record, np.random.default_rng([seed, len(self._document.images)]))
        details = project.attributes.of_slide(record.id), project.outlines.of_slide(record.id)
        code_of = {cls.id: cls.code for cls in project.classes}
        waiting = everything[(everything["state"] == ReviewState.UNREVIEWED) & ~np.isnan(everything["confidence"])]
        waiting = waiting[project.inclusion.current.mask(waiting)]
        with open_scene(record, self._cutting.choice) as mosaic:
            for number, cut in enumerate(cuts):
                yield Progress(number, len(cuts), "pictures", f"{project.name}: {record.name}")
                name = _picture_name(self._out, project.name, record.name, cut.region)
                _write_picture(self._out / "images" / name, read_cut(mosaic, cut))
                boxes = clipped_boxes(trusted(rows), cut, code_of, visible=self._cutting.visible, details=details)
                self._note(name, cut, self._cutting.pixel_size_of(record), boxes)
                self._unreviewed += bool(overlapping(coordinates(waiting), cut.region).any())

    def _note(self, name: str, cut: Cut, pixel_size_um: tuple[float, float] | None, boxes: list[Box]) -> None:
        name = f"images/{name}" if self._format.name == "coco" else name
        self._document.images.append(ImageEntry(name, cut.shape, pixel_size_um, boxes))
        self._counts.update(box.class_code for box in boxes)

    def finish(self) -> DatasetSummary:
        """Write the annotations.

        Raises
        ------
        InputError
            When there are none.
        """
        if not self._counts and self._left_out:
            raise self._left_out[0].error
        if not self._counts:
            raise InputError(
                "Nothing in these projects was confirmed or drawn."
                if self._classes is None
                else f"No finding of {', '.join(sorted(self._classes)) or 'any class'} was confirmed or drawn.",
                hint="Confirm some findings in the gallery first.",
            )
        self._format.write(_annotations_place(self._out, self._format), self._document)
        return DatasetSummary(
            self._out,
            pictures=len(self._document.images),
            background=sum(not image.boxes for image in self._document.images),
            boxes=self._counts.total(),
            classes=dict(self._counts.most_common()),
            unreviewed=self._unreviewed,
            left_out=tuple(self._left_out),
        )


def _new_folder(out: Path) -> Path:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} is not empty.", hint="Choose a new folder.")
    return out


def _set_aside(rows: np.ndarray, project: Project, classes: Collection[str] | None) -> np.ndarray:
    """Rows in which findings of other classes are unreviewed, so that they are neither examples nor background."""
    if classes is None:
        return rows
    wanted = [cls.id for cls in project.classes if cls.code in classes]
    aside = ~np.isin(rows["class_id"], wanted)
    rows = rows.copy()
    rows["state"][aside], rows["confidence"][aside] = ReviewState.UNREVIEWED, 1.0
    return rows


def _annotations_place(out: Path, known: AnnotationFormat) -> Path:
    if known.name == "yolo":
        return out  # the format makes its folder "labels" beside "images"
    if known.name == "labelme":
        return out / "images"  # LabelMe expects its files beside the images
    return out / "annotations" if known.is_folder else out / f"annotations{known.suffix}"


def plan_cuts(
    rows: np.ndarray, shape_px: tuple[int, int], side: int, tile_px: int, *, background: float, rng: np.random.Generator
) -> list[Cut]:
    """Choose regions: every trusted box is completely inside at least one if it fits, then background."""
    good, scale = coordinates(trusted(rows)), tile_px / side
    other = coordinates(rows[rows["state"] == ReviewState.UNREVIEWED])
    regions: list[Region] = []
    for box in good:
        if not any(_contains(region, box) for region in regions):
            tries = [_around(box, shape_px, side, rng) for _ in range(TRIES)]
            regions.append(min(tries, key=lambda region: int(overlapping(other, region).sum())))
    wanted = round(len(regions) * background / (1 - background))
    everything = coordinates(rows[rows["state"] != ReviewState.REJECTED])
    rejected = coordinates(rows[rows["state"] == ReviewState.REJECTED])
    candidates = [_around(box, shape_px, side, rng) for box in rng.permutation(rejected)]
    height, width = shape_px
    for _ in range(wanted * 20):
        centre = np.array([rng.uniform(0, height), rng.uniform(0, width)])
        candidates.append(_around(np.tile(centre, 2), shape_px, side, rng))
    empty: list[Region] = []
    for region in candidates:
        if len(empty) >= wanted:
            break
        if region not in empty and not overlapping(everything, region).any():
            empty.append(region)
    return [
        Cut(region, (max(1, round(region.shape[0] * scale)), max(1, round(region.shape[1] * scale))))
        for region in [*regions, *empty]
    ]


def _around(box: np.ndarray, shape_px: tuple[int, int], side: int, rng: np.random.Generator) -> Region:
    """Square region with the box somewhere inside it, moved into the slide."""
    starts, stops = [], []
    for axis in (0, 1):
        low, high, limit = float(box[axis]), float(box[axis + 2]), shape_px[axis]
        room = side - (high - low)
        start = low - rng.uniform(0.1, 0.9) * room if room > 0 else (low + high - side) / 2
        start = round(min(max(start, 0), max(limit - side, 0)))
        starts.append(start)
        stops.append(min(start + side, limit))
    return Region(starts[0], starts[1], stops[0], stops[1])


def _contains(region: Region, box: np.ndarray) -> bool:
    return bool(region.y0 <= box[0] and region.x0 <= box[1] and box[2] <= region.y1 and box[3] <= region.x1)


def _picture_name(out: Path, project: str, slide: str, region: Region) -> str:
    stem = re.sub(r"[^\w.-]+", "_", f"{project}_{slide}_{region.y0}_{region.x0}")
    name, again = f"{stem}.png", 2
    while (out / "images" / name).exists():  # two projects may have the same name
        name, again = f"{stem}_{again}.png", again + 1
    return name


def _write_picture(path: Path, picture: np.ndarray) -> None:
    import cv2

    coded, data = cv2.imencode(".png", picture[..., ::-1])
    if not coded:
        raise InputError(f"The image {path.name} cannot be encoded as PNG.")
    atomic_write(path, data.tobytes())
