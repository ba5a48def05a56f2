"""Command ``classes``: the defect classes of a project."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from microscope_qc.cli.parts import Part, number

if TYPE_CHECKING:
    from microscope_qc.cli.parts import Commands
    from microscope_qc.project import Project

_COLUMNS = {
    "code": "Code", "name": "Name", "group": "Group", "key": "Key", "colour": "Colour", "weight": "Weight",
    "box_size_um": "Box µm", "counting": "Findings", "findings": "Stored",
}  # fmt: skip
_FIELDS = ("name", "colour", "key", "description", "weight", "box_size_um", "group")


def register(subparsers: Commands) -> None:
    """Add the command."""
    classes = Part(
        subparsers, "classes", lists=_list,
        about="List the classes of a project; add, change, merge, reorder and delete them; exchange them as sets.",
    )  # fmt: skip
    classes.listing("list the classes, in their order, with how many findings each has")
    add = classes.action("add", "add a class at the end", _add)
    add.add_argument("code", metavar="CODE", help="short code")
    add.add_argument("name", metavar="NAME", nargs="?")
    _add_fields(add)
    edit = classes.action("edit", "change a class", _edit)
    edit.add_argument("code", metavar="CODE")
    edit.add_argument("--name", metavar="NAME")
    _add_fields(edit)
    rename = classes.action("rename", "give a class another short code", _rename)
    rename.add_argument("code", metavar="CODE")
    rename.add_argument("new", metavar="NEW_CODE")
    merge = classes.action(
        "merge", "make one class of several: their findings get the class INTO, the others go", _merge
    )
    merge.add_argument("codes", metavar="CODE", nargs="+")
    merge.add_argument("--into", metavar="CODE", required=True)
    order = classes.action("order", "put classes first, in this order; the others follow as they were", _order)
    order.add_argument("codes", metavar="CODE", nargs="+")
    delete = classes.action("delete", "delete a class", _delete)
    delete.add_argument("code", metavar="CODE")
    what = delete.add_mutually_exclusive_group()
    what.add_argument("--move-to", metavar="CODE", help="class that its findings get")
    what.add_argument("--with-findings", action="store_true", help="its findings go with it")
    taken = classes.action("import", "add the classes of a set that the project lacks", _import)
    taken.add_argument("set", metavar="SET", help="li-ion, patches, magnet, or a file NAME.classes.json")
    taken.add_argument("--update", action="store_true", help="change classes that are there to what the set says")
    written = classes.action("export", "write the classes into a file for other projects", _export)
    written.add_argument("out", metavar="NAME.classes.json")


def _add_fields(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--colour", metavar="#RRGGBB")
    parser.add_argument("--key", metavar="KEY", help='its key in the window: 0 to 9 or Shift+0 to Shift+9; "" for none')
    parser.add_argument("--description", metavar="TEXT")
    parser.add_argument("--group", metavar="TEXT", help='such as Anode; "" for none')
    parser.add_argument(
        "--weight", type=number, metavar="W", help="how bad it is (usual: 1); larger stands further ahead"
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--box-size", dest="box_size_um", type=number, metavar="UM", help="side of the box of one click")
    size.add_argument("--no-box-size", action="store_true", help="one click makes no box")


def _list(args: argparse.Namespace) -> int:
    import numpy as np

    from microscope_qc.cli.parts import show
    from microscope_qc.core.boxes import class_counts
    from microscope_qc.project import Project

    with Project.open(args.project, write=False) as project:
        stored, rows = project.classes.box_counts(), project.boxes.rows()
        counting = class_counts(rows, np.ones(len(rows), bool))
        table = [
            {
                **{name: value for name, value in asdict(defect).items() if name != "id"},
                "counting": counting.get(defect.id, 0), "findings": stored[defect.id],
            }
            for defect in project.classes
        ]  # fmt: skip
    show(args, table, _COLUMNS, "There is no class in it yet.")
    return 0


def _add(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import change, given

    fields = given(args, _FIELDS)
    return change(args, lambda project: project.classes.add(args.code, **fields), code=args.code)


def _edit(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import change, given
    from microscope_qc.core.errors import InputError

    fields = given(args, _FIELDS)
    if args.no_box_size:
        fields["box_size_um"] = None
    if not fields:
        raise InputError("What is to be changed is not said.", hint="Give --name, --colour, --key, --weight, ...")
    return change(args, lambda project: project.classes.edit(_id(project, args.code), **fields), code=args.code)


def _rename(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import change

    return change(args, lambda project: project.classes.edit(_id(project, args.code), code=args.new), code=args.new)


def _merge(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import change

    def merge(project: Project) -> object:
        return project.classes.merge(_ids(project, args.codes), _id(project, args.into))

    return change(args, merge, code=args.into)


def _order(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import change

    def reorder(project: Project) -> None:
        first = _ids(project, args.codes)
        project.classes.reorder([*first, *(defect.id for defect in project.classes if defect.id not in first)])

    return change(args, reorder)


def _delete(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import change
    from microscope_qc.core.errors import InputError
    from microscope_qc.core.wording import things

    def delete(project: Project) -> None:
        number = _id(project, args.code)
        count = project.classes.box_counts()[number]
        if count and args.move_to is None and not args.with_findings:
            hint = "Say --move-to CODE to give them another class, or --with-findings to delete them too."
            raise InputError(f"The class {args.code} has {things(count, 'finding')}.", hint=hint)
        project.classes.delete(number, move_to=None if args.move_to is None else _id(project, args.move_to))

    return change(args, delete, code=args.code)


def _import(args: argparse.Namespace) -> int:
    from pathlib import Path

    from microscope_qc.cli.parts import change
    from microscope_qc.core.class_sets import SUFFIX, class_set

    classes = class_set(args.set)
    title = f"Add class set {Path(args.set).name.removesuffix(SUFFIX)}"
    return change(args, lambda project: project.classes.take(classes, update=args.update, title=title))


def _export(args: argparse.Namespace) -> int:
    from microscope_qc.cli.progress import print_json
    from microscope_qc.core.class_sets import save_class_set
    from microscope_qc.core.wording import things
    from microscope_qc.project import Project

    with Project.open(args.project, write=False) as project:
        written = save_class_set(args.out, project.classes)
        count = len(project.classes)
    if args.json:
        print_json({"file": written, "classes": count})
    else:
        print(f"{things(count, 'class', 'classes')} written to {written}")
    return 0


def _id(project: Project, code: str) -> int:
    return project.classes.by_code(code).id


def _ids(project: Project, codes: Sequence[str]) -> list[int]:
    return [_id(project, code) for code in codes]
