"""The drive sheet: pictures and stage positions of the chosen findings."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np

from microscope_qc import __version__
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.core.wording import extent_text, metric_text, things
from microscope_qc.correlation.coordinates import PER_MM, alignment_facts
from microscope_qc.correlation.targets import Target, TargetList
from microscope_qc.project.records import SlideRecord
from microscope_qc.reports.crops import jpeg, place_crop
from microscope_qc.reports.drive_sheet import SheetContent, SheetPlace, write_drive_sheet
from microscope_qc.slides import Mosaic
from microscope_qc.workflows.scenes import open_scene


def write_sheet(record: SlideRecord, targets: TargetList, path: Path | str, *, unit: str = "mm") -> Job[Path]:
    """Cut the pictures and write the sheet as HTML."""
    fitted = targets.registration
    total = fitted.n + len(targets.targets)
    marks: list[SheetPlace] = []
    findings: list[SheetPlace] = []
    with open_scene(record) as mosaic:
        for number in range(fitted.n):
            yield Progress(number, total, "places", "marks")
            marks.append(_mark(mosaic, targets, number, unit))
        for number, target in enumerate(targets.targets):
            yield Progress(fitted.n + number, total, "places", "findings")
            findings.append(_finding(mosaic, target, fitted.pixel_size_um, unit))
    content = SheetContent(
        title=f"{record.name}: {things(len(findings), 'finding')} to visit",
        subtitle=f"Alignment {targets.registration_name}, stage positions in {unit}, {datetime.now():%Y-%m-%d %H:%M}",
        unit=unit,
        facts=tuple((name, str(value)) for name, value in alignment_facts(targets) if name != "Note"),
        warnings=fitted.warnings,
        marks=tuple(marks),
        findings=tuple(findings),
        software=f"microscope-qc {__version__}",
    )
    return write_drive_sheet(path, content)


def _stage(value_mm: float, unit: str) -> str:
    return f"{value_mm * PER_MM[unit]:.{4 if unit == 'mm' else 1}f}"


def _width_words(shown_px: float, pixel_um: float) -> str:
    return f"{metric_text(shown_px * pixel_um)} wide"


def _mark(mosaic: Mosaic, targets: TargetList, number: int, unit: str) -> SheetPlace:
    fitted = targets.registration
    y, x = (float(v) for v in fitted.marks_px[number])
    pixel_um = fitted.pixel_size_um[1]
    pictures = []
    for shown_um in (1200.0, 150.0):
        shown = min(shown_um / pixel_um, max(mosaic.shape))
        pictures.append((jpeg(place_crop(mosaic, (y, x), shown, colour="#F0E442")), _width_words(shown, pixel_um)))
    facts = [f"residual {fitted.residuals_um[number]:.1f} µm"]
    if np.isfinite(fitted.loo_um[number]):
        facts.append(f"{fitted.loo_um[number]:.1f} µm when left out")
    return SheetPlace(
        label=fitted.names[number],
        title="mark",
        colour="#F0E442",
        x=_stage(float(fitted.stage_mm[number, 0]), unit),
        y=_stage(float(fitted.stage_mm[number, 1]), unit),
        facts=tuple(facts),
        pictures=tuple(pictures),
    )


def _finding(mosaic: Mosaic, target: Target, pixel_size_um: tuple[float, float], unit: str) -> SheetPlace:
    pixel_um = pixel_size_um[1]
    longest = max(target.height_px, target.width_px)
    radius = None if target.r95_um is None else target.r95_um / pixel_um
    zoomed = max(longest * 2.2, 48.0, 0.0 if radius is None else radius * 2.6)
    context = min(max(zoomed * 8, 1200.0 / pixel_um), max(mosaic.shape))
    pictures = [
        (
            jpeg(
                place_crop(
                    mosaic,
                    (target.y_px, target.x_px),
                    shown,
                    box_px=(target.height_px, target.width_px),
                    radius_px=radius,
                    colour=target.colour,
                )
            ),
            _width_words(shown, pixel_um),
        )
        for shown in (context, zoomed)
    ]
    error = "expected error not estimable" if target.r95_um is None else f"± {metric_text(target.r95_um)} (95 %)"
    facts = [error, extent_text(target.height_um, target.width_um, (1.0, 1.0))]
    if target.field_um is not None:
        facts.append(f"field of view {metric_text(target.field_um)}")
    return SheetPlace(
        label=str(target.finding_id),
        title=f"{target.class_code} {target.class_name}",
        colour=target.colour,
        x=_stage(target.stage_x_mm, unit),
        y=_stage(target.stage_y_mm, unit),
        facts=tuple([*facts, target.note] if target.note else facts),
        pictures=tuple(pictures),
        warning="outside the marks: the error grows quickly there" if target.outside_marks else "",
    )
