"""The sample that comes with the program: a drawn slide, and what the bundled detector found on it.

Drawing such a slide and detecting takes half a minute of two processor cores and more where the program was just
started. Its picture and the folder of a finished detection are unpacked in a second or two instead.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from microscope_qc.core.files import atomic_write
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.core.resources import resource
from microscope_qc.project import Project
from microscope_qc.project.runs.journal import JOURNAL_NAME, STATUS_NAME
from microscope_qc.project.runs.mask_files import MASK_CARD_NAME
from microscope_qc.project.runs.plan import RunPlan, read_plan
from microscope_qc.slides.pyramid.write import write_ome_zarr
from microscope_qc.workflows.detection.intake import RunIntake
from microscope_qc.workflows.samples.synth import truth_path

FOLDER, PICTURE_NAME, TRUTH_NAME, RUN_NAME = "sample", "slide.jpg", "truth.json", "run"
RUN_FILES = (JOURNAL_NAME, STATUS_NAME, MASK_CARD_NAME)
"""What a detection leaves in its folder, beside its plan."""
SLIDE_NAME, PROJECT_NAME = "sample.ome.zarr", "sample.mqc"
_UNFINISHED_NAME = "unfinished.mqc"


def ready_sample(out: Path) -> Job[Path]:
    """Unpack the sample into the folder ``out``; return the path of its project.

    A project that is there already is returned unchanged.

    Raises
    ------
    InputError
        When the sample is missing from the installation.
    WriteError
        When the disk is full or read-only.
    """
    source = resource(FOLDER)
    plan = read_plan(source / RUN_NAME)
    out = Path(out)
    slide, project_path = out / SLIDE_NAME, out / PROJECT_NAME
    if project_path.exists():
        return project_path
    pixel_size_um = None if plan.slide is None else plan.slide.pixel_size_um
    yield from write_picture(source / PICTURE_NAME, slide, pixel_size_um=pixel_size_um)
    atomic_write(truth_path(slide), (source / TRUTH_NAME).read_bytes())
    yield Progress(0, 0, "", "Making the project")
    unfinished = out / _UNFINISHED_NAME  # a project without its findings is never taken for the sample
    shutil.rmtree(unfinished, ignore_errors=True)
    with Project.create(unfinished, slides=[slide]) as project:
        _take_in(project, plan, source / RUN_NAME)
    unfinished.rename(project_path)
    return project_path


def write_picture(picture: Path, slide: Path, *, pixel_size_um: tuple[float, float] | None) -> Job[Path]:
    """Write an RGB picture as an OME-Zarr; what is there is replaced."""
    import numpy as np
    from PIL import Image

    yield Progress(0, 0, "tiles", "Reading the picture")
    with Image.open(picture) as file:
        pixels = np.asarray(file.convert("RGB"))
    return (
        yield from write_ome_zarr(
            slide,
            shape=(pixels.shape[0], pixels.shape[1]),
            dtype="uint8",
            rgb=True,
            read=lambda region: pixels[region.y0 : region.y1, region.x0 : region.x1],
            pixel_size_um=pixel_size_um,
            name=slide.name.removesuffix(".ome.zarr"),
        )
    )


def _take_in(project: Project, plan: RunPlan, folder: Path) -> None:
    """Take in the findings of a run that was made elsewhere."""
    run = project.runs.start(project.slides[0].id, plan)
    for name in RUN_FILES:
        atomic_write(run.folder / name, (folder / name).read_bytes())
    RunIntake(project, run).finish("finished")
