"""Command ``coverage``: where the slides of a project were scanned or declared complete, for which classes, by whom."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from microscope_qc.cli.parts import Part, add_slides, count, number, region_argument, whole_number

if TYPE_CHECKING:
    from microscope_qc.cli.parts import Commands
    from microscope_qc.core.arrays import Floats
    from microscope_qc.core.geometry import Region
    from microscope_qc.project import Project
    from microscope_qc.project.records import SlideRecord


def register(subparsers: Commands) -> None:
    """Add the command."""
    coverage = Part(
        subparsers, "coverage", lists=_list,
        about="Say in which area the findings of each class were searched for: what the runs that are switched on "
        "scanned within their masks, without tiles that are missing or damaged, and what users declared complete. "
        "Densities are divided by these areas. Without an action the areas are listed.",
    )  # fmt: skip
    coverage.listing("list the areas of each slide and class, and what users declared")
    declare = coverage.action("declare", "declare an area complete: every defect in it is marked", _declare)
    declare.add_argument("--slide", metavar="NAME", help="slide of the project (default: the only one, or the first)")
    where = declare.add_mutually_exclusive_group(required=True)
    where.add_argument("--region", type=region_argument, metavar="Y0,X0,Y1,X1", help="a rectangle, in slide pixels")
    where.add_argument("--polygon", type=Path, metavar="FILE", help="GeoJSON with a polygon, or CSV with x_px and y_px")
    where.add_argument("--whole", action="store_true", help="the whole slide")
    _add_classes(declare)
    draw = coverage.action(
        "draw", "draw areas at random where models scanned, to be searched for what they missed: stats corrects for "
        "that when there are 20 defects in them", _draw,
    )  # fmt: skip
    draw.add_argument("--count", type=count, default=10, metavar="N", help="number of areas (default 10)")
    draw.add_argument("--side", type=number, default=500.0, metavar="UM", help="side of an area in um (default 500)")
    add_slides(draw)
    draw.add_argument("--seed", type=count, metavar="N", help="the same areas for the same number")
    searched = coverage.action(
        "searched", "declare an area that was drawn at random complete: every defect in it is marked", _searched
    )
    searched.add_argument("area", type=whole_number, metavar="AREA", help="its number in the list")
    _add_classes(searched)
    remove = coverage.action(
        "remove", "take a declaration back; an area that was drawn at random is to be searched again then", _remove
    )
    remove.add_argument("area", type=whole_number, metavar="AREA", help="its number in the list")


def _add_classes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--class", dest="classes", action="append", metavar="CODE",
        help="complete for this class (may be repeated; default: every class that the project has now)",
    )  # fmt: skip


def _list(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import table
    from microscope_qc.cli.progress import print_json
    from microscope_qc.core.wording import percent_text
    from microscope_qc.project import Project
    from microscope_qc.workflows.detection.coverage_table import coverage_table
    from microscope_qc.workflows.detection.looked_at import looked_words

    with Project.open(args.project, write=False) as project:
        slides = coverage_table(project)
    if args.json:
        print_json({"slides": slides})
        return 0
    rows = [
        (slide["slide"], row["code"], _mm2(row["area_mm2"]), percent_text(row["area_share"]), row["area_source"])
        for slide in slides
        for row in slide["classes"]
    ]
    if rows:
        print("\n".join(table(rows, ("Slide", "Class", "Area mm2", "Of slide", "Source"))))
    for slide in slides:
        print(f"{slide['slide']}: {looked_words(slide['looked_at'])}")
        for warning in slide["warnings"]:
            print(f"{slide['slide']}: {warning}")
    areas = [
        (area["area"], slide["slide"], ", ".join(area["classes"]), area["user"], area["declared"][:10],
         _mm2(area["area_mm2"]), percent_text(area['area_share']))
        for slide in slides
        for area in slide["declared"]
    ]  # fmt: skip
    if areas:
        print()
        print("\n".join(table(areas, ("Declared", "Slide", "Classes", "By", "On", "Area mm2", "Of slide"))))
    left = [
        (area["area"], slide["slide"], area["drawn"][:10], _mm2(area["area_mm2"]), percent_text(area["area_share"]))
        for slide in slides
        for area in slide["to_search"]
    ]
    if left:
        print()
        print("\n".join(table(left, ("To search", "Slide", "Drawn at random on", "Area mm2", "Of slide"))))
    return 0


def _mm2(area: float | None) -> float | None:
    return None if area is None else float(f"{area:.4g}")


def _declare(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import done, step
    from microscope_qc.project import Project

    with Project.open(args.project) as project:
        slide = project.slides.named(args.slide)
        classes = _class_ids(project, args.classes)
        outline = _outline(args, slide)
        entry = step(project, lambda: project.areas.declare(slide.id, outline, classes))
        area = project.areas[-1]
    done(args, entry, {"area": area.id, "slide": slide.name})
    return 0


def _class_ids(project: Project, codes: list[str] | None) -> list[int] | None:
    return None if codes is None else [project.classes.by_code(code).id for code in codes]


def _draw(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import done, slides_of, step
    from microscope_qc.cli.progress import run
    from microscope_qc.project import Project
    from microscope_qc.workflows.detection.random_areas import draw_areas

    with Project.open(args.project) as project:
        job = draw_areas(
            project, count=args.count, side_um=args.side, slide_ids=slides_of(project, args.slide), seed=args.seed
        )
        entry = step(project, lambda: run(job, args))
        numbers = [area.id for area in project.areas if not area.class_ids]
    done(args, entry, {"to_search": numbers})
    return 0


def _searched(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import change

    def declare(project: Project) -> object:
        return project.areas.searched(args.area, _class_ids(project, args.classes))

    return change(args, declare, area=args.area)


def _outline(args: argparse.Namespace, slide: SlideRecord) -> Region | Floats:
    from microscope_qc.core.geometry import Region
    from microscope_qc.workflows.detection.coverage_table import read_outline

    if args.polygon is not None:
        return read_outline(args.polygon)
    return Region(0, 0, *slide.shape_px) if args.whole else Region(*args.region)


def _remove(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import change

    return change(args, lambda project: project.areas.remove(args.area), area=args.area)
