"""Command ``filters``: what the window shows of a project, and filters kept by name."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from microscope_qc.cli.parts import Part, number, whole_number

if TYPE_CHECKING:
    from microscope_qc.cli.parts import Commands
    from microscope_qc.core.boxes import BoxFilter
    from microscope_qc.project import Project

_STATES = ("unreviewed", "confirmed", "rejected")
_SEARCHED = (
    "found by this search: words in note, reason, class, attributes or name of the slide, numbers of findings (#460), "
    "and conditions as “review --where” takes them; all of them must hold"
)


def register(subparsers: Commands) -> None:
    """Add the command."""
    filters = Part(
        subparsers, "filters", lists=_list,
        about="List the filter that the window shows a project with, and those kept by name; set, use, keep and delete "
        "filters. Like settings they are no part of undo.",
    )  # fmt: skip
    filters.listing("list the filter that is on and the kept ones")
    made = filters.action("set", "show what fits all of this, and nothing else", _set)
    made.add_argument("--class", dest="codes", action="append", metavar="CODE", help="this class (may be repeated)")
    made.add_argument("--state", dest="states", action="append", choices=_STATES, help="this state (may be repeated)")
    made.add_argument(
        "--found-by", dest="runs", action="append", metavar="RUN",
        help="found by this detection; none: drawn or imported (may be repeated)",
    )  # fmt: skip
    made.add_argument("--disputed", action="store_true", help="models disagree about its class")
    made.add_argument("--again", action="store_true", help="found again after a user had rejected or deleted it")
    made.add_argument("--chosen", action="store_true", help="chosen for the SEM")
    made.add_argument(
        "--number",
        dest="numbers",
        type=whole_number,
        nargs="+",
        metavar="N",
        help="one of the findings with these numbers",
    )
    made.add_argument("--text", default="", metavar="TEXT", help=_SEARCHED)
    for name, unit, what in (("size", "UM", "longer side in um"), ("confidence", "C", "confidence; judged ones stay")):
        for end, words in (("min", "at least"), ("max", "at most")):
            made.add_argument(f"--{end}-{name}", type=number, metavar=unit, help=f"{what}, {words}")
    filters.action("off", "show everything that counts", _off)
    for name, about, handler in (
        ("use", "show what a kept filter shows", _use),
        ("save", "keep the filter that is on under a name", _save),
        ("delete", "forget a kept filter", _delete),
    ):
        filters.action(name, about, handler).add_argument("name", metavar="NAME")


def _list(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import show
    from microscope_qc.project import Project

    with Project.open(args.project, write=False) as project:
        rows = [_row(project, None, project.filters.current)]
        rows += [_row(project, name, kept) for name, kept in project.filters.saved.items()]
    columns = {"name": "Filter", "words": "Shows"}
    if not args.json:
        rows = [{**row, "name": "(on now)" if row["name"] is None else row["name"]} for row in rows]
    show(args, rows, columns, "")
    return 0


def _row(project: Project, name: str | None, known: BoxFilter) -> dict[str, object]:
    """A filter as it is written for programs; a name of None is the one that is on."""
    from microscope_qc.project.wording import shown_words

    size = None if known.size_um is None else [limit if math.isfinite(limit) else None for limit in known.size_um]
    codes = {defect.id: defect.code for defect in project.classes}
    return {
        "name": name,
        "words": shown_words(project, known).removeprefix("shown: "),
        "classes": None if known.class_ids is None else sorted(codes.get(n, f"{n}") for n in known.class_ids),
        "states": None if known.states is None else [state.word for state in sorted(known.states)],
        "found_by": None if known.found_by is None else sorted(known.found_by),
        "chosen": known.only_chosen,
        "disputed": known.only_disputed,
        "again": known.only_again,
        "numbers": None if known.numbers is None else sorted(known.numbers),
        "text": known.text,
        "size_um": size,
        "confidence": [known.min_confidence, known.max_confidence],
    }


def _set(args: argparse.Namespace) -> int:
    from microscope_qc.core.boxes import BoxFilter, ReviewState
    from microscope_qc.core.search import read_search
    from microscope_qc.project.parts.filters import check_filter

    def change(project: Project) -> None:
        sized = args.min_size is not None or args.max_size is not None
        size = (args.min_size or 0.0, math.inf if args.max_size is None else args.max_size)
        states = None if args.states is None else frozenset(ReviewState[word.upper()] for word in args.states)
        codes = None if args.codes is None else frozenset(project.classes.by_code(code).id for code in args.codes)
        new = BoxFilter(
            min_confidence=_confidence(args.min_confidence, 0.0),
            max_confidence=_confidence(args.max_confidence, 1.0),
            class_ids=codes,
            states=states,
            found_by=None if args.runs is None else frozenset(_run(project, text) for text in args.runs),
            only_chosen=args.chosen,
            only_disputed=args.disputed,
            only_again=args.again,
            numbers=None if args.numbers is None else frozenset(args.numbers),
            text=args.text,
            size_um=size if sized else None,
        )
        read_search(new.text, project.filters.known())  # refuses one that cannot be read
        project.filters.set(check_filter(new))

    return _change(args, change)


def _confidence(value: float | None, otherwise: float) -> float:
    from microscope_qc.core.errors import InputError

    if value is None:
        return otherwise
    if not 0 <= value <= 1:
        raise InputError(f"{value:g} is not a confidence.", hint="Give a number from 0 to 1.")
    return value


def _run(project: Project, text: str) -> int:
    from microscope_qc.core.errors import InputError

    if text == "none":
        return 0
    if not text.isdecimal():
        raise InputError(f"“{text}” is not the number of a detection.", hint="“runs” lists them; none is drawn ones.")
    return project.runs.by_id(int(text)).id


def _off(args: argparse.Namespace) -> int:
    from microscope_qc.core.boxes import BoxFilter

    return _change(args, lambda project: project.filters.set(BoxFilter()))


def _use(args: argparse.Namespace) -> int:
    return _change(args, lambda project: project.filters.use(args.name))


def _save(args: argparse.Namespace) -> int:
    return _change(args, lambda project: project.filters.save(args.name))


def _delete(args: argparse.Namespace) -> int:
    return _change(args, lambda project: project.filters.delete(args.name))


def _change(args: argparse.Namespace, change: Callable[[Project], object]) -> int:
    """Change filters; say which one is on now, and where it shows nothing, why."""
    from microscope_qc.cli.progress import print_json
    from microscope_qc.project import Project
    from microscope_qc.workflows.review.why_nothing import why_nothing, why_words

    with Project.open(args.project) as project:
        change(project)
        row = _row(project, None, project.filters.current)
        names = list(project.filters.saved)
        slides = [slide.id for slide in project.slides]
        count = sum(int(project.boxes.shown(number).sum()) for number in slides)
        why = "" if count else why_words(project, why_nothing(project, slides), "in this project")
    if args.json:
        print_json({"now": row, "kept": names, "findings": count, "why_nothing": why or None})
    else:
        print(f"Shown: {row['words']}.")
        if why:
            print(why)
    return 0
