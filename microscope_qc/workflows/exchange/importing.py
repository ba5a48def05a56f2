"""Import of annotation files into a project, as one command that can be undone as a whole."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from microscope_qc.core.boxes import coordinates, make_rows
from microscope_qc.core.class_colours import PALETTE, next_colour
from microscope_qc.core.defect_class import DefectClass
from microscope_qc.core.errors import InputError
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.core.outline import Outline
from microscope_qc.core.wording import things
from microscope_qc.exchange.document import Box, Document
from microscope_qc.exchange.registry import FORMATS, detect_format
from microscope_qc.project import Project
from microscope_qc.project.records import SlideRecord
from microscope_qc.project.store import PendingCommand
from microscope_qc.workflows.exchange.matching import PictureMap, match_pictures, slide_sizes
from microscope_qc.workflows.exchange.summary import ImportSummary, nothing_matches, require_clear

OUTSIDE = "outside the slide"
LEFT_OUT = "class left out"
DUPLICATE = "there already"
ClassMap = Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """What an import will add, row by row; ``summary`` gives the numbers.

    ``rows``, ``attributes`` and ``outlines`` are by slide id; ``known_classes`` are those that the rows rely on.
    """

    title: str
    summary: ImportSummary
    rows: dict[int, np.ndarray]
    new_classes: tuple[DefectClass, ...]
    attributes: dict[int, dict[int, dict[str, Any]]]
    outlines: dict[int, dict[int, Outline]]
    known_classes: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class PendingImport:
    """An import that is ready: ``write`` may run in any thread, ``finish`` in that of the project."""

    command: PendingCommand
    summary: ImportSummary

    def write(self) -> None:
        """Write everything in one transaction."""
        self.command.write()

    def finish(self) -> ImportSummary:
        """Let the project show it; return what was imported."""
        self.command.finish()
        return self.summary


@dataclass(frozen=True, slots=True)
class ReadAnnotations:
    """The content of an annotation file; ``format`` is the name of its format."""

    path: Path
    format: str
    document: Document


def import_annotations(
    project: Project,
    path: Path | str,
    *,
    format: str = "auto",
    slide: str | None = None,
    dry_run: bool = False,
    class_map: ClassMap | None = None,
    picture_map: PictureMap | None = None,
    as_stored: bool = False,
    skip_duplicates: bool = False,
) -> Job[ImportSummary]:
    """Read an annotation file or folder and add its boxes; classes that the project lacks are added.

    Pictures are matched with slides by name and folders; paths inside the files are never opened.

    Parameters
    ----------
    slide
        Name of the slide that the file is about, where it does not name its picture or calls it differently.
    dry_run
        Return what would happen and change nothing.
    class_map
        Class name in the file -> code of the class its boxes get, one of the project's or a new one; None leaves them
        out. Classes that are not in it keep their names. "" stands for boxes without a class.
    picture_map
        Path of a picture in the file -> name of its slide, None to leave it out, where names do not tell.
    as_stored
        Where a slide is shown turned and nothing in the file tells, its boxes were marked on it as it is stored.
    skip_duplicates
        Leave out boxes that coincide with one of the same class.

    Raises
    ------
    ExchangeError
        When the file cannot be read, none of its pictures is a slide of the project, or one may be several.
    """
    path = Path(path)
    sizes = slide_sizes(project, slide)
    yield Progress(0, 2, "steps", f"reading {path.name}")
    read = read_annotations(path, sizes=sizes, format=format)
    yield Progress(1, 2, "steps", "adding boxes")
    summary = take_in(
        project,
        read,
        slide=slide,
        dry_run=dry_run,
        class_map=class_map,
        picture_map=picture_map,
        as_stored=as_stored,
        skip_duplicates=skip_duplicates,
    )
    yield Progress(2, 2, "steps")
    return summary


def read_annotations(path: Path, *, sizes: dict[str, tuple[int, int]], format: str = "auto") -> ReadAnnotations:
    """Read an annotation file or folder; touches no project and may run in any thread.

    Parameters
    ----------
    sizes
        Of the slides by name (:func:`slide_sizes`): some formats give positions as shares of the picture.

    Raises
    ------
    ExchangeError
        When the file cannot be read.
    """
    known = detect_format(path) if format == "auto" else FORMATS.get(format)
    with FORMATS.in_use(known.name):
        return ReadAnnotations(path, known.name, known.read(path, sizes=sizes))


def take_in(
    project: Project,
    read: ReadAnnotations,
    *,
    slide: str | None = None,
    dry_run: bool = False,
    class_map: ClassMap | None = None,
    picture_map: PictureMap | None = None,
    as_stored: bool = False,
    skip_duplicates: bool = False,
) -> ImportSummary:
    """Add what was read to a project; parameters and errors as in :func:`import_annotations`."""
    plan = plan_import(
        project,
        read,
        slide=slide,
        class_map=class_map,
        picture_map=picture_map,
        as_stored=as_stored,
        skip_duplicates=skip_duplicates,
    )
    require_clear(plan.summary)
    return plan.summary if dry_run else carry_out(project, plan)


def plan_import(
    project: Project,
    read: ReadAnnotations,
    *,
    slide: str | None = None,
    class_map: ClassMap | None = None,
    picture_map: PictureMap | None = None,
    as_stored: bool = False,
    skip_duplicates: bool = False,
) -> ImportPlan:
    """Work out what an import would do without writing; parameters and errors as in :func:`import_annotations`.

    What a user must decide first is no error here; ``asked`` and ``without_class`` of the summary say it.

    This is the slow part for many boxes. It may run in another thread, on a project of its own, opened for reading.
    """
    path, document = read.path, read.document
    chosen = project.slides.named(slide) if slide is not None else None
    matched = match_pictures(document, project.slides, chosen, picture_map, as_stored=as_stored)
    skipped = Counter(document.skipped)
    kept: dict[int, list[Box]] = {}
    for image, record in matched.slides:
        kept.setdefault(record.id, []).extend(_inside(image.boxes, record, skipped))
    wanted = document.box_count or document.skipped or document.files_left_out
    if matched.unmatched and not matched.slides and not matched.asked and wanted and not picture_map:
        raise nothing_matches(path, matched.unmatched, project)
    counts = Counter(box.class_code for boxes in kept.values() for box in boxes)
    mapped = {code: _mapped(code, class_map) for code in document.class_codes() if code in counts}
    if class_map and "" in class_map and "" not in document.class_codes():
        raise InputError("Every box of the file has a class.", hint="Write NAME=CODE to give a class another name.")
    without_class = 0 if class_map is not None and "" in class_map else counts.get("", 0)
    if without_class:
        kept = {number: [box for box in boxes if box.class_code] for number, boxes in kept.items()}
    kept = {number: _map_classes(boxes, mapped, skipped) for number, boxes in kept.items()}
    duplicates = 0
    for number, boxes in kept.items():
        again = _duplicates(boxes, project.boxes.table(number).rows, project.classes)
        duplicates += int(again.sum())
        if skip_duplicates:
            kept[number] = [box for box, known in zip(boxes, again, strict=True) if not known]
            skipped[DUPLICATE] += int(again.sum())
    new_classes = _new_classes(document, mapped, {b.class_code for boxes in kept.values() for b in boxes}, project)
    rows_of = _rows(kept, project.classes, new_classes)
    outlines = {n: {i: box.outline for i, box in enumerate(boxes) if box.outline} for n, boxes in kept.items()}
    attributes = {n: {i: box.attributes for i, box in enumerate(boxes) if box.attributes} for n, boxes in kept.items()}
    names = {record.id: record.name for record in project.slides}
    count = sum(map(len, rows_of.values()))
    summary = ImportSummary(
        format=read.format,
        boxes=count,
        slides={names[number]: len(rows) for number, rows in rows_of.items()},
        new_classes=tuple(cls.code for cls in new_classes),
        skipped={reason: number for reason, number in skipped.items() if number},
        unmatched=matched.unmatched,
        dry_run=True,
        classes={code: counts[code] for code in mapped},
        mapped={code: target or "" for code, target in mapped.items()},
        without_class=without_class,
        noted=dict(document.noted + matched.noted),
        places={what: tuple(places) for what, places in document.places.items() if places},
        files_left_out=document.files_left_out,
        duplicates=duplicates,
        outlines=sum(map(len, outlines.values())),
        attributes=sum(map(len, attributes.values())),
        asked=matched.asked,
        unclear_turn=matched.unclear_turn,
    )
    title = f"Import {things(count, 'box', 'boxes')} from {path.name}"
    known = tuple((cls.id, cls.code) for cls in project.classes)
    return ImportPlan(title, summary, rows_of, tuple(new_classes), attributes, outlines, known)


def carry_out(project: Project, plan: ImportPlan) -> ImportSummary:
    """Add what was planned, as one command.

    Raises
    ------
    InputError
        When classes or slides have changed since the plan was made.
    """
    pending = prepare(project, plan)
    pending.write()
    return pending.finish()


def prepare(project: Project, plan: ImportPlan) -> PendingImport:
    """Make a planned import ready to be written; errors as in :func:`carry_out`."""
    require_clear(plan.summary)
    slides = {record.id for record in project.slides}
    if plan.known_classes != tuple((cls.id, cls.code) for cls in project.classes) or not slides.issuperset(plan.rows):
        raise InputError(
            "The classes or slides of the project have changed in the meantime.", hint="Start the import again."
        )
    command, ids_of = project.boxes.prepare(
        plan.rows, title=plan.title, classes=plan.new_classes, attributes=plan.attributes, outlines=plan.outlines
    )
    ids = tuple(number for numbers in ids_of.values() for number in numbers.tolist())
    return PendingImport(command, replace(plan.summary, dry_run=False, box_ids=ids))


def _mapped(code: str, class_map: ClassMap | None) -> str | None:
    if class_map is None or code not in class_map:
        return code
    target = class_map[code]
    if target is not None and not target.strip():
        raise InputError(
            f"The class {code or 'of boxes without one'} of the file is given no name.",
            hint="Choose a class, or leave it out.",
        )
    return None if target is None else target.strip()


def _map_classes(boxes: list[Box], mapped: Mapping[str, str | None], skipped: Counter[str]) -> list[Box]:
    result = []
    for box in boxes:
        code = mapped[box.class_code]
        if code is None:
            skipped[LEFT_OUT] += 1
        else:
            result.append(box if code == box.class_code else replace(box, class_code=code))
    return result


def _duplicates(boxes: list[Box], rows: np.ndarray, classes: Sequence[DefectClass]) -> np.ndarray:
    """Boolean for each box: whether it coincides with a box of the same class in the project or before it."""
    id_of = {cls.code: cls.id for cls in classes}
    codes = {code: -place for place, code in enumerate(dict.fromkeys(box.class_code for box in boxes), start=1)}
    mine = np.array(
        [(id_of.get(b.class_code, codes[b.class_code]), b.y0, b.x0, b.y1, b.x1) for b in boxes], float
    ).reshape(-1, 5)
    there = np.column_stack([rows["class_id"].astype(float), coordinates(rows)]) if len(rows) else np.empty((0, 5))
    together = np.round(
        np.concatenate([there, mine]), 3
    )  # formats round: positions within a thousandth of a pixel are the same
    _, first = np.unique(together, axis=0, return_index=True)
    again = np.ones(len(together), bool)
    again[first] = False
    return again[len(there) :]


def _inside(boxes: list[Box], record: SlideRecord, skipped: Counter[str]) -> list[Box]:
    height, width = record.shape_px
    inside = [box for box in boxes if box.y0 < height and box.x0 < width and box.y1 > 0 and box.x1 > 0]
    if len(inside) < len(boxes):
        skipped[OUTSIDE] += len(boxes) - len(inside)
    return inside


def _new_classes(
    document: Document, mapped: Mapping[str, str | None], used: set[str], project: Project
) -> list[DefectClass]:
    """Classes of boxes that the project lacks, in the order of the file, each with a colour of its own."""
    have = {cls.code for cls in project.classes}
    described = {cls.code: cls for cls in document.classes}
    colours = [cls.colour for cls in project.classes]
    taken = set(colours)
    made: dict[str, DefectClass] = {}
    for foreign, code in mapped.items():
        if code is None or code in have or code in made or code not in used:
            continue
        given = described.get(foreign)
        colour = given.colour if given else ""
        if not re.fullmatch(r"#[0-9A-Fa-f]{6}", colour) or colour in taken or colour == PALETTE[0]:
            colour = next_colour(colours)
        colours.append(colour)
        taken.add(colour)
        name = given.name if given and (given.name != foreign or foreign == code) else code
        made[code] = DefectClass(code, name, colour)
    return list(made.values())


def _rows(
    boxes_of: dict[int, list[Box]], classes: Sequence[DefectClass], new: list[DefectClass]
) -> dict[int, np.ndarray]:
    """Box rows by slide id; new classes have negative ids, -1 for the first of ``new``."""
    id_of = {cls.code: cls.id for cls in classes} | {cls.code: -place for place, cls in enumerate(new, start=1)}
    return {
        slide_id: make_rows(
            len(boxes),
            class_id=[id_of[box.class_code] for box in boxes],
            y0=[box.y0 for box in boxes],
            x0=[box.x0 for box in boxes],
            y1=[box.y1 for box in boxes],
            x1=[box.x1 for box in boxes],
            confidence=[np.nan if box.score is None else box.score for box in boxes],
            state=[int(box.state) for box in boxes],
            chosen=[box.chosen for box in boxes],
            reason=[box.reason for box in boxes],
            note=[box.note for box in boxes],
        )
        for slide_id, boxes in boxes_of.items()
    }
