"""``microscope-qc new`` and ``microscope-qc check``."""

from __future__ import annotations

import argparse
from typing import Any


def register(subparsers: Any) -> None:
    """Add the commands to the parser."""
    new = subparsers.add_parser("new", help="make a project for slides", description="Make a project for slides.")
    new.add_argument("project", metavar="PROJECT.mqc", help="folder of the new project")
    new.add_argument("slides", metavar="SLIDE", nargs="*", help="slides to add")
    new.add_argument(
        "--classes",
        default="li-ion",
        metavar="SET",
        help="classes to start with: li-ion (default), patches, magnet, none, or a file NAME.classes.json",
    )
    new.set_defaults(handler=_new)

    check = subparsers.add_parser(
        "check",
        help="look a project over and mend it",
        description="Look a project over, mend what can be mended, and restore the last backup when it is damaged.",
    )
    check.add_argument("project", metavar="PROJECT.mqc", help="folder of the project")
    check.add_argument("--history", metavar="OUT.csv", help="also write who did what and when, as a CSV table")
    check.set_defaults(handler=_check)


def _new(args: argparse.Namespace) -> int:
    from microscope_qc.core.class_sets import class_set
    from microscope_qc.project import Project

    classes = () if args.classes == "none" else class_set(args.classes)
    with Project.create(args.project, slides=args.slides, classes=classes) as project:
        print(f"{project.path}: {len(project.slides)} slide(s), {len(project.classes)} classes")
        for slide in project.slides:
            size = "pixel size not known" if slide.pixel_size_um is None else f"{slide.pixel_size_um[1]:g} um per pixel"
            print(f"  {slide.name}: {slide.shape_px[1]} x {slide.shape_px[0]} px, {size}")
    return 0


def _check(args: argparse.Namespace) -> int:
    from pathlib import Path

    from microscope_qc.project import Project
    from microscope_qc.project.checking import restore_when_damaged

    folder = Path(args.project).expanduser().absolute()
    found = restore_when_damaged(folder)
    with Project.open(folder) as project:
        found += project.check()
        boxes = sum(len(project.boxes.table(slide.id)) for slide in project.slides)
        print(f"{project.name}: {len(project.slides)} slide(s), {boxes} boxes, {len(project.runs)} run(s)")
        if args.history:
            print(f"  {project.history.export(args.history)} lines of history written to {args.history}")
    for sentence in found:
        print(f"  {sentence}")
    if not found:
        print("  Everything is in order.")
    return 0
