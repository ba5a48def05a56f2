"""Features of a project's slides, computed once: what learns while a user judges stands on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from microscope_qc.core.jobs import HoldOff, Job, Progress
from microscope_qc.ml.features.embedding import embed
from microscope_qc.ml.features.room import features_folder, make_room
from microscope_qc.ml.features.trunk import Trunk
from microscope_qc.project import Project
from microscope_qc.project.records import SlideRecord
from microscope_qc.slides.plane_choice import default_plane
from microscope_qc.workflows.intake.changes import require_unchanged_now
from microscope_qc.workflows.left_out import LeftOut
from microscope_qc.workflows.over_slides import over_slides
from microscope_qc.workflows.scenes import open_scene
from microscope_qc.workflows.suggestions.stores import store_of


@dataclass(frozen=True, slots=True)
class EmbeddedSlide:
    """A slide whose features are there: where, their size on the disk, and how many parts could not be read."""

    slide: SlideRecord
    folder: Path
    nbytes: int
    unread: int


@dataclass(frozen=True, slots=True)
class Embedded:
    """The slides whose features are there now, and those that were left out."""

    slides: list[EmbeddedSlide]
    left_out: list[LeftOut]


def embed_project(project: Project, *, slide_ids: Sequence[int] | None = None, device: str = "auto") -> Job[Embedded]:
    """Compute the features of slides, as far as they are not there; nothing is written into the project.

    Parameters
    ----------
    slide_ids
        None takes all slides.

    Raises
    ------
    InputError
        When the computer does not have the device.
    WriteError
        When the disk is full.
    """
    from microscope_qc.ml.devices import choose_device, use_threads

    slides = [slide for slide in project.slides if slide_ids is None or slide.id in slide_ids]
    use_threads()
    trunk = Trunk(choose_device(device))

    def one(slide: SlideRecord) -> Job[EmbeddedSlide]:
        require_unchanged_now(project, slide)
        return (yield from embed_slide(slide, trunk))

    done, left_out = yield from over_slides(project, slides, one)
    return Embedded([embedded for _, embedded in done], left_out)


def embed_slide(
    slide: SlideRecord, trunk: Trunk, *, root: Path | None = None, hold_off: HoldOff | None = None
) -> Job[EmbeddedSlide]:
    """Compute the features of a slide, as far as they are not there.

    Parameters
    ----------
    root
        Folder of all stores; None takes the user's.
    hold_off
        It waits as long as this asks for it.

    Raises
    ------
    SlideError
        When it cannot be opened.
    InputError
        When its features would take too much of the disk.
    """
    yield Progress(0, 0, "tiles", "opening the slide")
    root = features_folder() if root is None else root
    with open_scene(slide) as whole:
        plane = default_plane(whole)
        store = store_of(slide, whole, root=root)
        make_room(root, store)
        unread = yield from embed(whole.on(plane), store, trunk, hold_off=hold_off)
    return EmbeddedSlide(slide, store.folder, sum(store.grid.nbytes(place) for place in store.grid.places), unread)
