"""Blind inspections: what a user marks in an area without seeing what models, or other users, found there.

An inspection is begun, every defect in its area is drawn (or read from a file), and it is ended. Then it is compared
with what models found, and with other inspections of the same area, and what it found becomes findings of the project.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from microscope_qc.analysis.coverage import Declared, SlideCoverage
from microscope_qc.core.arrays import Flags, Floats, Ints, Rows
from microscope_qc.core.boxes import FindingFlag, ReviewState, coordinates, has_flag, make_rows
from microscope_qc.core.errors import InputError
from microscope_qc.core.geometry import Region
from microscope_qc.core.matching import match_by_overlap
from microscope_qc.core.opinions import as_found
from microscope_qc.core.outline import Outline
from microscope_qc.core.wording import listed, things
from microscope_qc.project import Project
from microscope_qc.project.owner import user_name
from microscope_qc.project.parts.standards import INSPECTION
from microscope_qc.project.records import SlideRecord, Standard

SAME_IOU = 0.3
"""What two people draw around the same defect overlaps by less than what two models do."""


@dataclass(frozen=True, slots=True, eq=False)
class Inspection:
    """An inspection of an area.

    Attributes
    ----------
    number
        As users know it.
    class_ids
        The classes that were looked for.
    user, begun
        Who inspected, and when the inspection was begun, or read from a file.
    seconds
        How long it took; None where it is not known.
    blind
        Whether nothing that others found was to be seen.
    is_open
        Whether it has not ended yet.
    boxes
        Shape (N, 4): y0, x0, y1, x1 of what was marked.
    classes, findings
        Shape (N,): its class, and the finding that it is in the project, 0 where it is none yet.
    """

    record: Standard
    number: int
    slide_id: int
    outline: Outline
    class_ids: frozenset[int]
    user: str
    begun: str
    seconds: float | None
    blind: bool
    is_open: bool
    boxes: Floats
    classes: Ints
    findings: Ints

    def holds(self, slide: SlideRecord, boxes: Floats) -> Flags:
        """Boolean for each box: whether its centre lies in the area."""
        area = Declared(0, frozenset({1}), self.outline)
        y, x = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
        return SlideCoverage(slide.shape_px, declared=[area]).drawn(area).holds(y, x)


def inspections(project: Project) -> list[Inspection]:
    """Return the inspections of a project, oldest first; those of slides that are gone are left out."""
    slides = {slide.id for slide in project.slides}
    found = [_inspection(record) for record in project.standards.of(INSPECTION)]
    return [one for one in found if one is not None and one.slide_id in slides]


def inspection_named(project: Project, number: int) -> Inspection:
    """Return an inspection by its number.

    Raises
    ------
    InputError
        When there is none.
    """
    known = inspections(project)
    for one in known:
        if one.number == number:
            return one
    there = listed([str(one.number) for one in known]) or "none"
    raise InputError(f"There is no inspection {number}.", hint=f"There are {there}.")


def open_inspection(project: Project) -> Inspection | None:
    """Return the inspection that has not ended; None where all have."""
    return next((one for one in inspections(project) if one.is_open), None)


def begin(
    project: Project, slide_id: int, outline: Outline | Region, class_ids: Collection[int] | None = None
) -> Inspection:
    """Begin an inspection: what is drawn in its area from now on belongs to it (undoable).

    Parameters
    ----------
    class_ids
        The classes that are looked for; None takes all.

    Raises
    ------
    InputError
        When one is open already, or there is no such slide.
    """
    there = open_inspection(project)
    if there is not None:
        raise InputError(f"Inspection {there.number} has not ended.", hint="End it, or remove it, first.")
    slide = project.slides.by_id(slide_id)
    data = _data(project, slide, outline, class_ids) | {"open": True, "last": project.boxes.last_number}
    return _keep(project, _next_number(project), data)


def drawn(project: Project, inspection: Inspection) -> Rows:
    """Return what was drawn in the area of an open inspection since it was begun."""
    table = project.boxes.table(inspection.slide_id)
    rows = table.rows[table.inside(*inspection.outline.bounds)]
    rows = rows[(rows["id"] > inspection.record.data["last"]) & has_flag(rows, FindingFlag.DRAWN)]
    rows = rows[np.isin(rows["class_id"], [*inspection.class_ids])]
    mine: Rows = rows[inspection.holds(project.slides.by_id(inspection.slide_id), coordinates(rows))]
    return mine


def end(project: Project, number: int, *, seconds: float | None = None, blind: bool = True) -> Inspection:
    """End an inspection: keep what was drawn, and let what a model found, too, be one finding with it.

    Parameters
    ----------
    blind
        False where something that others found was to be seen meanwhile.

    Raises
    ------
    InputError
        When there is no such inspection, or it has ended.
    """
    known = inspection_named(project, number)
    if not known.is_open:
        raise InputError(f"Inspection {number} has ended.")
    rows = drawn(project, known)
    data = {
        **known.record.data, **_marked(rows["class_id"], coordinates(rows), rows["id"]), "open": False,
        "seconds": seconds, "blind": blind,
    }  # fmt: skip
    return take(project, _keep(project, number, data).number)


def read_inspection(
    project: Project, path: Path | str, slide_id: int, outline: Outline | Region, *, user: str = "",
    seconds: float | None = None, blind: bool = True, class_ids: Collection[int] | None = None,
) -> Inspection:  # fmt: skip
    """Read from an annotation file what somebody marked in an area; boxes elsewhere are left out (undoable).

    Parameters
    ----------
    user
        Who inspected; "" takes the user of now.

    Raises
    ------
    ExchangeError
        When the file cannot be read.
    InputError
        When it has a class that the project does not have.
    """
    from microscope_qc.workflows.exchange.importing import plan_import, read_annotations
    from microscope_qc.workflows.exchange.matching import slide_sizes

    slide = project.slides.by_id(slide_id)
    read = read_annotations(Path(path), sizes=slide_sizes(project, slide.name))
    plan = plan_import(project, read, slide=slide.name)
    if plan.new_classes:
        codes = listed([defect.code for defect in plan.new_classes])
        raise InputError(f"The project has no class {codes}.", hint="Make the class, or rename it in the file.")
    rows = plan.rows.get(slide_id, make_rows(0))
    data = _data(project, slide, outline, class_ids) | {"open": False, "seconds": seconds, "blind": blind}
    if user:
        data["user"] = user
    boxes = coordinates(rows)
    area = Declared(0, frozenset({1}), Outline.from_json(data["outline"]))
    y, x = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
    mine = SlideCoverage(slide.shape_px, declared=[area]).drawn(area).holds(y, x)
    mine &= np.isin(rows["class_id"], data["classes"])
    rows = rows[mine]
    data |= _marked(rows["class_id"], boxes[mine], np.zeros(len(rows), np.int64))
    return _keep(project, _next_number(project), data)


def take(project: Project, number: int) -> Inspection:
    """Make what an inspection marked findings of the project, and declare its area complete.

    What a model found, too, is confirmed with the class that the inspection gave it, unless a user judged it before;
    everything else is drawn. Each is a step that undo takes back.

    Raises
    ------
    InputError
        When there is no such inspection, or it has not ended.
    """
    known = inspection_named(project, number)
    if known.is_open:
        raise InputError(f"Inspection {number} has not ended.")
    model = _of_models(project, known)
    one, other = match_by_overlap(known.boxes, model.boxes, iou=SAME_IOU)
    findings, words = known.findings.copy(), f"inspection {number}"
    twice = findings[one]
    if (twice > 0).any():  # drawn beside what the model has
        gone = np.setdiff1d(twice[twice > 0], model.findings)
        if len(gone):
            project.boxes.delete(gone, title=f"Join {things(len(gone), 'box', 'boxes')} of {words} with findings")
    findings[one] = model.findings[other]
    open_pairs = ~model.judged[other]
    if open_pairs.any():
        ids, classes = model.findings[other][open_pairs], known.classes[one][open_pairs]
        title = f"Confirm {things(len(ids), 'finding')} by {words}"
        project.boxes.edit(ids, title=title, state=ReviewState.CONFIRMED, class_id=classes)
    left = np.flatnonzero(findings == 0)
    if len(left):
        y0, x0, y1, x1 = known.boxes[left].T
        rows = make_rows(
            len(left), class_id=known.classes[left], y0=y0, x0=x0, y1=y1, x1=x1, state=ReviewState.CONFIRMED
        )
        title = f"Draw {things(len(left), 'finding')} of {words}"
        findings[left] = project.boxes.add(known.slide_id, rows, title=title)
    if not known.record.data["complete"]:
        _declare(project, known)
    elif np.array_equal(findings, known.findings):
        return known
    return _keep(project, number, {**known.record.data, "findings": findings.tolist(), "complete": True})


def _declare(project: Project, inspection: Inspection) -> None:
    """Declare the area of an inspection complete: the one drawn at random that it is, or a new one."""
    for area in project.areas.of(inspection.slide_id):
        if area.drawn and not area.class_ids and area.outline == inspection.outline:
            project.areas.searched(area.id, inspection.class_ids)
            return
    project.areas.declare(inspection.slide_id, inspection.outline.parts[0][0], inspection.class_ids)


def remove(project: Project, number: int) -> None:
    """Remove an inspection (undoable); what was drawn stays.

    Raises
    ------
    InputError
        When there is none.
    """
    project.standards.remove(inspection_named(project, number).record.id)


# -- what models found -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Marked:
    """What was marked in an area: boxes (N, 4), classes, findings (0 of none), and whether a user judged them."""

    boxes: Floats
    classes: Ints
    findings: Ints
    judged: Flags


def _of_models(project: Project, inspection: Inspection) -> Marked:
    """What models found in the area of an inspection, as they said it, above the confidence limit."""
    limit, table = project.inclusion.current, project.boxes.table(inspection.slide_id)
    near = table.inside(*inspection.outline.bounds)
    rows = table.rows[near][project.boxes.included(inspection.slide_id)[near]]
    rows = rows[np.argsort(rows["id"], kind="stable")]
    found = as_found(rows, project.opinions.of_slide(inspection.slide_id), hidden_runs=limit.hidden_runs)
    with np.errstate(invalid="ignore"):
        mine: Flags = (found["confidence"] >= np.float32(limit.confidence_limit)) & (found["class_id"] > 0)
    mine &= np.isin(found["class_id"], [*inspection.class_ids])
    mine &= inspection.holds(project.slides.by_id(inspection.slide_id), coordinates(rows))
    rows = rows[mine]
    judged: Flags = rows["state"] != ReviewState.UNREVIEWED
    return Marked(coordinates(rows), found["class_id"][mine].copy(), rows["id"].copy(), judged)


def marked_beside(project: Project, first: Inspection, second: Inspection | None) -> tuple[Marked, Marked] | None:
    """What an inspection, and models or another inspection, marked in the area and of the classes of both.

    None where they have no area or class in common.
    """
    mine = Marked(first.boxes, first.classes, first.findings, np.ones(len(first.boxes), bool))
    if second is None:
        return mine, _of_models(project, first)
    classes = first.class_ids & second.class_ids
    if first.slide_id != second.slide_id or not classes or not _overlap(first.outline, second.outline):
        return None
    slide = project.slides.by_id(first.slide_id)
    return (
        _within(mine, second.holds(slide, first.boxes), classes),
        _within(
            Marked(second.boxes, second.classes, second.findings, np.ones(len(second.boxes), bool)),
            first.holds(slide, second.boxes), classes,
        ),
    )  # fmt: skip


def _within(marked: Marked, inside: Flags, classes: Collection[int]) -> Marked:
    kept = inside & np.isin(marked.classes, [*classes])
    return Marked(marked.boxes[kept], marked.classes[kept], marked.findings[kept], marked.judged[kept])


def _overlap(first: Outline, second: Outline) -> bool:
    import shapely

    shapes = [
        shapely.make_valid(shapely.union_all([shapely.Polygon(rings[0], rings[1:]) for rings in one.parts]))
        for one in (first, second)
    ]
    return float(shapely.area(shapely.intersection(*shapes))) > 0


# -- storing -----------------------------------------------------------------------------------------------------------


def _data(
    project: Project, slide: SlideRecord, outline: Outline | Region, class_ids: Collection[int] | None
) -> dict[str, Any]:
    if isinstance(outline, Region):
        y0, x0, y1, x1 = outline.y0, outline.x0, outline.y1, outline.x1
        outline = Outline.polygon([(y0, x0), (y0, x1), (y1, x1), (y1, x0)])
    classes = sorted(defect.id for defect in project.classes if class_ids is None or defect.id in class_ids)
    if not classes:
        raise InputError("An inspection looks for at least one class.", hint="Make or choose a class first.")
    return {
        "slide": slide.id, "outline": outline.to_json(), "classes": classes, "user": user_name(), "seconds": None,
        "blind": True, "complete": False, **_marked(np.zeros(0, np.int64), np.zeros((0, 4)), np.zeros(0, np.int64)),
    }  # fmt: skip


def _marked(classes: Ints, boxes: Floats, findings: Ints) -> dict[str, Any]:
    sides = np.asarray(boxes, float).round(2).tolist()
    return {"boxes": sides, "class_of": classes.tolist(), "findings": findings.tolist()}


def _keep(project: Project, number: int, data: dict[str, Any]) -> Inspection:
    kept = _inspection(project.standards.keep(INSPECTION, str(number), data))
    assert kept is not None
    return kept


def _next_number(project: Project) -> int:
    return 1 + max((one.number for one in inspections(project)), default=0)


def _inspection(record: Standard) -> Inspection | None:
    """What is kept as an inspection; None where it cannot be read."""
    data = record.data
    try:
        return Inspection(
            record, int(record.name), int(data["slide"]), Outline.from_json(data["outline"]),
            frozenset(map(int, data["classes"])), str(data["user"]), record.kept,
            None if data["seconds"] is None else float(data["seconds"]), bool(data["blind"]), bool(data["open"]),
            np.array(data["boxes"], float).reshape(-1, 4), np.array(data["class_of"], np.int64),
            np.array(data["findings"], np.int64),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, InputError, json.JSONDecodeError):
        return None


def pairs_to_compare(
    project: Project, first: int | None = None, second: int | None = None, *, people: bool = False
) -> list[tuple[Inspection, Inspection | None]]:
    """Return the inspections that are compared, each with another one, or with what models found (None).

    Parameters
    ----------
    first, second
        Numbers of inspections; without ``first`` all of them, without ``second`` what models found.
    people
        Each two inspections by different users.

    Raises
    ------
    InputError
        When there is no such inspection, one has not ended, or there are none.
    """
    if first is None:
        known = [one for one in inspections(project) if not one.is_open]
        if not known:
            raise InputError("There is no inspection that has ended.", hint="Inspect an area first.")
        if not people:
            return [(one, None) for one in known]
        return [
            (one, other)
            for place, one in enumerate(known)
            for other in known[place + 1 :]
            if one.user != other.user
        ]  # fmt: skip
    chosen = [inspection_named(project, number) for number in (first, second) if number is not None]
    for one in chosen:
        if one.is_open:
            raise InputError(f"Inspection {one.number} has not ended.")
    return [(chosen[0], chosen[1] if len(chosen) > 1 else None)]
