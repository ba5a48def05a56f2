"""Projects as data sets: what users confirmed, drew and rejected on whole slides."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from microscope_qc.core.boxes import ReviewState, coordinates
from microscope_qc.core.errors import MicroscopeQCError, ModelError
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.ml.datasets.records import AnnotatedImage, Dataset, LeftOutOfData
from microscope_qc.project import Project
from microscope_qc.project.records import SlideRecord
from microscope_qc.workflows.learning.dataset import trusted
from microscope_qc.workflows.scenes import open_scene

NOTHING_JUDGED = "nothing is confirmed, drawn or declared complete"
_SPECIMEN = "specimen"


def is_project(path: Path) -> bool:
    """Whether a path is a project and not annotations."""
    return path.suffix.lower() == ".mqc" and path.is_dir()


def read_project(path: Path) -> Job[Dataset]:
    """Read the slides of a project as a data set.

    Confirmed and drawn findings are truth. Rejected ones are background, and are learned from more often than other
    background. What a model found and nobody has judged is neither. The rest of a slide counts as background: where
    nobody has looked for defects it is probably that.

    Slides of one specimen are one group, so that a specimen is never learned from and measured on.

    Returns
    -------
    Job[Dataset]
        Slides on which nothing is judged, and those that cannot be opened, are among what was left out.

    Raises
    ------
    ModelError
        When nothing was confirmed or drawn.
    """
    images: list[AnnotatedImage] = []
    left_out: dict[str, str] = {}
    rejected = unreviewed = 0
    with Project.open(path, write=False) as project:
        classes = list(project.classes)
        place = {defect.id: number for number, defect in enumerate(classes)}
        for number, record in enumerate(project.slides):
            yield Progress(number, len(project.slides), "slides", record.name)
            rows = project.boxes.rows(record.id, every=True)
            if not len(trusted(rows)) and not project.areas.of(record.id):
                left_out[record.name] = NOTHING_JUDGED
                continue
            try:
                with open_scene(record) as mosaic:
                    shape = (mosaic.shape[0], mosaic.shape[1])
            except MicroscopeQCError as error:
                left_out[record.name] = error.message.removesuffix(".")
                continue
            if shape != record.shape_px:
                left_out[record.name] = "is no longer the slide that was reviewed"
                continue
            image = _image(record, rows, place)
            images.append(image)
            rejected += len(image.hard_boxes)
            unreviewed += len(image.open_boxes)
    if not sum(len(image.boxes) for image in images):
        raise ModelError(
            f"Nothing in {path.stem} is confirmed or drawn.",
            hint="Confirm findings in the gallery, or draw some boxes.",
        )
    return Dataset(
        [defect.code for defect in classes], images, [defect.name for defect in classes],
        LeftOutOfData(pictures=left_out, rejected=rejected, unreviewed=unreviewed),
    )  # fmt: skip


def _image(record: SlideRecord, rows: np.ndarray, place: dict[int, int]) -> AnnotatedImage:
    truth = trusted(rows)
    known = np.isin(truth["class_id"], list(place))
    said_no = rows["state"] == ReviewState.REJECTED
    true_ids = set(truth["id"][known].tolist())
    waiting = ~said_no & ~np.isin(rows["id"], list(true_ids))
    height, width = record.shape_px
    sides = [0, 0, height, width]
    return AnnotatedImage(
        path=record.path,
        shape=record.shape_px,
        boxes=np.clip(coordinates(truth[known]), 0, sides[2:] * 2),
        labels=np.array([place[int(number)] for number in truth["class_id"][known]], np.int64),
        pixel_size_um=record.pixel_size_um,
        open_boxes=coordinates(rows[waiting]),
        hard_boxes=coordinates(rows[said_no]),
        group=_group(record),
        scene=record.scene,
        orientation=record.orientation,
    )


def _group(record: SlideRecord) -> str:
    specimen = str(record.fields.get(_SPECIMEN, "") or "").strip()
    return f"specimen {specimen}" if specimen else f"slide {record.content or record.fingerprint} {record.scene or ''}"


def joined(datasets: list[Dataset]) -> Dataset:
    """Several data sets as one; classes of the same code are the same."""
    codes: dict[str, str] = {}
    for data in datasets:
        for code, name in zip(data.classes, data.names, strict=True):
            codes.setdefault(code, name)
    images = [image for data in datasets for image in data.with_classes(list(codes)).images]
    said = LeftOutOfData.joined([data.left_out for data in datasets])
    return replace(datasets[0], classes=list(codes), images=images, names=list(codes.values()), left_out=said)
