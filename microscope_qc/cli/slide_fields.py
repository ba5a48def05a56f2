"""Actions of the command ``slides``: what is known of the specimens on the slides."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from microscope_qc.cli.parts import Part

if TYPE_CHECKING:
    from microscope_qc.project import Project
    from microscope_qc.workflows.specimens.plan import FieldPlan


def register(slides: Part) -> None:
    """Add the actions."""
    shown = slides.action("fields", "list what is known of the specimens, or write it into a table", _fields)
    shown.add_argument("out", metavar="OUT.csv|xlsx", nargs="?", type=Path, help="table to be filled and taken back")
    one = slides.action("set-field", "say something about the specimens on all slides, or on some", _set_field)
    one.add_argument("values", metavar="FIELD=VALUE", nargs="+", help='"FIELD=" takes a value away')
    add_slides(one)
    table = slides.action("set-fields", "take what is known of the specimens from a table", _set_fields)
    table.add_argument("file", metavar="FILE", type=Path, help="CSV or XLSX with a column “slide”")
    table.add_argument("--add-fields", action="store_true", help="columns that are no field become fields for text")
    table.add_argument("--clear", action="store_true", help="empty cells take values away")
    _add_dry_run(table)
    names = slides.action("fields-from-names", "take what is known of the specimens from the names of files", _names)
    names.add_argument("pattern", metavar="PATTERN", help="such as {batch}_{specimen}_{part}; {*} is anything")
    add_slides(names)
    _add_dry_run(names)
    added = slides.action("add-field", "add a field to those that every project has", _add_field)
    added.add_argument("name", metavar="NAME")
    added.add_argument("--kind", choices=("text", "number", "date", "choice"), default="text")
    added.add_argument("--unit", metavar="UNIT", default="", help="of a number")
    added.add_argument("--choice", metavar="TEXT", action="append", default=[], help="may be repeated")
    edited = slides.action("edit-field", "rename an added field, or change what can be chosen", _edit_field)
    edited.add_argument("name", metavar="NAME")
    edited.add_argument("--rename", metavar="NEW_NAME")
    edited.add_argument("--choice", metavar="TEXT", action="append", help="may be repeated; these replace the others")
    removed = slides.action("remove-field", "remove an added field with its values", _remove_field)
    removed.add_argument("name", metavar="NAME")


def add_slides(parser: argparse.ArgumentParser) -> None:
    """Give a parser the option ``--slide``, which may be repeated."""
    parser.add_argument(
        "--slide", metavar="NAME", action="append", help="only this slide (may be repeated; default: all slides)"
    )


def _add_dry_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="say what would change, and change nothing")


def slide_ids(project: Project, names: list[str] | None) -> list[int]:
    """Return the ids of the slides with these names, of all for None."""
    found = list(project.slides) if names is None else [project.slides.named(name) for name in names]
    return [slide.id for slide in found]


def _fields(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import show
    from microscope_qc.cli.progress import print_json
    from microscope_qc.core.wording import things
    from microscope_qc.project import Project
    from microscope_qc.workflows.specimens.tables import write_fields

    with Project.open(args.project, write=False) as project:
        if args.out is not None:
            count = write_fields(project, args.out)
            if args.json:
                print_json({"file": args.out, "slides": count})
            else:
                print(f"{things(count, 'slide')} written to {args.out}")
            return 0
        known = project.fields.known
        rows: list[dict[str, Any]] = [{"slide": slide.name, **slide.fields} for slide in project.slides]
    used = {field.name: field.heading for field in known if any(field.name in row for row in rows)}
    columns = {"slide": "Slide", **used}
    if not args.json:
        rows = [{name: row.get(name) for name in columns} for row in rows]
    none = "Nothing is known of the specimens yet." if not args.json else ""
    show(args, rows if used or args.json else [], columns, none)
    return 0


def _set_field(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import change
    from microscope_qc.core.errors import InputError

    values: dict[str, str] = {}
    for given in args.values:
        name, equals, value = given.partition("=")
        if not equals or not name.strip():
            raise InputError(f"“{given}” is not a field and its value.", hint="Write it as batch=12.")
        values[name] = value
    return change(
        args, lambda project: project.fields.set({number: values for number in slide_ids(project, args.slide)})
    )


def _set_fields(args: argparse.Namespace) -> int:
    from microscope_qc.workflows.specimens.tables import read_fields

    def plan(project: Project) -> FieldPlan:
        return read_fields(project, args.file, add_fields=args.add_fields, clear=args.clear)

    return _take(args, plan, f"Fields from {args.file.name}")


def _names(args: argparse.Namespace) -> int:
    from microscope_qc.workflows.specimens.patterns import name_pattern, plan_of_names, read_names

    def plan(project: Project) -> FieldPlan:
        pattern = name_pattern(project.fields.known, args.pattern)
        return plan_of_names(read_names(project, pattern, slide_ids=slide_ids(project, args.slide)))

    return _take(args, plan, f"Fields from file names {args.pattern}")


def _take(args: argparse.Namespace, make: Any, title: str) -> int:
    from microscope_qc.cli.parts import step
    from microscope_qc.cli.progress import print_json
    from microscope_qc.core.wording import things
    from microscope_qc.project import Project
    from microscope_qc.workflows.specimens.plan import take_over

    with Project.open(args.project, write=not args.dry_run) as project:
        plan: FieldPlan = make(project)
        entry = None if args.dry_run else step(project, lambda: take_over(project, plan, title=title))
    if args.json:
        print_json(
            {
                "slides": plan.slides,
                "changes": [
                    {"slide": change.slide, "field": change.field.name, "before": change.before, "after": change.after}
                    for change in plan.changes
                ],
                "new_fields": [field.name for field in plan.new],
                "problems": plan.problems,
                "step": None if entry is None else {"number": entry.id, "title": entry.title},
            }
        )
        return 0
    if args.dry_run:
        for change in plan.changes:
            before, after = change.field.text(change.before) or "–", change.field.shown(change.after) or "–"
            print(f"{change.slide}: {change.field.title or change.field.name} {before} -> {after}")
    for problem in plan.problems:
        print(f"Left out: {problem}")
    would = "would be" if args.dry_run else "were"
    print(f"{things(len(plan.changes), 'value')} on {things(plan.slide_count, 'slide')} {would} changed.")
    return 0


def _add_field(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import change

    return change(args, lambda project: project.fields.add(args.name, args.kind, unit=args.unit, choices=args.choice))


def _edit_field(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import change
    from microscope_qc.core.errors import InputError

    if args.rename is None and args.choice is None:
        raise InputError("What is to be changed is not said.", hint="Give --rename or --choice.")
    return change(
        args, lambda project: project.fields.edit(_own(project, args.name), name=args.rename, choices=args.choice)
    )


def _remove_field(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import change

    return change(args, lambda project: project.fields.remove(_own(project, args.name)))


def _own(project: Project, name: str) -> int:
    from microscope_qc.core.errors import InputError

    field = project.fields.named(name)
    if not field.id:
        raise InputError(f"{field.title} is a field that every project has.", hint="Only added fields can be changed.")
    return field.id
