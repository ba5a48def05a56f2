"""Projects as data sets: what users confirmed, drew and rejected on whole slides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from microscope_qc.core.errors import InputError, MicroscopeQCError, ModelError
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.core.wording import listed
from microscope_qc.ml.datasets.kept import assign, divided, guard_px, held_back
from microscope_qc.ml.datasets.records import AnnotatedImage, Dataset, LeftOutOfData
from microscope_qc.project import Project
from microscope_qc.project.records import SlideRecord
from microscope_qc.workflows.learning.kept_apart import LEARNED, TEST, VALIDATION
from microscope_qc.workflows.learning.project_parts import kept_parts, slide_place, slide_places
from microscope_qc.workflows.scenes import open_scene

NOTHING_JUDGED = "nothing is confirmed, drawn or declared complete"
TURNED_SINCE = "turned or replaced since it was divided: nobody knows which of its places were learned from"
SPECIMEN_LEARNED = "of a specimen that is learned from"
HELD_ELSEWHERE = "kept by another project to measure on"
IN_TWO = "in two projects"


def is_project(path: Path) -> bool:
    """Whether a path is a project and not annotations."""
    return path.suffix.lower() == ".mqc" and path.is_dir()


def read_project(
    path: Path, *, model_um: float | None = None, assign_new: bool = False, open_files: bool = True
) -> Job[Dataset]:
    """Read the slides of a project as a data set.

    Confirmed and drawn findings are truth. Rejected ones are background, and are learned from more often than other
    background. What a model found and nobody has judged is neither. The rest of a slide counts as background: where
    nobody has looked for defects it is probably that.

    Each slide, or each block of one, says to which part the project has given it
    (:mod:`microscope_qc.workflows.learning.project_parts`). Slides of one specimen are one group.

    Parameters
    ----------
    model_um
        Pixel size of the model: between blocks of two parts lies a strip as wide as it sees. None: that of the slide.
    assign_new
        Give slides that have no part yet to one, in memory only.
    open_files
        Whether slides that cannot be opened are left out; else no file of a slide is touched.

    Returns
    -------
    Job[Dataset]
        Slides on which nothing is judged, and those that cannot be opened, are among what was left out.

    Raises
    ------
    ModelError
        When nothing was confirmed or drawn, or the division that the project keeps is damaged.
    """
    images: list[AnnotatedImage] = []
    left_out: dict[str, str] = {}
    rejected = unreviewed = 0
    with Project.open(path, write=False) as project:
        classes = list(project.classes)
        kept = kept_parts(project)
        if assign_new:
            with suppress(ModelError):  # too small: it is divided when it is learned from
                kept = assign(slide_places(project), kept)
        for number, record in enumerate(project.slides):
            yield Progress(number, len(project.slides), "slides", record.name)
            place = slide_place(project, record)
            pieces = None if place is None else divided(place, kept, guard_px=guard_px(model_um, record.pixel_size_um))
            why = NOTHING_JUDGED if place is None else TURNED_SINCE if pieces is None else ""
            if open_files and not why:
                why = _unusable(record)
            if place is None or pieces is None or why:
                left_out[record.name] = why
                continue
            images += pieces
            rejected += len(place.image.hard_boxes)
            unreviewed += len(place.image.open_boxes)
    if not sum(len(image.boxes) for image in images):
        raise ModelError(
            f"Nothing in {path.stem} is confirmed or drawn.",
            hint="Confirm findings in the gallery, or draw some boxes.",
        )
    images, held = _apart_from_learned(images)
    return Dataset(
        [defect.code for defect in classes], images, [defect.name for defect in classes],
        LeftOutOfData(pictures=left_out, rejected=rejected, unreviewed=unreviewed, held=held),
    )  # fmt: skip


def _unusable(record: SlideRecord) -> str:
    """Why the file of a slide cannot be used; "" where it can."""
    try:
        with open_scene(record) as mosaic:
            shape = (mosaic.shape[0], mosaic.shape[1])
    except MicroscopeQCError as error:
        return error.message.removesuffix(".")
    return "" if shape == record.shape_px else "is no longer the slide that was reviewed"


def _apart_from_learned(images: list[AnnotatedImage]) -> tuple[list[AnnotatedImage], dict[str, int]]:
    """Without what is held out of specimens that are learned from, where something else is held out.

    A user may say only after the division that two slides are of one specimen.
    """
    learned = {image.group for image in images if image.part == LEARNED}
    left: list[AnnotatedImage] = [image for image in images if image.part not in (VALIDATION, TEST)]
    dropped = 0
    for part in (VALIDATION, TEST):
        mine = [image for image in images if image.part == part]
        apart = [image for image in mine if not _is_specimen(image.group) or image.group not in learned]
        apart = apart if any(len(image.boxes) for image in apart) else mine
        dropped += len(mine) - len(apart)
        left += apart
    return left, {SPECIMEN_LEARNED: dropped} if dropped else {}


def _is_specimen(group: str) -> bool:
    return group.startswith("specimen ")


def only_slides(data: Dataset, projects: Sequence[Path], slide_ids: Collection[int]) -> Dataset:
    """The pictures of some slides of a project.

    Raises
    ------
    InputError
        When the data are not those of one project.
    ModelError
        When nothing is confirmed or drawn on these slides.
    """
    if len(projects) != 1 or not is_project(projects[0]):
        raise InputError("Slides can be chosen of one project.", hint="Name one project.")
    with Project.open(projects[0], write=False) as project:
        records = [record for record in project.slides if record.id in slide_ids]
    wanted, names = {(record.path, record.scene) for record in records}, {record.name for record in records}
    images = [image for image in data.images if (image.path, image.scene) in wanted]
    if not sum(len(image.boxes) for image in images):
        raise ModelError(
            f"Nothing is confirmed or drawn on {listed(sorted(names)) or 'these slides'}.",
            hint="Confirm findings in the gallery, or draw some boxes.",
        )
    left_out = replace(
        data.left_out, pictures={name: why for name, why in data.left_out.pictures.items() if name in names},
        rejected=sum(len(image.hard_boxes) for image in images),
        unreviewed=sum(len(image.open_boxes) for image in images),
    )  # fmt: skip
    return replace(data, images=images, left_out=left_out)


def joined(datasets: list[Dataset]) -> Dataset:
    """Several data sets as one; classes of the same code are the same.

    A slide that is in two projects is kept from learning where either of them keeps it for something else, and its
    pixels count once.
    """
    codes: dict[str, str] = {}
    for data in datasets:
        for code, name in zip(data.classes, data.names, strict=True):
            codes.setdefault(code, name)
    images: list[AnnotatedImage] = []
    held: Counter[str] = Counter()
    for number, data in enumerate(datasets):
        mine = data.with_classes(list(codes)).images
        others = [image for other in datasets[:number] + datasets[number + 1 :] for image in other.images]
        mine, count = held_back(mine, others)
        held[HELD_ELSEWHERE] += count
        new = [image for image in mine if not _is_in(image, images)]
        held[IN_TWO] += len(mine) - len(new)
        images += new
    said = LeftOutOfData.joined([data.left_out for data in datasets])
    said = replace(said, held=dict(Counter(said.held) + held))
    return replace(datasets[0], classes=list(codes), images=images, names=list(codes.values()), left_out=said)


def _is_in(image: AnnotatedImage, images: list[AnnotatedImage]) -> bool:
    """Whether pixels of a slide are there already, from another project."""
    (y0, x0, y1, x1) = image.area
    return bool(image.place) and any(
        other.place == image.place
        and min(y1, other.area[2]) > max(y0, other.area[0])
        and min(x1, other.area[3]) > max(x0, other.area[1])
        for other in images
    )
