"""Command ``inspect``: blind inspections of areas, and how they agree with models and with each other."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from microscope_qc.cli.parts import Part, number, region_argument, whole_number

if TYPE_CHECKING:
    from microscope_qc.cli.parts import Commands
    from microscope_qc.core.geometry import Region
    from microscope_qc.core.outline import Outline
    from microscope_qc.project import Project
    from microscope_qc.workflows.review.inspection import Inspection

_COLUMNS = {
    "number": "Inspection", "slide": "Slide", "user": "By", "begun": "On", "classes": "Classes", "marked": "Marked",
    "minutes": "Minutes", "blind": "Blind", "ended": "Ended",
}  # fmt: skip


def register(subparsers: Commands) -> None:
    """Add the command."""
    part = Part(
        subparsers, "inspect", lists=_list,
        about="Blind inspections: what somebody marked in an area without seeing what models or others found there. "
        "They are compared with what models found, and two of the same area with each other.",
    )  # fmt: skip
    part.listing("list the inspections of a project")
    read = part.action("import", "read an inspection from an annotation file, of any format that can be read", _import)
    read.add_argument("file", type=Path, metavar="FILE")
    read.add_argument("--slide", metavar="NAME", help="slide of the project (default: the only one, or the first)")
    where = read.add_mutually_exclusive_group(required=True)
    where.add_argument("--area", type=whole_number, metavar="AREA", help="an area of coverage, by its number")
    where.add_argument("--region", type=region_argument, metavar="Y0,X0,Y1,X1", help="a rectangle, in slide pixels")
    where.add_argument("--whole", action="store_true", help="the whole slide")
    read.add_argument("--by", dest="user", default="", metavar="NAME", help="who inspected (default: you)")
    read.add_argument("--minutes", type=number, metavar="N", help="how long it took")
    read.add_argument("--not-blind", action="store_true", help="what others found was to be seen")
    read.add_argument(
        "--class", dest="classes", action="append", metavar="CODE",
        help="look only for this class (may be repeated; default: every class of the project)",
    )  # fmt: skip
    compare = part.action(
        "compare", "who found what: agreement on finding, 2 m / (n1 + n2), and on naming (kappa), with their intervals",
        _compare,
    )  # fmt: skip
    compare.add_argument("first", type=whole_number, nargs="?", metavar="N", help="an inspection (default: all)")
    compare.add_argument(
        "second", type=whole_number, nargs="?", metavar="M", help="another one (default: what models found)"
    )
    compare.add_argument("--people", action="store_true", help="all inspections of the same area by different people")
    compare.add_argument("--csv", type=Path, metavar="OUT.csv|xlsx", help="write a table, a line for each place")
    take = part.action(
        "take",
        "make what an inspection marked findings: what models have, too, is confirmed, the rest drawn; its area is "
        "declared complete",
        _take,
    )
    take.add_argument("number", type=whole_number, metavar="N")
    remove = part.action("remove", "remove an inspection; findings stay", _remove)
    remove.add_argument("number", type=whole_number, metavar="N")


def _list(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import show
    from microscope_qc.project import Project
    from microscope_qc.workflows.review.inspection import inspections

    with Project.open(args.project, write=False) as project:
        rows = [_row(project, one) for one in inspections(project)]
    show(args, rows, _COLUMNS, "There is no inspection.")
    return 0


def _row(project: Project, one: Inspection) -> dict[str, object]:
    known = [defect.code for defect in project.classes if defect.id in one.class_ids]
    return {
        "number": one.number, "slide": project.slides.by_id(one.slide_id).name, "user": one.user,
        "begun": one.begun[:10], "classes": "all" if len(known) == len(project.classes) else ", ".join(known),
        "marked": len(one.boxes), "minutes": None if one.seconds is None else round(one.seconds / 60, 1),
        "blind": one.blind, "ended": not one.is_open,
    }  # fmt: skip


def _import(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import done, step
    from microscope_qc.project import Project
    from microscope_qc.workflows.review.inspection import inspections, read_inspection

    with Project.open(args.project) as project:
        slide_id, outline = _place(project, args)
        wanted = None if args.classes is None else [project.classes.by_code(code).id for code in args.classes]
        entry = step(
            project,
            lambda: read_inspection(
                project, args.file, slide_id, outline, user=args.user, blind=not args.not_blind, class_ids=wanted,
                seconds=None if args.minutes is None else 60 * args.minutes,
            ),
        )  # fmt: skip
        made = inspections(project)[-1]
    done(args, entry, {"inspection": made.number, "marked": len(made.boxes)})
    return 0


def _place(project: Project, args: argparse.Namespace) -> tuple[int, Outline | Region]:
    from microscope_qc.core.geometry import Region

    if args.area is not None:
        area = project.areas.by_id(args.area)
        return area.slide_id, area.outline
    slide = project.slides.named(args.slide)
    return slide.id, Region(0, 0, *slide.shape_px) if args.whole else Region(*args.region)


def _compare(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import print_numbers
    from microscope_qc.project import Project
    from microscope_qc.workflows.results.agreement import agreement_lines, compared, write_agreement_table
    from microscope_qc.workflows.review.inspection import pairs_to_compare

    with Project.open(args.project, write=False) as project:
        found = compared(project, pairs_to_compare(project, args.first, args.second, people=args.people))
    return print_numbers(args, found, lines=agreement_lines, write=write_agreement_table)


def _take(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import change
    from microscope_qc.workflows.review.inspection import take

    return change(args, lambda project: take(project, args.number), inspection=args.number)


def _remove(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import change
    from microscope_qc.workflows.review.inspection import remove

    return change(args, lambda project: remove(project, args.number), inspection=args.number)
