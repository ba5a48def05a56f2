"""Commands ``new`` and ``check``: projects as a whole."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from microscope_qc.cli.intake import LISTED, SLIDES_HELP, add_intake_flags
from microscope_qc.cli.parts import add_json

if TYPE_CHECKING:
    from microscope_qc.cli.parts import Commands


def register(subparsers: Commands) -> None:
    """Add the commands to the parser."""
    new = subparsers.add_parser("new", description="Make a project for slides.")
    new.add_argument("project", metavar="PROJECT.mqc", help="folder of the new project")
    new.add_argument("slides", metavar="SLIDE|FOLDER", nargs="*", help=SLIDES_HELP)
    add_intake_flags(new)
    new.add_argument(
        "--classes",
        default="li-ion",
        metavar="SET",
        help="classes to start with: li-ion (default), patches, magnet, none, or a file NAME.classes.json",
    )
    check = subparsers.add_parser(
        "check",
        description="Check a project, repair what can be repaired, and restore the last backup when it is damaged.",
    )
    check.add_argument("project", metavar="PROJECT.mqc", help="folder of the project")
    check.add_argument("--history", metavar="OUT.csv", help="also write who did what and when, as a CSV table")
    for parser, handler in ((new, _new), (check, _check)):
        add_json(parser)
        parser.set_defaults(handler=handler, json=False)


def _new(args: argparse.Namespace) -> int:
    from microscope_qc.cli.intake import left_out_rows, print_left_out
    from microscope_qc.cli.progress import print_json, run
    from microscope_qc.cli.slides import pixel_words
    from microscope_qc.core.class_sets import class_set
    from microscope_qc.core.wording import things
    from microscope_qc.workflows.intake.adding import make_project

    classes = () if args.classes == "none" else class_set(args.classes)
    job = make_project(
        args.project, args.slides, classes=classes, again=args.again, masks=args.masks, subfolders=args.subfolders
    )
    project, plan = run(job, args)
    with project:
        slides, count, folder = list(project.slides), len(project.classes), project.path
    print_left_out(plan, args)
    if args.json:
        print_json({
            "project": folder, "classes": count, "left_out": left_out_rows(plan, args),
            "slides": [{"name": s.name, "shape_px": s.shape_px, "pixel_size_um": s.pixel_size_um} for s in slides],
        })  # fmt: skip
        return 0
    print(f"{folder}: {things(len(slides), 'slide')}, {things(count, 'class', 'classes')}")
    for slide in slides[:LISTED]:
        known = slide.pixel_size_um
        size = "pixel size not known" if known is None else f"{pixel_words(known)} per pixel"
        print(f"  {slide.name}: {slide.shape_px[1]} x {slide.shape_px[0]} px, {size}")
    if len(slides) > LISTED:
        print(f"  and {things(len(slides) - LISTED, 'more slide')}")
    return 0


def _check(args: argparse.Namespace) -> int:
    from pathlib import Path

    from microscope_qc.cli.progress import print_json, run
    from microscope_qc.core.wording import things
    from microscope_qc.project import Project
    from microscope_qc.project.checking import make_readable
    from microscope_qc.workflows.intake.changes import changed_slides, changed_words

    folder = Path(args.project).expanduser().absolute()
    found = make_readable(folder)
    with Project.open(folder) as project:
        found += project.check()
        changed = run(changed_slides(project), args)
        found += [changed_words([slide]) for slide in changed]
        found += project.outside_slides()
        counts = {
            "slides": len(project.slides),
            "findings": sum(len(project.boxes.table(slide.id)) for slide in project.slides),
            "runs": len(project.runs),
        }
        lines = project.history.export(args.history) if args.history else None
    if args.json:
        print_json({"project": folder, **counts, "problems": found, "history_lines": lines})
        return 0
    print(f"{project.name}: {', '.join(things(count, name[:-1]) for name, count in counts.items())}")
    if lines is not None:
        print(f"  {things(lines, 'line')} of history written to {args.history}")
    for sentence in found:
        print(f"  {sentence}")
    if not found:
        print("  Everything is in order.")
    return 0
