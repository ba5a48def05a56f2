"""Reads annotated pictures in any annotation format as a data set to learn from, or to be measured on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from microscope_qc.core.boxes import SAYS_NOTHING, ReviewState
from microscope_qc.core.errors import ExchangeError, MicroscopeQCError, ModelError
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.core.orientation import AS_STORED, upright_boxes
from microscope_qc.core.wording import significant_text, things
from microscope_qc.exchange.coco import CROWD
from microscope_qc.exchange.document import MOST_PLACES, Box, Document, ImageEntry
from microscope_qc.exchange.registry import FORMATS, detect_format
from microscope_qc.ml.cards import MOST_CLASSES
from microscope_qc.ml.datasets.records import AnnotatedImage, Dataset, LeftOutOfData, full_names
from microscope_qc.slides import Mosaic, open_slide
from microscope_qc.workflows.learning.folders import class_pictures, is_mvtec, mvtec_pictures, read_layout
from microscope_qc.workflows.learning.from_project import is_project, joined, read_project
from microscope_qc.workflows.learning.kept_apart import part_of
from microscope_qc.workflows.learning.pictures import PictureFolder

_STEP = 50
REJECTED, UNREVIEWED, CROWDS = "rejected", "unreviewed", "crowds"
OUTSIDE, TWICE, NO_CLASS = "outside the picture", "there twice", "no class"
TURNED = "marked on a picture as it is stored, and turned upright with it"
UNTOLD = "taken as marked on a picture as it is seen upright, which its size does not tell"


def read_dataset(path: Path | str, *, model_um: float | None = None, assign_new: bool = False) -> Job[Dataset]:
    """Read annotations and find their pictures, of which only the headers are read.

    A rejected finding is no truth; its place is background that was taken for a defect. A finding of a model that is
    unreviewed (it has a score), and a crowd of COCO are neither: nobody has said what is there. Drawn and imported
    boxes are truth as soon as they are there, as everywhere else.

    Parameters
    ----------
    path
        Folder of a data set, or a file of annotations in it, in any annotation format. The pictures must be in the
        folder, or in folders below it. Or a folder with one for each class, or in the layout of MVTec AD
        (:mod:`microscope_qc.workflows.learning.folders`). Or a project.
    model_um, assign_new
        Of projects, see :func:`microscope_qc.workflows.learning.from_project.read_project`.

    Returns
    -------
    Job[Dataset]
        With everything that was left out.

    Raises
    ------
    ExchangeError
        When there are no annotations, or they cannot be read.
    ModelError
        When there is no such path, or none of the pictures can be used.
    """
    chosen = Path(path)
    if not chosen.exists():
        raise ModelError(f"{chosen} does not exist.", hint="Give a folder with annotations and images.")
    if is_project(chosen):
        return (yield from read_project(chosen, model_um=model_um, assign_new=assign_new))
    yield Progress(0, 0, "pictures", f"reading the annotations of {chosen.name}")
    if is_mvtec(chosen):
        return (yield from read_layout(chosen, mvtec_pictures(chosen)))
    pictures = PictureFolder(chosen)
    try:
        known = detect_format(chosen)
    except ExchangeError:
        layout = class_pictures(chosen)
        if not layout:
            raise
        return (yield from read_layout(chosen, layout))
    with FORMATS.in_use(known.name):
        document = known.read(chosen, sizes=pictures.sizes())
    reading = _Reading(document, pictures.folder)
    files, why = pictures.matched([image.path for image in document.images])
    for number, entry in enumerate(document.images):
        if number % _STEP == 0:
            yield Progress(number, len(document.images), "pictures", f"opening the pictures of {chosen.name}")
        if entry.path in files:
            reading.add(entry, files[entry.path])
        else:
            reading.leave(entry, why[entry.path])
    return reading.dataset(chosen)


def without_pixel_size(data: Dataset, model_um: float | None) -> list[str]:
    """What a user should know about pictures that do not give their pixel size, for a model that works at one."""
    count = sum(image.pixel_size_um is None for image in data.images)
    if not count:
        return []
    verb = "does" if count == 1 else "do"
    they = f"{count} of {things(len(data.images), 'picture')} {verb} not give a pixel size"
    if model_um is None:
        return [f"{they}: the model takes every pixel of a slide as it is, whatever its size."]
    return [f"{they}: taken to be that of the model, {significant_text(model_um)} µm."]


def read_datasets(
    paths: Path | str | Sequence[Path | str], *, model_um: float | None = None, assign_new: bool = False
) -> Job[Dataset]:
    """Read one data set, or several as one; see :func:`read_dataset`."""
    found = []
    for path in [paths] if isinstance(paths, (str, Path)) else paths:
        found.append((yield from read_dataset(path, model_um=model_um, assign_new=assign_new)))
    if not found:
        raise ModelError("There is no data set to learn from.", hint="Give a project, or a folder with annotations.")
    return joined(found)


@dataclass(slots=True)
class _Reading:
    """The data set as far as it was read."""

    document: Document
    folder: Path
    images: list[AnnotatedImage] = field(default_factory=list)
    pictures: dict[str, str] = field(default_factory=dict)
    boxes: Counter[str] = field(default_factory=Counter)
    noted: Counter[str] = field(default_factory=Counter)
    no_truth: Counter[str] = field(default_factory=Counter)
    codes: dict[str, int] = field(default_factory=dict)
    places: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.boxes = Counter(self.document.skipped)
        self.noted = Counter({what: count for what, count in self.document.noted.items() if CROWD not in what})
        self.places = {reason: list(known) for reason, known in self.document.places.items()}
        self.codes = {code: number for number, code in enumerate(filter(None, self.document.class_codes()))}

    def leave(self, entry: ImageEntry, why: str) -> None:
        """Leave a picture out."""
        self.pictures[entry.path] = why

    def add(self, entry: ImageEntry, file: Path) -> None:
        """Add a picture with its boxes, or say why not."""
        try:
            with open_slide(file) as slide:
                mosaic = slide.scene(None)
                sides, noted = _upright(entry, mosaic)
                size = entry.pixel_size_um or mosaic.pixel_size_um
        except MicroscopeQCError as error:
            self.leave(entry, error.message.removesuffix("."))
            return
        height, width = shape = (mosaic.shape[0], mosaic.shape[1])
        if sides is None:
            stated = entry.shape_px or (0, 0)
            self.leave(entry, f"has {width} x {height} px, but {stated[1]} x {stated[0]} px in the annotations")
            return
        if noted and entry.boxes:
            self._count(self.noted, noted, entry, len(entry.boxes))
        sides = np.clip(sides, 0, [height, width, height, width])
        truth, still_open, rejected = self._sorted(entry, sides)
        labels = np.array([self.codes[entry.boxes[number].class_code] for number in truth], np.int64)
        self.images.append(
            AnnotatedImage(
                file,
                shape,
                sides[truth],
                labels,
                size,
                open_boxes=sides[still_open],
                hard_boxes=sides[rejected],
                part=part_of(file.relative_to(self.folder).parts[:-1]),
            )
        )

    def _count(self, counts: Counter[str], why: str, entry: ImageEntry, boxes: int = 1) -> None:
        """Count boxes, and remember some of the pictures."""
        counts[why] += boxes
        known = self.places.setdefault(why, [])
        if len(known) < MOST_PLACES and entry.path not in known:
            known.append(entry.path)

    def _sorted(self, entry: ImageEntry, sides: np.ndarray) -> tuple[list[int], list[int], list[int]]:
        """Places of the boxes that are true, of those of which nobody knows, and of those that were rejected."""
        truth: list[int] = []
        still_open: list[int] = []
        rejected: list[int] = []
        seen: set[tuple[object, ...]] = set()
        for number, box in enumerate(entry.boxes):
            corners, why = tuple(sides[number].tolist()), _no_truth(box)
            key = (box.class_code, why, corners)
            if corners[0] >= corners[2] or corners[1] >= corners[3]:
                self._count(self.boxes, OUTSIDE, entry)
            elif key in seen:
                self._count(self.boxes, TWICE, entry)
            elif not box.class_code:
                self._count(self.boxes, NO_CLASS, entry)
                still_open.append(number)  # something is there
            else:
                self.no_truth[why] += 1
                (truth if not why else rejected if why == REJECTED else still_open).append(number)
            seen.add(key)
        return truth, still_open, rejected

    def dataset(self, chosen: Path) -> Dataset:
        """The data set.

        Raises
        ------
        ModelError
            When there is no picture in it, or there are more classes than a model can have.
        """
        if not self.images:
            raise ModelError(
                _nothing(chosen, self.pictures),
                hint="The very pictures that were annotated must be in the folder, in the folders that are given.",
            )
        if len(self.codes) > MOST_CLASSES:
            raise ModelError(
                f"{chosen.name} has {len(self.codes)} classes; models have up to {MOST_CLASSES}.",
                hint="Check the list of classes.",
            )
        left_out = LeftOutOfData(
            pictures=self.pictures, boxes=dict(self.boxes), noted=dict(self.noted), places=self.places,
            files=self.document.files_left_out, rejected=self.no_truth[REJECTED],
            unreviewed=self.no_truth[UNREVIEWED], crowds=self.no_truth[CROWDS],
        )  # fmt: skip
        return Dataset(list(self.codes), self.images, self._names(), left_out)

    def _names(self) -> list[str]:
        given = {known.code: known.name for known in self.document.classes}
        builtin = full_names(list(self.codes))
        return [
            given[code] if given.get(code, code) != code else name
            for code, name in zip(self.codes, builtin, strict=True)
        ]


def _upright(entry: ImageEntry, mosaic: Mosaic) -> tuple[np.ndarray | None, str]:
    """Boxes (n, 4) of a picture as it is seen upright, and what is to be noted of them.

    None where the annotations are about another size.
    """
    sides = np.array([(box.y0, box.x0, box.y1, box.x1) for box in entry.boxes], float).reshape(-1, 4)
    shown, stored = (mosaic.shape[0], mosaic.shape[1]), mosaic.stored_shape_px
    if entry.shape_px not in (None, shown, stored):
        return None, ""
    if entry.shape_px == stored != shown:  # marked in a program that does not turn pictures
        return upright_boxes(sides, mosaic.orientation, stored_shape_px=stored), TURNED
    told = entry.shape_px is not None and entry.size_stated and stored != shown
    return sides, "" if told or mosaic.orientation == AS_STORED else UNTOLD


def _no_truth(box: Box) -> str:
    """Why a box is no truth, "" where it is."""
    if box.state == ReviewState.REJECTED:
        return UNREVIEWED if box.reason in SAYS_NOTHING else REJECTED
    if box.attributes.get(CROWD):
        return CROWDS
    return UNREVIEWED if box.state == ReviewState.UNREVIEWED and box.score is not None else ""


def _nothing(chosen: Path, pictures: dict[str, str]) -> str:
    if not pictures:
        return f"{chosen.name} lists no pictures."
    why = LeftOutOfData(pictures=pictures).picture_words
    return f"None of the pictures that {chosen.name} lists can be used: {why}."
