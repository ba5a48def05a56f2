"""Find what is unusual on a slide: learn what is normal, look at all of it, and describe what deviates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from microscope_qc.core.errors import InputError, ModelError
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import Job, Progress, TimedProgress
from microscope_qc.core.wording import duration_text
from microscope_qc.ml.architectures.tiles import tile_grid
from microscope_qc.ml.cards import CARD_NAME, ModelCard, read_card
from microscope_qc.ml.tiling import slide_scale
from microscope_qc.project import Project
from microscope_qc.project.records import SlideRecord
from microscope_qc.workflows.child import CommandChild
from microscope_qc.workflows.detection.area import CHANGED
from microscope_qc.workflows.detection.following import POLL_SECONDS
from microscope_qc.workflows.detection.masks import stored_mask
from microscope_qc.workflows.detection.run import DetectResult, detect, require_device
from microscope_qc.workflows.intake.changes import require_unchanged_now
from microscope_qc.workflows.kept_child import Children
from microscope_qc.workflows.left_out import LeftOut
from microscope_qc.workflows.over_slides import over_slides
from microscope_qc.workflows.unusual.describing import describe_unusual
from microscope_qc.workflows.unusual.learning import model_folder_for

WARNING = (
    "What is unlike the rest is not always a defect. Defects of low contrast, such as secondary phase or large grains, "
    "are easily missed, and on battery electrodes such models point at much that is normal: for these, label some "
    "defects and learn from the labels."
)
"""What a user should know before trusting the result; the method's source reports both."""
_LOADING_S = 8.0
_PX_PER_TILE = 256


@dataclass(frozen=True, slots=True)
class Unusual:
    """What was found: the model that says what is normal, the detection, and how many findings were described."""

    model: Path
    card: ModelCard
    detection: DetectResult
    described: int

    @property
    def findings(self) -> int:
        """All findings of the detection."""
        return self.detection.findings

    @property
    def seconds(self) -> float:
        """How long the detection took, without learning."""
        return self.detection.seconds

    @property
    def status(self) -> dict[str, Any]:
        """What the detection reports of its speed."""
        return self.detection.status


def find_unusual(
    project: Project,
    slide_id: int,
    *,
    good: Sequence[int] = (),
    device: str = "auto",
    fresh: bool = False,
    learn_again: bool = True,
    first: Region | None = None,
    children: Children | None = None,
    wait_s: float = POLL_SECONDS,
    tell: Callable[[str], None] = lambda sentence: None,
) -> Job[Unusual]:
    """Find what is unlike the rest of a slide, or unlike good slides, without a single label.

    What was learned from the same pixels, scan area and known defects is not learned again, and a detection that was
    interrupted goes on: after a kill the same call continues.

    Parameters
    ----------
    good
        Slides to learn from instead of the slide itself.
    fresh, learn_again
        Look again, and learn again too unless that was just done for another slide.
    first
        What the user is looking at, in full-resolution pixels: it is looked at first.
    tell
        Called with sentences for the user: about how long it takes, before the slide is looked at.

    Raises
    ------
    InputError
        When the project is open for reading only, or the computer does not have the device.
    ModelError
        When there is too little to learn from.
    """
    if project.read_only:
        raise InputError(f"{project.name} is open for reading only.", hint="Close it elsewhere first.")
    require_device(device)
    slide = require_unchanged_now(project, project.slides.by_id(slide_id))
    learned = list(good) or [slide_id]
    folder = model_folder_for(project, learned)
    if (fresh and learn_again) or not (folder / CARD_NAME).exists():
        yield Progress(0, 0, "tiles", "learning what is normal")
        names = [project.slides.by_id(number).name for number in learned]
        chosen = [f"--slide={name}" for name in names]
        again = ["--fresh"] if fresh else []
        yield from _in_child(
            ["unusual", str(project.path), *chosen, "--learn-only", str(folder), "--device", device, *again], wait_s
        )
    card = read_card(folder)
    tell(time_words(card, slide))
    mask = stored_mask(project, slide, CHANGED)
    found = yield from detect(
        project, slide_id, folder, device=device, fresh=fresh, mask=mask, first=first, children=children,
        wait_s=wait_s,
    )  # fmt: skip
    assert card.anomaly is not None  # the task of the card demands it
    described = yield from describe_unusual(project, found.run_id, card.anomaly)
    return Unusual(folder, card, found, described)


def find_unusual_on(
    project: Project,
    slide_ids: Sequence[int],
    *,
    good: Sequence[int] = (),
    device: str = "auto",
    fresh: bool = False,
    children: Children | None = None,
    wait_s: float = POLL_SECONDS,
    tell: Callable[[str], None] = lambda sentence: None,
) -> Job[tuple[list[tuple[SlideRecord, Unusual]], list[LeftOut]]]:
    """Do it for slides, one after the other; see :func:`find_unusual`. One that fails stops no other.

    Where good slides are given it is learned from them once, and these themselves are looked at too if they are named.
    """

    def one(slide: SlideRecord) -> Job[Unusual]:
        return find_unusual(
            project, slide.id, good=good, device=device, fresh=fresh, learn_again=not good or slide == slides[0],
            children=children, wait_s=wait_s, tell=tell,
        )  # fmt: skip

    slides = [project.slides.by_id(number) for number in slide_ids]
    if len(slides) > 1:
        return (yield from over_slides(project, slides, one))
    return [(slides[0], (yield from one(slides[0])))], []


def _in_child(arguments: Sequence[str], wait_s: float) -> Job[None]:
    """Learn in a process of its own, and follow it; closing the job ends it at once: nothing of it would be of use."""
    child = CommandChild(arguments, name="unusual")
    try:
        while child.running:
            told = child.progress
            left = told.get("seconds_left")
            yield TimedProgress(
                told.get("done") or 0, told.get("total") or 0, str(told.get("unit") or ""),
                str(told.get("note") or "learning what is normal"),
                float(left) if isinstance(left, int | float) else None,
            )  # fmt: skip
            if wait_s > 0:
                child.wait(wait_s)
        if child.code != 0:
            raise ModelError(f"What is normal could not be learned: {child.last_words}")
    finally:
        child.kill()


def time_words(card: ModelCard, slide: SlideRecord) -> str:
    """``Looking at the whole slide takes about 4 min.``, from the speed at which the model looked while it learned."""
    height, width = slide.shape_px
    grid = tile_grid(card, Region(0, 0, height, width), scale=slide_scale(card.pixel_size_um, slide.pixel_size_um))
    seconds = card.training.get("seconds_per_tile")
    if not isinstance(seconds, int | float):
        return f"Looking at {slide.name}: {len(grid)} tiles."
    whole = _LOADING_S + len(grid) * float(seconds) * (card.tile_px / _PX_PER_TILE) ** 2
    return f"Looking at the whole of {slide.name} takes about {duration_text(whole)}."
