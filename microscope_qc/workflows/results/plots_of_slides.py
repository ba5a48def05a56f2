"""Findings where they lie on the slides, and what users found beside what models did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from microscope_qc.analysis.pace import PAUSE_S, working_seconds
from microscope_qc.analysis.ranking import size_um
from microscope_qc.core.arrays import Ints
from microscope_qc.core.boxes import FindingFlag, has_flag
from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.geometry import Region
from microscope_qc.core.wording import count_text, duration_text, significant_text, things
from microscope_qc.project.records import SlideRecord
from microscope_qc.reports.charts import COLOURS
from microscope_qc.reports.plot_values import Panel, Plot, PlotMark, Series, Shape
from microscope_qc.workflows.results.counted_findings import CountedFindings, FoundOnSlide
from microscope_qc.workflows.results.grouping import PROJECT, SLIDE
from microscope_qc.workflows.results.plot_parts import (
    NOTHING_FOUND,
    PlotChoice,
    PlotClasses,
    field_named,
    members_by,
    wanted_classes,
)
from microscope_qc.workflows.scenes import open_scene

MOST_PANELS = 12
"""More slides beside each other are too small to see something on them: those with the most findings are drawn."""
MOST_DOTS = 20_000
PICTURE_PX = 900
BY_HAND = "drawn by hand"


# -- places ------------------------------------------------------------------------------------------------------------


def places(found: CountedFindings, choice: PlotChoice) -> Plot:
    """A dot for each finding on a picture of its slide, in the colour of its class."""
    wanted = wanted_classes(found, choice.of)
    title = f"Where {wanted.words} {'lie' if not choice.of else 'lies'}"
    with_some = [slide for slide in found.slides if wanted.of(slide).any()]
    if not with_some:
        return Plot("places", title, Shape.PLACES, why_not=NOTHING_FOUND)
    notes = []
    most = sorted(with_some, key=lambda slide: -int(wanted.of(slide).sum()))[:MOST_PANELS]
    shown = [slide for slide in with_some if any(slide is one for one in most)]
    if len(shown) < len(with_some):
        notes.append(f"The {MOST_PANELS} slides with the most findings of {count_text(len(with_some))}.")
    drawn = _largest(shown, wanted)
    every = sum(int(wanted.of(slide).sum()) for slide in shown)
    if sum(map(len, drawn)) < every:
        notes.append(f"The {count_text(MOST_DOTS)} largest of {things(every, 'finding')}.")
    in_mm = all(slide.record.pixel_size_um is not None for slide in shown)
    marks: dict[int, list[PlotMark]] = {}
    for panel, (slide, rows) in enumerate(zip(shown, drawn, strict=True)):
        for place, mark in _dots(found, slide, rows, panel, in_mm=in_mm):
            marks.setdefault(place, []).append(mark)
    book = found.known.book
    series = [
        Series(f"{book.classes[place].code} {book.classes[place].name}".strip(), book.classes[place].colour, mine)
        for place, mine in sorted(marks.items())
    ]
    unit = "mm" if in_mm else "px"
    panels = [_panel(slide, in_mm=in_mm) for slide in shown]
    return Plot("places", title, Shape.PLACES, f"x_{unit}", f"y_{unit}", series, notes=notes, panels=panels)


def _largest(slides: Sequence[FoundOnSlide], wanted: PlotClasses) -> list[Ints]:
    """Rows of each slide that are drawn."""
    chosen: list[Ints] = [np.flatnonzero(wanted.of(slide)) for slide in slides]
    if sum(map(len, chosen)) <= MOST_DOTS:
        return chosen
    sizes = [
        size_um(slide.rows[rows], slide.record.pixel_size_um or (1.0, 1.0))
        for slide, rows in zip(slides, chosen, strict=True)
    ]
    least = np.sort(np.concatenate(sizes))[-MOST_DOTS]
    return [rows[size >= least] for rows, size in zip(chosen, sizes, strict=True)]


def _dots(
    found: CountedFindings, slide: FoundOnSlide, rows: Ints, panel: int, *, in_mm: bool
) -> list[tuple[int, PlotMark]]:
    size_y, size_x = (side / 1000 for side in _sides(slide.record)) if in_mm else (1.0, 1.0)
    name, classes = slide.slide.section.name, found.known.book.classes
    known = slide.rows[rows]
    x, y = (known["x0"] + known["x1"]) / 2 * size_x, (known["y0"] + known["y1"]) / 2 * size_y
    marks = []
    for number, at_x, at_y, place in zip(
        known["id"].tolist(), x.tolist(), y.tolist(), slide.places[rows].tolist(), strict=True
    ):
        tip = f"{name}: {classes[place].code} {number}"
        marks.append((place, PlotMark(name, at_x, at_y, np.array([number]), tip=tip, panel=panel)))
    return marks


def _sides(record: SlideRecord) -> tuple[float, float]:
    return record.pixel_size_um or (1.0, 1.0)


def _panel(slide: FoundOnSlide, *, in_mm: bool) -> Panel:
    record = slide.record
    size_y, size_x = (side / 1000 for side in _sides(record)) if in_mm else (1.0, 1.0)
    extent = record.shape_px[0] * size_y, record.shape_px[1] * size_x
    return Panel(slide.slide.section.name, extent, slide_picture(record))


def slide_picture(record: SlideRecord) -> np.ndarray | None:
    """The whole slide in little more than the pixels of a plot, RGB; None where it cannot be read."""
    key = record.path, record.scene, record.fingerprint, record.orientation
    return _picture(_SlideFile(key, record))


@dataclass(frozen=True, slots=True)
class _SlideFile:
    """A slide by what its picture depends on."""

    key: tuple[Any, ...]
    record: SlideRecord = field(compare=False)


@lru_cache(maxsize=2 * MOST_PANELS)
def _picture(of: _SlideFile) -> np.ndarray | None:
    """The whole slide, None where it cannot be read; kept, as a plot is drawn again after each judgement."""
    try:
        with open_scene(of.record) as mosaic:
            height, width = mosaic.shape
            factor = min(1.0, PICTURE_PX / max(height, width))
            shape = max(1, round(height * factor)), max(1, round(width * factor))
            picture: np.ndarray = mosaic.read_scaled(Region(0, 0, height, width), shape)
            return picture
    except MicroscopeQCError:
        return None


# -- by hand and by model ----------------------------------------------------------------------------------------------


def by_hand(found: CountedFindings, choice: PlotChoice) -> Plot:
    """What users drew beside what detectors found, with the time that both took."""
    wanted = wanted_classes(found, choice.of)
    title = f"{wanted.words[:1].upper()}{wanted.words[1:]}, drawn by hand and found by models"
    finders = list(choice.detectors) or found.detectors[:2]
    drawn = {id(slide): _drawn(slide, wanted) for slide in found.slides}
    if not any(map(len, drawn.values())):
        why_not = "No user drew findings of this on these slides: draw what you see before a model looks."
        return Plot("by-hand", title, Shape.BESIDE, why_not=why_not)
    members, notes = members_by(found, choice.by), []
    hand, seconds = [], []
    for place, (name, slides) in enumerate(members.items()):
        took = _added([working_seconds(slide.drawn_at_s) for slide in slides if len(drawn[id(slide)])])
        ids = np.concatenate([drawn[id(slide)] for slide in slides])
        hand.append(_bar(name, place, ids, BY_HAND, took))
        seconds.append(took)
    series = [Series(BY_HAND, COLOURS[0], hand)]
    notes.append(_pace(BY_HAND, hand, seconds))
    every = np.concatenate(list(drawn.values()))
    for number, finder in enumerate(finders, start=1):
        bars, times = _of_finder(members, wanted, finder)
        series.append(Series(finder, COLOURS[number], bars))
        both = int(np.isin(every, np.concatenate([np.zeros(0, np.int64), *(bar.findings for bar in bars)])).sum())
        notes += [_pace(finder, bars, times), f"Found by both: {count_text(both)}."]
    notes.append(
        "By hand is what was drawn or imported; its time is that between steps of drawing, without pauses of more than "
        f"{PAUSE_S / 60:.0f} minutes. Models: as they found them, before the review."
    )
    x = {SLIDE: "cross-section", PROJECT: "project"}.get(choice.by) or field_named(found, choice.by).heading
    return Plot("by-hand", title, Shape.BESIDE, x, "findings", series, list(members), notes=notes)


def _drawn(slide: FoundOnSlide, wanted: PlotClasses) -> Ints:
    numbers: Ints = slide.rows["id"][wanted.of(slide) & has_flag(slide.rows, FindingFlag.DRAWN)]
    return numbers


def _of_finder(
    members: Mapping[str, Sequence[FoundOnSlide]], wanted: PlotClasses, finder: str
) -> tuple[list[PlotMark], list[float | None]]:
    bars, times = [], []
    for place, (name, slides) in enumerate(members.items()):
        looked = [slide for slide in slides if finder in slide.by_detector]
        if looked:  # where it has not looked there is no zero
            ids = [one[0][np.isin(one[1], wanted.places)] for one in (slide.by_detector[finder] for slide in looked)]
            took = _added([slide.seconds_by_detector.get(finder) for slide in looked])
            bars.append(_bar(name, place, np.concatenate(ids), finder, took))
            times.append(took)
    return bars, times


def _added(seconds: Sequence[float | None]) -> float | None:
    """The sum; None where a part of it is not known."""
    known = [one for one in seconds if one is not None]
    return sum(known) if known and len(known) == len(seconds) else None


def _bar(name: str, place: int, ids: Ints, finder: str, seconds: float | None) -> PlotMark:
    took = "time not known" if seconds is None else duration_text(seconds)
    tip = f"{name}, {finder}: {things(len(ids), 'finding')}, {took}"
    return PlotMark(name, place, len(ids), ids, tip=tip, label="" if seconds is None else took)


def _pace(finder: str, bars: Sequence[PlotMark], seconds: Sequence[float | None]) -> str:
    count = sum(len(bar.findings) for bar in bars)
    took = _added([one for bar, one in zip(bars, seconds, strict=True) if one is not None or len(bar.findings)])
    said = f"{finder[:1].upper()}{finder[1:]}: {things(count, 'finding')}"
    if not took:
        return f"{said}, time not known."
    return f"{said} in {duration_text(took)}, {significant_text(60 * count / took)} per minute."
