"""Commands ``import`` and ``export``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from microscope_qc.cli.parts import add_slides, slides_of

MOST_LINES = 20


def register(subparsers: Any) -> None:
    """Add the commands."""
    from microscope_qc.exchange.registry import FORMATS
    from microscope_qc.workflows.exports import export_names

    names = FORMATS.usable()
    _register_import(subparsers, names)
    _register_export(subparsers, export_names())


def _register_import(subparsers: Any, names: list[str]) -> None:
    parser = subparsers.add_parser(
        "import",
        description="Take the boxes of an annotation file or folder into a project. Pictures are matched with slides "
        "by name and folders; classes the project lacks are made. One undo takes all of it back.",
    )
    parser.add_argument("project", type=Path, metavar="PROJECT.mqc")
    parser.add_argument("path", type=Path, metavar="PATH", help="file or folder")
    parser.add_argument("--format", choices=["auto", *names], default="auto", help="default: told by the content")
    parser.add_argument("--slide", metavar="NAME", help="slide the boxes belong to, when the file does not say")
    parser.add_argument(
        "--class", dest="class_map", action="append", default=[], metavar="[NAME=]CODE",
        help="give boxes of class NAME in the file the class CODE, made when it is new; NAME= leaves them out; CODE "
        "alone is for boxes without a class",
    )  # fmt: skip
    parser.add_argument(
        "--picture", dest="picture_map", action="append", default=[], metavar="PATH=SLIDE",
        help="picture PATH of the file is this slide, where names do not tell; PATH= leaves it out",
    )  # fmt: skip
    parser.add_argument(
        "--as-stored", action="store_true",
        help="boxes were marked on pictures as they are stored, not turned as here, where the file does not tell",
    )  # fmt: skip
    parser.add_argument("--skip-duplicates", action="store_true", help="leave out boxes that are there already")
    parser.add_argument("--dry-run", action="store_true", help="say what would happen and change nothing")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(handler=_import)


def _register_export(subparsers: Any, names: list[str]) -> None:
    parser = subparsers.add_parser(
        "export",
        description="Write every finding that counts (rejected ones too, with their state) as annotations; or the "
        "report, the marked overview, the history, or what a plugin adds. The confidence limit and the runs that are "
        "switched on decide what counts; filters of the window do not. Stage positions are written by stage export.",
    )
    parser.add_argument("project", type=Path, metavar="PROJECT.mqc")
    parser.add_argument("path", type=Path, metavar="PATH", help="file, or folder for formats with one file per slide")
    parser.add_argument("--format", choices=names, required=True, metavar="FORMAT", help=", ".join(names))
    add_slides(parser)
    parser.add_argument(
        "--state", choices=["unreviewed", "confirmed", "rejected"], action="append", help="only findings of this state"
    )
    parser.add_argument("--selected", action="store_true", help="only findings chosen for the SEM")
    parser.add_argument(
        "--shown", action="store_true", help="only what the filter shows that was left on in the window"
    )
    parser.add_argument("--rejected", action="store_true", help="rejected findings too, in report and overview")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(handler=_export)


def _import(args: argparse.Namespace) -> int:
    from microscope_qc.cli.progress import print_json, run
    from microscope_qc.core.wording import things
    from microscope_qc.project import Project
    from microscope_qc.workflows.exchange.importing import import_annotations

    with Project.open(args.project, write=not args.dry_run) as project:
        job = import_annotations(
            project,
            args.path,
            format=args.format,
            slide=args.slide,
            dry_run=args.dry_run,
            class_map=_class_map(args.class_map),
            picture_map=_pairs(args.picture_map, "a picture", "PATH=SLIDE, or PATH="),
            as_stored=args.as_stored,
            skip_duplicates=args.skip_duplicates,
        )
        result = run(job, args)
    if args.json:
        print_json(
            {
                "format": result.format,
                "boxes": result.boxes,
                "slides": result.slides,
                "new_classes": result.new_classes,
                "skipped": result.skipped,
                "unmatched": result.unmatched,
                "dry_run": result.dry_run,
                "classes": result.classes,
                "mapped": result.mapped,
                "duplicates": result.duplicates,
                "outlines": result.outlines,
                "noted": result.noted,
                "places": result.places,
                "files_left_out": result.files_left_out,
            }
        )
        return 0
    verb = "would be imported" if result.dry_run else "imported"
    print(f"{things(result.boxes, 'box', 'boxes')} {verb} ({result.format})")
    for name, count in result.slides.items():
        print(f"  {name}: {count}")
    for name, count in result.classes.items():
        code = result.mapped[name]
        shown = f"class {name}" if name else "without a class"
        print(f"  {shown}: {count}" + ("" if code == name else f", as {code}" if code else ", left out"))
    if result.duplicates:
        print(f"Boxes that are there already: {result.duplicates}")
    if result.new_classes:
        print(f"New classes: {', '.join(result.new_classes)}")
    for reason, count in result.skipped.items():
        print(f"Left out: {count} ({reason}){_where(result.places.get(reason, ()))}")
    for what, count in result.noted.items():
        print(f"Note: {count} ({what}){_where(result.places.get(what, ()))}")
    for name, reason in list(result.unmatched.items())[:MOST_LINES]:
        print(f"Picture left out: {name} ({reason})")
    for name, reason in list(result.files_left_out.items())[:MOST_LINES]:
        print(f"File left out: {name} ({reason})")
    for many in (result.unmatched, result.files_left_out):
        if len(many) > MOST_LINES:
            print(f"And {len(many) - MOST_LINES} more; --json names all of them")
    return 0


def _where(places: tuple[str, ...]) -> str:
    return f": {'; '.join(places)}" if places else ""


def _class_map(given: list[str]) -> dict[str, str | None]:
    without = [text.removeprefix("=") for text in given if "=" not in text or text.startswith("=")]
    named = _pairs([text for text in given if "=" in text and not text.startswith("=")], "a class", "NAME=CODE")
    return {**named, "": without[-1] or None} if without else named


def _pairs(given: list[str], what: str, pattern: str) -> dict[str, str | None]:
    from microscope_qc.core.errors import InputError

    result: dict[str, str | None] = {}
    for text in given:
        name, equals, target = text.rpartition("=")
        if not equals or not name:
            raise InputError(f"{text!r} does not say what becomes of {what}.", hint=f"Write {pattern}.")
        result[name] = target or None
    return result


def _export(args: argparse.Namespace) -> int:
    from microscope_qc.cli.progress import print_json, run
    from microscope_qc.core.boxes import ReviewState
    from microscope_qc.project import Project
    from microscope_qc.workflows.exports import ExportOptions, export_named

    states = None if args.state is None else tuple(ReviewState[word.upper()] for word in args.state)
    with Project.open(args.project, write=False) as project:
        wanted = slides_of(project, args.slide)
        export = export_named(args.format)
        one = wanted[0] if wanted is not None and len(wanted) == 1 and "slide_id" in export.takes else None
        several = None if wanted is None or one is not None else tuple(wanted)
        options = ExportOptions(
            one, states, chosen_only=args.selected, shown_only=args.shown, rejected=args.rejected, slide_ids=several
        )
        done = run(export.write(project, args.path, options), args)
    if args.json:
        print_json({"files": done.files, **done.facts})
        return 0
    print(done.words)
    if done.warning:
        print(done.warning)
    return 0
