"""The largest size that is expected on a larger area: what the largest findings of sections or fields say of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from microscope_qc.analysis.largest import LEAST_AREAS, largest_expected
from microscope_qc.core.errors import InputError
from microscope_qc.core.numbers import short_text
from microscope_qc.core.opinions import class_is_users
from microscope_qc.core.wording import plural, significant_text, things
from microscope_qc.reports.charts import COLOURS
from microscope_qc.reports.plot_values import Plot, PlotMark, Series, Shape
from microscope_qc.workflows.results.counted_findings import CountedFindings
from microscope_qc.workflows.results.grouping_text import text_table
from microscope_qc.workflows.results.plot_parts import NOTHING_FOUND, PlotChoice, wanted_classes
from microscope_qc.workflows.results.where import NO_AREA, Placed, placed_on

_E2283_SPECIMENS, _E2283_PLANES, _E2283_MM2, _E2283_WITHIN = 6, 4, 150.0, 0.02
_CELLS = 16
"""Cells along the side of a field: the searched part of it is counted in them."""
_MOST_CELLS = 4096
_MOST_EMPTY = 0.5
"""Where more of the areas are empty the largest of the others do not follow Gumbel's distribution."""
_WHOLE = 0.5
"""A field counts of which so much was searched."""
E2283, GUMBEL = "ASTM E2283", "Gumbel, not E2283"


@dataclass(frozen=True, slots=True)
class SearchedArea:
    """A section or a field of one, with its largest finding; ``largest_um`` is None where there is none."""

    project: str
    slide: str
    specimen: str
    area_mm2: float
    largest_um: float | None = None
    finding: int | None = None
    judged: bool = False


def largest_found(
    found: CountedFindings, of: str = "", *, in_mm2: float | None = None, fields_mm2: float | None = None
) -> dict[str, Any]:
    """Estimate the largest size on a larger area from the largest finding of each section, or of each field.

    Parameters
    ----------
    of
        Code of a class or name of a class group; "" takes all.
    in_mm2
        The larger area; None takes 1,000 times the mean of those that were searched.
    fields_mm2
        Sections are cut into squares of this area; None takes each section as one area.

    Returns
    -------
    dict
        ``of``, ``reason`` (why nothing can be said, None otherwise), ``design`` (:data:`E2283` or :data:`GUMBEL`),
        ``why`` (what the standard has otherwise), ``expected_um``, ``interval`` (its upper limit None where there is
        none), ``error_um``, ``location_um``, ``scale_um``, ``area_mm2``, ``in_mm2``, ``fields_mm2``, ``areas``,
        ``empty``, ``unjudged`` (how many of the largest nobody judged) and ``each`` (the areas with their largest).

    Raises
    ------
    InputError
        When there is no such class, or ``in_mm2`` is not larger than the areas.
    """
    wanted = wanted_classes(found, of)
    placed = placed_on(found, wanted)
    sizes = np.concatenate([np.zeros(0), *(one.sizes_um for one in placed)])
    if fields_mm2 is None:
        areas = [_section(one, one.slide.slide.section.tally.searched[wanted.key].area_mm2 or 0.0) for one in placed]
    else:
        areas = [area for one in placed for area in _fields(one, fields_mm2)]
    areas = [area for area in areas if area.area_mm2 > 0]
    largest = np.array([math.nan if area.largest_um is None else area.largest_um for area in areas])
    known = largest[~np.isnan(largest)]
    made: dict[str, Any] = {
        "of": of or "all", "reason": None, "fields_mm2": fields_mm2, "areas": len(areas),
        "empty": len(areas) - len(known), "each": [asdict(area) for area in areas],
        "unjudged": sum(area.finding is not None and not area.judged for area in areas),
    }  # fmt: skip
    made |= dict.fromkeys(
        ("design", "why", "expected_um", "interval", "error_um", "location_um", "scale_um", "area_mm2", "in_mm2")
    )
    what = "field" if fields_mm2 else "section"
    if not areas:
        there = any(wanted.of(slide).any() for slide in found.slides)
        return made | {"reason": NO_AREA if there else NOTHING_FOUND}
    if len(known) < LEAST_AREAS:
        more = "" if fields_mm2 else ", or sections cut into fields"
        reason = (
            f"{things(len(known), what)} with a finding {plural(len(known), 'says', 'say')} nothing of the largest: "
            f"{LEAST_AREAS} are needed{more}."
        )
        return made | {"reason": reason}
    if len(areas) - len(known) > _MOST_EMPTY * len(areas):
        reason = (
            f"In {len(areas) - len(known)} of {things(len(areas), what)} nothing was found: the largest of so few say "
            "nothing. Take larger fields, or whole sections."
        )
        return made | {"reason": reason}
    if len(np.unique(known)) < 3:
        return made | {"reason": f"The largest findings of these {what}s are alike: their spread is not known."}
    searched = np.array([area.area_mm2 for area in areas])
    if in_mm2 is not None and in_mm2 < 2 * searched.mean():
        raise InputError(
            f"{significant_text(in_mm2)} mm2 is not larger than the areas that were searched.",
            hint=f"They have {significant_text(float(searched.mean()))} mm2 each: give twice as much, or more.",
        )
    fitted = largest_expected(largest, searched, below_um=float(sizes.min()), in_mm2=in_mm2)
    low, high = fitted.interval
    why = why_not_e2283(areas, fields_mm2)
    return made | {
        "design": GUMBEL if why else E2283, "why": why, "expected_um": fitted.expected_um,
        "interval": [low, high if math.isfinite(high) else None], "error_um": fitted.error_um,
        "location_um": fitted.location_um, "scale_um": fitted.scale_um, "area_mm2": fitted.area_mm2,
        "in_mm2": fitted.in_mm2,
    }  # fmt: skip


def _section(one: Placed, area_mm2: float) -> SearchedArea:
    return _with_largest(one, area_mm2, np.arange(len(one.ids)))


def _with_largest(one: Placed, area_mm2: float, mine: np.ndarray) -> SearchedArea:
    section = one.slide.slide.section
    where = one.slide.slide.project, section.name, section.specimen
    if not len(mine):
        return SearchedArea(*where, area_mm2)
    place = int(mine[np.argmax(one.sizes_um[mine])])
    at = np.searchsorted(one.slide.rows["id"], one.ids[place : place + 1])
    judged = bool(class_is_users(one.slide.rows[at])[0])
    return SearchedArea(*where, area_mm2, float(one.sizes_um[place]), int(one.ids[place]), judged)


def _fields(one: Placed, fields_mm2: float) -> Iterator[SearchedArea]:
    """Squares of a section of which half or more was searched."""
    side_um = 1000 * math.sqrt(fields_mm2)
    if max(one.shape_um) / side_um * _CELLS > _MOST_CELLS:
        raise InputError(
            f"Fields of {significant_text(fields_mm2)} mm2 are too small for {one.slide.slide.section.name}.",
            hint=f"Take {significant_text((max(one.shape_um) * _CELLS / _MOST_CELLS / 1000) ** 2, 2)} mm2 or more.",
        )
    window = one.window(side_um / _CELLS)
    rows, columns = window.share.shape
    high, wide = -(-rows // _CELLS), -(-columns // _CELLS)
    padded = np.zeros((high * _CELLS, wide * _CELLS))
    padded[:rows, :columns] = window.share
    areas = padded.reshape(high, _CELLS, wide, _CELLS).sum(axis=(1, 3)).ravel() * window.cell_um**2 / 1e6
    y, x = np.divmod(window.cells, columns)
    field = y // _CELLS * wide + x // _CELLS
    for number in np.flatnonzero(areas >= _WHOLE * fields_mm2).tolist():
        yield _with_largest(one, float(areas[number]), np.flatnonzero(field == number))


def why_not_e2283(areas: Sequence[SearchedArea], fields_mm2: float | None) -> str | None:
    """What is not as ASTM E2283 has it; None where its design holds."""
    asked = (
        f"it wants {_E2283_PLANES * _E2283_SPECIMENS} areas of {_E2283_MM2:.0f} mm2, {_E2283_PLANES} planes of each of "
        f"{_E2283_SPECIMENS} specimens"
    )
    if fields_mm2 is not None:
        return f"{asked}, not fields of a section"
    planes: dict[str, int] = {}
    for area in areas:
        planes[area.specimen] = planes.get(area.specimen, 0) + 1
    sizes = [area.area_mm2 for area in areas]
    if (
        "" in planes
        or list(planes.values()) != [_E2283_PLANES] * _E2283_SPECIMENS
        or any(abs(size / _E2283_MM2 - 1) > _E2283_WITHIN for size in sizes)
    ):
        named = len(planes.keys() - {""})
        low, high = significant_text(min(sizes)), significant_text(max(sizes))
        between = f"{low} mm2" if low == high else f"{low} to {high} mm2"
        return f"{asked}; here are {things(len(areas), 'area')} of {between}, of {things(named, 'named specimen')}"
    return None


def largest_words(found: Mapping[str, Any]) -> str:
    """Say in a sentence what size is expected, or why nothing can be said."""
    if found["reason"]:
        return str(found["reason"])
    low, high = found["interval"]
    limits = f"{significant_text(low)} to {'no limit' if high is None else significant_text(high)} um"
    what = "field" if found["fields_mm2"] else "section"
    return (
        f"On {significant_text(found['in_mm2'])} mm2 one finding longer than {significant_text(found['expected_um'])} "
        f"um is expected (95 %: {limits}), from the largest of {things(found['areas'], what)} of "
        f"{significant_text(found['area_mm2'])} mm2 on average ({found['design']})."
    )


def _remarks(found: Mapping[str, Any]) -> Iterator[str]:
    if found["why"]:
        yield f"Not by ASTM E2283: {found['why']}."
    elif found["design"] == E2283:
        yield "The standard measures the largest Feret diameter; here it is the longer side of the box."
    if found["empty"]:
        yield f"In {found['empty']} of them nothing was found: the largest there is below the smallest that was found."
    if found["unjudged"]:
        yield f"{found['unjudged']} of the largest were not judged: one that is no defect would change the result."
    if found["fields_mm2"]:
        yield "Fields of the same section are not independent: the interval does not hold the spread between sections."
    yield "Where the dots of the plot do not lie along its line the distribution is another one, and so is the result."
    yield "Sizes are those seen in the section, which cuts few defects where they are widest."


def largest_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Lines about the largest size expected."""
    yield ""
    yield f"Largest size ({found['of']}): {largest_words(found)}"
    if found["reason"]:
        return
    yield (
        f"  Gumbel's distribution for {significant_text(found['area_mm2'])} mm2: location "
        f"{short_text(found['location_um'], 4)} um, scale {short_text(found['scale_um'], 4)} um; standard error of the "
        f"expected size {short_text(found['error_um'], 3)} um"
    )
    most = sorted(found["each"], key=lambda area: -(area["largest_um"] or 0.0))
    rows = [
        [
            area["slide"], area["specimen"], short_text(area["area_mm2"], 4),
            "-" if area["largest_um"] is None else short_text(area["largest_um"], 4),
            "-" if area["finding"] is None else f"#{area['finding']}",
        ]
        for area in most[:24]
    ]  # fmt: skip
    yield from text_table(["", "specimen", "mm2", "largest um", "finding"], rows)
    if len(most) > len(rows):
        yield f"  and {len(most) - len(rows)} more"
    yield from (f"  {remark}" for remark in _remarks(found))


# -- the plot ----------------------------------------------------------------------------------------------------------


def largest(found: CountedFindings, choice: PlotChoice) -> Plot:
    """The largest of each area against the reduced variate of Gumbel's distribution, and what is expected."""
    wanted = wanted_classes(found, choice.of)
    title = f"Largest size expected: {wanted.words}"
    in_mm2, fields_mm2 = choice.in_mm2 or None, choice.fields_mm2 or None
    try:
        known = largest_found(found, choice.of, in_mm2=in_mm2, fields_mm2=fields_mm2)
    except InputError as error:
        return Plot("largest", title, Shape.DOTS, why_not=str(error))
    if known["reason"]:
        return Plot("largest", title, Shape.DOTS, why_not=known["reason"])
    marks = list(_dots(known))
    at = -math.log(-math.log1p(-known["area_mm2"] / known["in_mm2"]))
    low, high = known["interval"]
    expected = known["expected_um"]
    area = f"{significant_text(known['in_mm2'])} mm²"
    last = PlotMark(
        area, at, expected, interval=None if high is None else (low, high), tip=largest_words(known).rstrip(".")
    )
    first = min(mark.x for mark in marks)
    line = first, known["location_um"] + known["scale_um"] * first, at, expected
    notes = [text.replace("mm2", "mm²").replace(" um", " µm") for text in (largest_words(known), *_remarks(known))]
    return Plot(
        "largest", title, Shape.DOTS, "reduced variate of Gumbel's distribution",
        f"largest of {significant_text(known['area_mm2'])} mm², µm",
        [Series("largest of each area", wanted.colour, marks), Series(f"expected on {area}", COLOURS[5], [last])],
        notes=notes, line=line,
    )  # fmt: skip


def _dots(known: Mapping[str, Any]) -> Iterator[PlotMark]:
    """A dot for each area with a finding; sizes are moved to those of areas alike."""
    moved = [
        (area["largest_um"] - known["scale_um"] * math.log(area["area_mm2"] / known["area_mm2"]), area)
        for area in known["each"]
        if area["largest_um"] is not None
    ]
    moved.sort(key=lambda pair: pair[0])
    count = known["areas"]
    for place, (size, area) in enumerate(moved, start=known["empty"] + 1):
        x = -math.log(-math.log(place / (count + 1)))
        tip = (
            f"{area['slide']}, {significant_text(area['area_mm2'])} mm²: the largest is #{area['finding']} with "
            f"{significant_text(area['largest_um'])} µm"
        )
        yield PlotMark(significant_text(x) if x else "0", x, size, np.array([area["finding"]]), tip=tip)


def expected_of(found: Mapping[str, Any]) -> dict[str, Any]:
    """What is expected, without the areas, as one record."""
    return {name: value for name, value in found.items() if name != "each"} | {"words": largest_words(found)}
