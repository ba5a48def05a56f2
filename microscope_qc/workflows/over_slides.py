"""A task over many slides as one job: one line of progress, and a slide that fails stops no other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.files import WriteError
from microscope_qc.core.jobs import Job, Progress, retold
from microscope_qc.core.wording import count_text
from microscope_qc.project import Project
from microscope_qc.project.records import SlideRecord
from microscope_qc.workflows.left_out import LeftOut

T = TypeVar("T")


def over_slides(
    project: Project, slides: Sequence[SlideRecord], work: Callable[[SlideRecord], Job[T]]
) -> Job[tuple[list[tuple[SlideRecord, T]], list[LeftOut]]]:
    """Do a task for each slide.

    Parameters
    ----------
    work
        Makes the job of one slide.

    Returns
    -------
    Job[(list of (SlideRecord, T), list of LeftOut)]
        The slides that were done with the results, and those that were not with the reasons.

    Raises
    ------
    WriteError
        When something cannot be written: the disk is the same for all slides.
    """
    done: list[tuple[SlideRecord, T]] = []
    left_out: list[LeftOut] = []
    for number, slide in enumerate(slides):
        place = f"slide {count_text(number + 1)} of {count_text(len(slides))}: {slide.name}"
        yield Progress(number, len(slides), "slides", place)

        def tell(step: Progress, number: int = number, place: str = place) -> Progress:
            return Progress(number + step.fraction, len(slides), "slides", place)

        try:
            done.append((slide, (yield from retold(work(slide), tell))))
        except WriteError:
            raise
        except MicroscopeQCError as error:
            left_out.append(LeftOut(project.path, slide.name, error))
    yield Progress(len(slides), len(slides), "slides")
    return done, left_out
