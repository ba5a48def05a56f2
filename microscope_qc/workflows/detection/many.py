"""One detection over many slides of a project: one child process, one line of progress, and what failed at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from microscope_qc.core.errors import InputError, MicroscopeQCError
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import Job
from microscope_qc.ml.architectures.tiles import tile_grid
from microscope_qc.ml.cards import ModelCard
from microscope_qc.ml.tiling import slide_scale
from microscope_qc.project import Project
from microscope_qc.project.records import RunRecord, SlideRecord
from microscope_qc.slides.plane import Plane
from microscope_qc.workflows.detection.area import CHANGED, ScanArea, chosen_scan_area
from microscope_qc.workflows.detection.following import POLL_SECONDS, DetectionFailed, Following, Start
from microscope_qc.workflows.detection.run import (
    ChosenModel,
    DetectResult,
    chosen_model,
    prepare_run,
    require_device,
    result_of,
)
from microscope_qc.workflows.kept_child import Children
from microscope_qc.workflows.left_out import LeftOut

AreaOf = Callable[[SlideRecord], ScanArea]
PlaneOf = Callable[[SlideRecord], Plane | None]


@dataclass(frozen=True, slots=True)
class SlideDetected:
    """A slide that was scanned, where, and what was found."""

    slide: SlideRecord
    area: ScanArea
    result: DetectResult


@dataclass(frozen=True, slots=True)
class ManyDetected:
    """What a detection over many slides did.

    ``left_out`` are those that could not be scanned, each with the reason; all others are in ``slides``.
    """

    slides: list[SlideDetected] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def findings(self) -> int:
        """Findings of all runs, with the weaker ones."""
        return sum(one.result.findings for one in self.slides)

    @property
    def shown(self) -> int:
        """Those of them that count."""
        return sum(one.result.shown for one in self.slides)

    @property
    def tiles(self) -> int:
        """Tiles of all runs."""
        return sum(one.result.tiles for one in self.slides)

    @property
    def damaged_tiles(self) -> int:
        """Tiles that could not be read."""
        return sum(one.result.damaged_tiles for one in self.slides)

    @property
    def failed(self) -> list[LeftOut]:
        """Those that were left out though the user did not want it."""
        return [left for left in self.left_out if not left.wanted]


def detect_many(
    project: Project,
    model: str | ChosenModel,
    *,
    slide_ids: Sequence[int] | None = None,
    area_of: AreaOf | None = None,
    region: Region | None = None,
    device: str = "auto",
    fresh: bool = False,
    everything: bool = False,
    plane_of: PlaneOf = lambda slide: None,
    first: Mapping[int, Region] | None = None,
    children: Children | None = None,
    wait_s: float = POLL_SECONDS,
) -> Job[ManyDetected]:
    """Find defects on slides of a project.

    A slide that cannot be scanned is left out, and the others are done. What was interrupted is continued, what is
    finished is not repeated (unless ``fresh``).

    Parameters
    ----------
    slide_ids
        In this order; None takes all slides of the project.
    area_of
        Says where to scan each slide; None takes the mask that is stored with the project, if there is one.
    region
        Part of every slide in full-resolution pixels.
    plane_of
        Says which picture of a stack and which channels are looked at; None where nothing was chosen.
    first
        Parts of slides that come first, by the number of the slide: what the user is looking at.
    wait_s, children
        See :class:`microscope_qc.workflows.detection.following.Following`.

    Raises
    ------
    InputError
        When there is no slide, or the computer does not have the device.
    ModelError
        When the model cannot be used.
    DetectionFailed
        When nothing can be scanned any more; what was found before is kept.
    """
    began = time.monotonic()
    require_device(device)
    chosen = yield from chosen_model(model, wait_s)
    slides, seen = _slides_of(project, slide_ids), first or {}
    done = ManyDetected()
    areas: dict[int, ScanArea] = {}

    def stored(slide: SlideRecord) -> ScanArea:
        return chosen_scan_area(project, slide, kind=None if everything else CHANGED, region=region)

    def begin(number: int) -> RunRecord:
        areas[number] = area = (area_of or stored)(slides[number])
        return prepare_run(
            project, number, chosen, region=region, device=device, fresh=fresh, everything=everything, mask=area.mask,
            plane=plane_of(slides[number]),
        )  # fmt: skip

    def take(start: Start, run: RunRecord, since: float, computed: bool) -> None:
        result = result_of(project, run.id, since, computed=computed)
        done.slides.append(SlideDetected(slides[start.slide_id], areas[start.slide_id], result))

    def leave(start: Start, error: MicroscopeQCError) -> None:
        # in a list of slides the reason alone: that what was found is kept holds for all of them
        known = MicroscopeQCError(error.reason) if isinstance(error, DetectionFailed) else error
        done.left_out.append(LeftOut(project.path, start.name, known))

    starts = [
        Start(slide.id, slide.name, tiles_of(chosen.card, slide, region), partial(begin, slide.id), seen.get(slide.id))
        for slide in slides.values()
    ]
    yield from Following(project, starts, done=take, failed=leave, wait_s=wait_s, children=children).job()
    return ManyDetected(done.slides, done.left_out, time.monotonic() - began)


def _slides_of(project: Project, slide_ids: Sequence[int] | None) -> dict[int, SlideRecord]:
    """Slides by their numbers, in this order; None is all of them."""
    numbers = [slide.id for slide in project.slides] if slide_ids is None else list(slide_ids)
    if not numbers:
        raise InputError(f"There is no slide in {project.name} yet.", hint="Add one first.")
    return {number: project.slides.by_id(number) for number in numbers}


def tiles_of(card: ModelCard, slide: SlideRecord, region: Region | None = None) -> int:
    """Tiles in which a model scans a slide; 0 where that is not known or there are none."""
    try:
        if card.pixel_size_um is not None and slide.pixel_size_um is None:
            return 0
        area = Region(0, 0, *slide.shape_px)
        area = area if region is None else region.clip(slide.shape_px)
        scale = slide_scale(card.pixel_size_um, slide.pixel_size_um)
        return 0 if area.empty else len(tile_grid(card, area, scale=scale))
    except MicroscopeQCError:
        return 0
