"""Commands ``marks``, ``alignments`` and ``bookmarks``: places on the slides of a project."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from microscope_qc.cli.parts import Part, number, whole_number

if TYPE_CHECKING:
    from microscope_qc.cli.parts import Commands
    from microscope_qc.project import Project
    from microscope_qc.project.parts.bookmarks import Bookmark
    from microscope_qc.project.records import Mark, RegistrationRecord, SlideRecord

_PLACES = ("x_px", "y_px", "stage_x_mm", "stage_y_mm")


def register(subparsers: Commands) -> None:
    """Add the commands."""
    _register_marks(subparsers)
    _register_alignments(subparsers)
    _register_bookmarks(subparsers)


def _slide_option(parser: argparse.ArgumentParser, *, every: bool = False) -> None:
    default = "all" if every else "the only one, or the first"
    # given before an action it must not be taken back by the action's own
    parser.add_argument(
        "--slide", metavar="NAME", default=argparse.SUPPRESS, help=f"slide of the project (default: {default})"
    )


def _list_by_slide(part: Part, about: str) -> None:
    part.parser.set_defaults(slide=None)
    for parser in (part.parser, part.listing(about)):
        _slide_option(parser, every=True)


def _register_marks(subparsers: Commands) -> None:
    marks = Part(
        subparsers, "marks", lists=_marks,
        about="List the marks on the slides of a project, which align them with a stage; add, move and delete marks.",
    )  # fmt: skip
    _list_by_slide(marks, "list the marks")
    add = marks.action("add", "place a mark", _add_mark)
    add.add_argument("name", metavar="NAME")
    edit = marks.action("edit", "move or rename a mark, or say where it lies on the stage", _edit_mark)
    edit.add_argument("name", metavar="NAME")
    edit.add_argument("--name", dest="new_name", metavar="NEW_NAME")
    for parser, required in ((add, True), (edit, False)):
        for axis in "xy":
            parser.add_argument(
                f"--{axis}", dest=f"{axis}_px", type=number, required=required, metavar="PX", help="in slide pixels"
            )
            parser.add_argument(
                f"--stage-{axis}", dest=f"stage_{axis}_mm", type=number, metavar="MM", help=f"stage {axis} there"
            )
        parser.add_argument(
            "--check", choices=["yes", "no"], help="whether it is kept out of the fit, to tell how far off that is"
        )
        _slide_option(parser)
    snap = marks.action("snap", "move a mark to the corner, crossing or indent near it", _snap_mark)
    snap.add_argument("name", metavar="NAME")
    snap.add_argument("--radius", type=number, metavar="UM", help="how far that may be (default 15)")
    _slide_option(snap)
    pictures = marks.action(
        "pictures", "take stage positions from SEM pictures (Zeiss, FEI) that are named after the marks", _mark_pictures
    )
    pictures.add_argument("pictures", type=Path, nargs="+", metavar="PICTURE", help="such as M1.tif; its middle counts")
    _slide_option(pictures)
    delete = marks.action("delete", "take a mark away", _delete_mark)
    delete.add_argument("name", metavar="NAME")
    _slide_option(delete)


def _register_alignments(subparsers: Commands) -> None:
    alignments = Part(
        subparsers, "alignments", lists=_alignments,
        about="List the alignments of slides with a stage; delete them. “stage fit” makes one from marks.",
    )  # fmt: skip
    _list_by_slide(alignments, "list the alignments")
    delete = alignments.action("delete", "delete an alignment", _delete_alignment)
    delete.add_argument("name", metavar="NAME")
    _slide_option(delete)


def _register_bookmarks(subparsers: Commands) -> None:
    bookmarks = Part(
        subparsers, "bookmarks", lists=_bookmarks,
        about="List the bookmarks of the slides of a project; add, rename and delete them. They are no part of undo.",
    )  # fmt: skip
    _list_by_slide(bookmarks, "list the bookmarks")
    add = bookmarks.action("add", "keep a view", _add_bookmark)
    add.add_argument("name", metavar="NAME")
    add.add_argument("--x", type=number, required=True, metavar="PX", help="its middle, in slide pixels")
    add.add_argument("--y", type=number, required=True, metavar="PX", help="its middle, in slide pixels")
    add.add_argument("--zoom", type=number, default=1.0, metavar="Z", help="screen points per slide pixel (default 1)")
    rename = bookmarks.action("rename", "give a bookmark another name", _rename_bookmark)
    rename.add_argument("number", type=whole_number, metavar="N", help="its place in the list of its slide, from 1")
    rename.add_argument("new", metavar="NEW_NAME")
    delete = bookmarks.action("delete", "forget a bookmark", _delete_bookmark)
    delete.add_argument("number", type=whole_number, metavar="N", help="its place in the list of its slide, from 1")
    for parser in (add, rename, delete):
        _slide_option(parser)


# -- marks ------------------------------------------------------------------------------------------------------------


def _marks(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import show
    from microscope_qc.project import Project

    with Project.open(args.project, write=False) as project:
        wanted = _wanted(project, args.slide)
        rows = [
            {
                "name": mark.name,
                "slide": wanted[mark.slide_id],
                **{key: getattr(mark, key) for key in (*_PLACES, "is_check")},
            }
            for mark in project.marks
            if mark.slide_id in wanted
        ]
    if not args.json:
        for row in rows:
            row["is_check"] = "check" if row["is_check"] else ""
    columns = {"name": "Mark", "slide": "Slide", "x_px": "x px", "y_px": "y px", "stage_x_mm": "Stage x mm",
               "stage_y_mm": "Stage y mm", "is_check": ""}  # fmt: skip
    show(args, rows, columns, "No mark is placed yet.")
    return 0


def _wanted(project: Project, name: str | None) -> dict[int, str]:
    """Slides that a list is about, by number."""
    records = list(project.slides) if name is None else [project.slides.named(name)]
    return {record.id: record.name for record in records}


def _mark(project: Project, slide: str | None, name: str) -> Mark:
    from microscope_qc.core.errors import InputError

    record = project.slides.named(slide)
    there = project.marks.of_slide(record.id)
    named = [mark for mark in there if mark.name == name]
    if not named:
        names = ", ".join(mark.name for mark in there) or "none yet"
        raise InputError(f"There is no mark {name} on {record.name}.", hint=f"Its marks are: {names}.")
    if len(named) > 1:
        raise InputError(f"{record.name} has several marks {name}.", hint="Give them different names in the window.")
    return named[0]


def _check_new_name(project: Project, slide: SlideRecord, name: str) -> None:
    """Refuse a name that a mark of the slide has: it could not be named on the command line any more."""
    from microscope_qc.core.errors import InputError

    if any(mark.name == name.strip() for mark in project.marks.of_slide(slide.id)):
        raise InputError(f"There is a mark {name.strip()} on {slide.name} already.", hint="Choose another name.")


def _add_mark(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import change

    def add(project: Project) -> None:
        slide = project.slides.named(args.slide)
        _check_new_name(project, slide, args.name)
        project.marks.add(
            slide.id, args.name, **{key: getattr(args, key) for key in _PLACES}, is_check=args.check == "yes"
        )

    return change(args, add, mark=args.name)


def _edit_mark(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import change, given
    from microscope_qc.core.errors import InputError

    columns = given(args, _PLACES)
    if args.new_name is not None:
        columns["name"] = args.new_name
    if args.check is not None:
        columns["is_check"] = args.check == "yes"
    if not columns:
        raise InputError(
            "What is to be changed is not said.", hint="Give --x, --y, --stage-x, --stage-y, --check or --name."
        )

    def edit(project: Project) -> None:
        mark = _mark(project, args.slide, args.name)
        if args.new_name is not None and args.new_name.strip() != mark.name:
            _check_new_name(project, project.slides.named(args.slide), args.new_name)
        project.marks.edit(mark.id, **columns)

    return change(args, edit, mark=args.name)


def _snap_mark(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import change
    from microscope_qc.workflows.stage.marks import exact_place, move_to

    def snap(project: Project) -> None:
        mark = _mark(project, args.slide, args.name)
        move_to(project, mark, exact_place(project.slides.by_id(mark.slide_id), mark, radius_um=args.radius))

    return change(args, snap, mark=args.name)


def _mark_pictures(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import done, step
    from microscope_qc.cli.progress import run
    from microscope_qc.project import Project
    from microscope_qc.workflows.stage.sem_pictures import CENTRED, keep_pictures, read_sem_pictures

    with Project.open(args.project) as project:
        marks = project.marks.of_slide(project.slides.named(args.slide).id)
        found = run(read_sem_pictures(args.pictures, marks), args)
        entry = step(project, lambda: keep_pictures(project, found))
    names = {mark.id: mark.name for mark in marks}
    rows: list[dict[str, Any]] = [
        {"picture": p.path.name, "mark": names[p.mark or 0], "stage_mm": list(p.stage_mm), "notes": list(p.notes)}
        for p in found.pictures
    ]
    if not args.json:
        for row in rows:
            x, y = row["stage_mm"]
            print(f"{row['mark']}: {x:.4f}, {y:.4f} mm ({row['picture']}) {' '.join(row['notes'])}".rstrip())
        print(CENTRED)
    done(args, entry, {"pictures": rows})
    return 0


def _delete_mark(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import change

    return change(args, lambda project: project.marks.delete(_mark(project, args.slide, args.name).id), mark=args.name)


# -- alignments -------------------------------------------------------------------------------------------------------


def _alignments(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import show
    from microscope_qc.project import Project

    with Project.open(args.project, write=False) as project:
        wanted = _wanted(project, args.slide)
        rows = [
            _alignment(record, wanted[record.slide_id], whole=args.json)
            for record in project.registrations
            if record.slide_id in wanted
        ]
    columns = {"name": "Alignment", "slide": "Slide", "model": "Model", "n": "Marks", "sigma_um": "Error µm",
               "rotation_deg": "Rotation °"}  # fmt: skip
    show(args, rows, columns, "No slide is aligned yet.")
    return 0


def _alignment(record: RegistrationRecord, slide: str, *, whole: bool) -> dict[str, object]:
    """What is stored of an alignment; rounded and in parts for the table."""
    from microscope_qc.core.errors import MicroscopeQCError
    from microscope_qc.correlation.registration import Registration

    row: dict[str, object] = {"name": record.name, "slide": slide}
    if whole:
        return {**row, **record.data}
    try:
        fitted = Registration.from_dict(record.data)
    except (MicroscopeQCError, KeyError, TypeError, ValueError):
        return {**row, "model": "cannot be read", "n": None, "sigma_um": None, "rotation_deg": None}
    sigma = None if fitted.sigma_um is None else round(fitted.sigma_um, 2)
    return {
        **row, "model": fitted.model, "n": fitted.n, "sigma_um": sigma, "rotation_deg": round(fitted.rotation_deg, 3),
    }  # fmt: skip


def _delete_alignment(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import change
    from microscope_qc.workflows.stage.stage import find_registration

    def delete(project: Project) -> None:
        slide_id = None if args.slide is None else project.slides.named(args.slide).id
        found, name, _ = find_registration(project, args.name, slide_id=slide_id)
        project.registrations.delete(next(r.id for r in project.registrations if (r.slide_id, r.name) == (found, name)))

    return change(args, delete, alignment=args.name)


# -- bookmarks --------------------------------------------------------------------------------------------------------


def _bookmarks(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import show
    from microscope_qc.project import Project

    with Project.open(args.project, write=False) as project:
        rows = [
            {"number": number, "slide": name, "name": kept.name, "x_px": kept.x, "y_px": kept.y, "zoom": kept.zoom}
            for slide_id, name in _wanted(project, args.slide).items()
            for number, kept in enumerate(project.bookmarks.of_slide(slide_id), start=1)
        ]
    columns = {"number": "N", "slide": "Slide", "name": "Bookmark", "x_px": "x px", "y_px": "y px", "zoom": "Zoom"}
    show(args, rows, columns, "There is no bookmark yet.")
    return 0


def _add_bookmark(args: argparse.Namespace) -> int:
    from microscope_qc.project.parts.bookmarks import Bookmark

    made = Bookmark.from_dict({"name": args.name.strip(), "x": args.x, "y": args.y, "zoom": args.zoom})
    return _keep(args, lambda there: [*there, made], f"Bookmark {made.name} added")


def _rename_bookmark(args: argparse.Namespace) -> int:
    from dataclasses import replace

    def rename(there: list[Bookmark]) -> list[Bookmark]:
        place = _bookmark_place(there, args.number)
        return [*there[:place], replace(there[place], name=args.new.strip()), *there[place + 1 :]]

    return _keep(args, rename, f"Bookmark {args.number} is called {args.new.strip()} now")


def _delete_bookmark(args: argparse.Namespace) -> int:
    def delete(there: list[Bookmark]) -> list[Bookmark]:
        place = _bookmark_place(there, args.number)
        return [*there[:place], *there[place + 1 :]]

    return _keep(args, delete, f"Bookmark {args.number} deleted")


def _bookmark_place(there: list[Bookmark], number: int) -> int:
    from microscope_qc.core.errors import InputError

    if not 1 <= number <= len(there):
        count = f"has {len(there)} bookmarks" if there else "has no bookmark"
        raise InputError(f"There is no bookmark {number}: the slide {count}.", hint="“bookmarks” lists them.")
    return number - 1


def _keep(args: argparse.Namespace, change: Callable[[list[Bookmark]], list[Bookmark]], says: str) -> int:
    """Change the bookmarks of one slide, and say so."""
    from microscope_qc.cli.progress import print_json
    from microscope_qc.core.errors import InputError
    from microscope_qc.project import Project

    with Project.open(args.project) as project:
        slide = project.slides.named(args.slide)
        there = change(project.bookmarks.of_slide(slide.id))
        if not all(bookmark.name for bookmark in there):
            raise InputError("A bookmark needs a name.")
        project.bookmarks.set(slide.id, there)
    if args.json:
        print_json({"slide": slide.name, "bookmarks": [bookmark.name for bookmark in there]})
    else:
        print(f"{says}.")
    return 0
