"""What the commands about the parts of a project share: ``COMMAND PROJECT.mqc [ACTION ...]``, tables and JSON."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import TypeAlias

    from microscope_qc.project import Project
    from microscope_qc.project.records import LogEntry
    from microscope_qc.workflows.left_out import LeftOut

    Commands: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]

Handler = Callable[[argparse.Namespace], "int | None"]
_LARGEST, _LONGEST = 2**53, 30
_WHOLE = re.compile(r"[+-]?[0-9]+")
DATASET = (
    "project, of which what was confirmed, drawn and rejected counts; or folder with annotations in any format that "
    "can be imported (COCO, Pascal VOC, YOLO, ...) and with their pictures, also in folders below it; or folder with a "
    "folder for each class, or laid out like MVTec AD; or a file of annotations"
)
"""What can be learned from or measured on, for the help."""
KEEP_BAD = "keep pictures that are out of focus or mostly black or white, unlike the others (default: leave them out)"
Cell = str | int | float | bool | None


class Part:
    """The command about one part of a project; without an action it lists that part."""

    def __init__(self, subparsers: Commands, name: str, *, about: str, lists: Handler) -> None:
        self.parser: argparse.ArgumentParser = subparsers.add_parser(name, description=about)
        self.parser.add_argument("project", type=Path, metavar="PROJECT.mqc", help="folder of the project")
        self.parser.set_defaults(handler=lists, json=False)
        self._actions = self.parser.add_subparsers(required=False, metavar="ACTION", title="actions")
        self._lists = lists

    def listing(self, about: str) -> argparse.ArgumentParser:
        """Add ``list``, which is also what happens without an action."""
        add_json(self.parser)
        return self.action("list", about, self._lists)

    def action(self, name: str, about: str, handler: Handler) -> argparse.ArgumentParser:
        """Add an action; return its parser."""
        parser: argparse.ArgumentParser = self._actions.add_parser(name, help=about, description=f"{about}.")
        add_json(parser)
        parser.set_defaults(handler=handler)
        return parser


def number(text: str) -> float:
    """Read a number of an option, with a decimal point or comma: for ``type`` of an argument."""
    from microscope_qc.core.errors import InputError
    from microscope_qc.core.numbers import parse_number

    try:
        return parse_number(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def setting(text: str) -> tuple[str, Any]:
    """Read ``NAME=VALUE``, with a value as JSON writes it, or a word: for ``type`` of an argument."""
    name, sign, value = text.partition("=")
    if not name or not sign:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def add_json(parser: argparse.ArgumentParser) -> None:
    """Give a parser the flag ``--json``."""
    # given before an action it must not be taken back by the action's own
    parser.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON document")


def add_slides(parser: argparse.ArgumentParser) -> None:
    """Give a parser the flag ``--slide`` of commands that work over all slides; see :func:`slides_of`."""
    parser.add_argument(
        "--slide", metavar="NAME", action="append", help="only this slide; may be given several times (default: all)"
    )


def add_largest(parser: argparse.ArgumentParser) -> None:
    """Give a parser the flags of the largest size that is expected."""
    parser.add_argument(
        "--in-mm2", type=area_mm2, metavar="MM2",
        help="the area on which the largest size is expected (default: 1,000 times one that was searched)",
    )  # fmt: skip
    parser.add_argument(
        "--fields-mm2", type=area_mm2, metavar="MM2",
        help="cut sections into square fields of this area for the largest size (default: a section is one area)",
    )  # fmt: skip


def add_control(parser: argparse.ArgumentParser) -> None:
    """Give a parser the flags of a control chart."""
    parser.add_argument(
        "--chart", choices=("u", "laney", "individuals", "ewma", "nqi"), default="laney",
        help="u: limits of chance alone; laney: as much wider as points differ by more (default); individuals: with "
        "moving range; ewma: for small shifts that last; nqi: quality index, of the area that the score map of an "
        "anomaly model has above its threshold",
    )  # fmt: skip
    parser.add_argument(
        "--rules", choices=("limits", "western-electric", "nelson"), default="limits",
        help="by which points of a control chart are unusual (default: limits)",
    )  # fmt: skip
    parser.add_argument(
        "--phase-1", type=several, metavar="N",
        help="take the limits from the first N points (default: the frozen ones, otherwise from all)",
    )  # fmt: skip


def several(text: str) -> int:
    """Read how many there are: 2 or more."""
    value = whole_number(text)
    if value < 2:
        raise argparse.ArgumentTypeError(f"{text[:30]} is below 2")
    return value


def area_mm2(text: str) -> float:
    """Read an area in mm2: above 0."""
    value = number(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text[:30]} is not above 0")
    return value


def slides_of(project: Project, names: Sequence[str] | None) -> list[int] | None:
    """Ids of the slides that were named, each once; None where none was.

    Raises
    ------
    InputError
        When there is no slide of such a name.
    """
    return None if not names else list(dict.fromkeys(project.slides.named(name).id for name in names))


def print_numbers(
    args: argparse.Namespace,
    found: dict[str, Any],
    *,
    lines: Callable[[dict[str, Any]], Iterable[str]],
    write: Callable[[Path, dict[str, Any]], object],
) -> int:
    """Print numbers as JSON or as lines, and write them as a table, as ``--json`` and ``--csv`` say."""
    from microscope_qc.cli.progress import print_json

    if args.csv is not None:
        write(args.csv, found)
    if args.json:
        print_json(found)
    elif args.csv is not None:
        print(args.csv)
    else:
        print("\n".join(lines(found)))
    return 0


def slides_of_only(projects: Sequence[Path | str], names: Sequence[str] | None) -> list[int] | None:
    """Ids of the slides that were named, of the only project; None where none was.

    Raises
    ------
    InputError
        When there are several projects, or no slide of such a name.
    """
    from microscope_qc.core.errors import InputError
    from microscope_qc.project import Project

    if not names:
        return None
    if len(projects) > 1:
        raise InputError("--slide is for one project.", hint="Name one project, or leave --slide out.")
    with Project.open(projects[0], write=False) as project:
        return slides_of(project, names)


def say_left_out(left_out: Sequence[LeftOut], *, again: bool = False) -> int:
    """End with what failed, each slide with its reason; 0 where nothing did.

    ``again`` says that the same command does only what is left.

    Raises
    ------
    MicroscopeQCError
        When something was left out; the others are done.
    """
    from microscope_qc.core.errors import MicroscopeQCError
    from microscope_qc.core.wording import things
    from microscope_qc.workflows.left_out import left_out_lines

    if not left_out:
        return 0
    how = "; the same command does what is left" if again else ""
    heading = f"{things(len(left_out), 'slide')} could not be done, all others are{how}:"
    raise MicroscopeQCError("\n".join([heading, *left_out_lines(left_out)]))


def show(args: argparse.Namespace, rows: Sequence[Mapping[str, object]], columns: Mapping[str, str], none: str) -> None:
    """Print rows as one JSON list, or their ``columns`` (key: heading) as a table; ``none`` where there is no row."""
    from microscope_qc.cli.progress import print_json

    if args.json:
        print_json(rows)
    elif rows:
        print("\n".join(table([[row[key] for key in columns] for row in rows], list(columns.values()))))
    else:
        print(none)


def table(rows: Iterable[Sequence[object]], headings: Sequence[str]) -> list[str]:
    """Lines of a table; a column of numbers stands at its right side."""
    given = [list(row) for row in rows]
    lines = [list(headings), *([cell_text(value) for value in row] for row in given)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(headings))]
    right = [
        any(isinstance(row[place], int | float) for row in given)
        and all(row[place] is None or _is_number(row[place]) for row in given)
        for place in range(len(headings))
    ]
    return [
        "  ".join(
            text.rjust(width) if ends else text.ljust(width)
            for text, width, ends in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in lines
    ]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def cell_text(value: object) -> str:
    """One cell: one line, whatever is in it."""
    from microscope_qc.core.numbers import short_text

    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = (short_text(value) or "–") if isinstance(value, float) else str(value)
    return "".join(character if character.isprintable() else " " for character in text)


def step(project: Project, change: Callable[[], object]) -> LogEntry | None:
    """Change a project; return the step of its history that this made, None where nothing had to be changed."""
    before = project.history.undo_entry
    change()
    after = project.history.undo_entry
    return None if after is None or (before is not None and after.id == before.id) else after


def done(args: argparse.Namespace, entry: LogEntry | None, document: Mapping[str, object]) -> None:
    """Say what was done: the step of the history (None: nothing had to be changed), or JSON of it."""
    from microscope_qc.cli.progress import print_json

    if args.json:
        print_json({**document, "step": None if entry is None else {"number": entry.id, "title": entry.title}})
    else:
        print(f"{entry.title}." if entry is not None else "Nothing had to be changed.")


def change(args: argparse.Namespace, act: Callable[[Project], object], **document: object) -> int:
    """Open ``args.project`` for writing, change it by one command, and say what was done; return the exit code."""
    from microscope_qc.project import Project

    with Project.open(args.project) as project:
        entry = step(project, lambda: act(project))
    done(args, entry, document)
    return 0


def given(args: argparse.Namespace, names: Iterable[str]) -> dict[str, Any]:
    """Return those of some arguments that were given."""
    return {name: value for name in names if (value := getattr(args, name)) is not None}


def whole_number(text: str) -> int:
    """Read a whole number that databases and arrays can hold."""
    if not _WHOLE.fullmatch(text.strip()):
        raise argparse.ArgumentTypeError(f"{text[:30]!r} is not a whole number")
    if len(text) > _LONGEST or abs(int(text)) > _LARGEST:
        raise argparse.ArgumentTypeError(f"{text[:30]} is too large")
    return int(text)


def count(text: str) -> int:
    """Read how many there may be: 0 or more."""
    value = whole_number(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text[:30]} is below 0")
    return value


def side_px(text: str) -> int:
    """Read the side of a picture in pixels."""
    value = whole_number(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"a picture cannot have {text[:30]} pixels")
    return value


def region_argument(text: str) -> tuple[int, int, int, int]:
    """Read the argument Y0,X0,Y1,X1."""
    try:
        y0, x0, y1, x1 = (whole_number(part) for part in text.split(","))
    except (ValueError, argparse.ArgumentTypeError) as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not Y0,X0,Y1,X1 in whole pixels") from error
    return y0, x0, y1, x1
