"""Command ``slides``: the slides of a project."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from microscope_qc.cli import slide_fields
from microscope_qc.cli.intake import LISTED, SLIDES_HELP, add_intake_flags
from microscope_qc.cli.parts import Part

if TYPE_CHECKING:
    from microscope_qc.cli.parts import Commands
    from microscope_qc.project import Project
    from microscope_qc.project.records import SlideRecord


def register(subparsers: Commands) -> None:
    """Add the command."""
    slides = Part(
        subparsers, "slides", lists=_list,
        about="List the slides of a project; add, rename, locate and remove slides; set their pixel size, and what is "
        "known of the specimens on them.",
    )  # fmt: skip
    slides.listing("list the slides")
    add = slides.action("add", "add slides in one step; those that are there already are left as they are", _add)
    add.add_argument("paths", nargs="+", metavar="SLIDE|FOLDER", help=SLIDES_HELP)
    add_intake_flags(add)
    add.add_argument("--scene", metavar="NAME", help="only this scene of a file with several")
    remove = slides.action("remove", "take a slide out, with all that belongs to it; its file stays", _remove)
    remove.add_argument("name", metavar="NAME")
    rename = slides.action("rename", "give a slide another name", _rename)
    rename.add_argument("name", metavar="NAME")
    rename.add_argument("new", metavar="NEW_NAME")
    size = slides.action("set-pixel-size", "say how large a pixel of all slides is, or of some", _pixel_size)
    size.add_argument("um", metavar="UM", help="micrometres; WIDTHxHEIGHT where they differ; none takes it away")
    slide_fields.add_slides(size)
    slides.action("identify", "read slides whole, so that each is known again by its content", _identify)
    locate = slides.action("locate", "say where the file of a slide lies now", _locate)
    locate.add_argument("name", metavar="NAME")
    locate.add_argument("path", type=Path, metavar="PATH")
    locate.add_argument("--force", action="store_true", help="also when its content is not that of the slide")
    accept = slides.action("accept", "take what the file of a slide holds now, after it has changed", _accept)
    accept.add_argument("name", metavar="NAME")
    slide_fields.register(slides)


def _list(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import show
    from microscope_qc.cli.progress import run
    from microscope_qc.project import Project
    from microscope_qc.workflows.intake.changes import changed_slides

    with Project.open(args.project, write=False) as project:
        changed = {record.id for record in run(changed_slides(project), args)}
        rows = _slides(project, project.slides, changed)
    columns = {
        "name": "Slide", "width_px": "Width px", "height_px": "Height px", "pixel_um": "Pixel µm",
        "findings": "Findings", "left": "Left", "runs": "Runs", "file": "File",
    }  # fmt: skip
    if not args.json:
        rows = [_words(row) for row in rows]
    show(args, rows, columns, "There is no slide in it yet.")
    return 0


def _slides(project: Project, records: Sequence[SlideRecord], changed: Collection[int] = ()) -> list[dict[str, object]]:
    """Facts about slides; findings are those that count, without rejected ones, and which of them are left to judge."""
    from collections import Counter

    from microscope_qc.project.counting import StateCounts, count_states

    counts, none = count_states(project.path, project.inclusion.current), StateCounts()
    runs = Counter(run.slide_id for run in project.runs)
    return [
        {
            "name": record.name,
            "path": record.path,
            "scene": record.scene,
            "missing": record.missing,
            "changed": record.id in changed,
            "shape_px": record.shape_px,
            "pixel_size_um": record.pixel_size_um,
            "findings": counts.get(record.id, none).kept,
            "left": counts.get(record.id, none).unreviewed,
            "runs": runs[record.id],
            "fields": record.fields,
        }
        for record in records
    ]


def _words(row: dict[str, object]) -> dict[str, object]:
    """Shape, pixel size and file as they stand in the table."""
    from microscope_qc.core.numbers import short_text

    size = row["pixel_size_um"]
    pixel = None
    if isinstance(size, tuple):
        y, x = (short_text(side, 9) for side in size)
        pixel = x if x == y else f"{x}x{y}"
    height, width = row["shape_px"] if isinstance(row["shape_px"], tuple) else (0, 0)
    file = f"{row['path']}" + (", not there any more" if row["missing"] else "")
    file += ", changed since its findings were made" if row["changed"] else ""
    return {**row, "width_px": width, "height_px": height, "pixel_um": pixel, "file": file}


def _add(args: argparse.Namespace) -> int:
    from microscope_qc.cli.intake import print_left_out
    from microscope_qc.cli.progress import print_json, run
    from microscope_qc.core.wording import things
    from microscope_qc.project import Project
    from microscope_qc.workflows.intake.adding import add_slides

    with Project.open(args.project) as project:
        job = add_slides(
            project, args.paths, scene=args.scene, again=args.again, masks=args.masks, subfolders=args.subfolders
        )
        result = run(job, args)
        rows = _slides(project, result.added)
    print_left_out(result.plan, args)
    if args.json:
        print_json(rows)
        return 0
    for record in result.added[:LISTED]:
        print(f"Added {record.name}, {record.shape_px[1]} x {record.shape_px[0]} px.")
    if len(result.added) > LISTED:
        print(f"Added {things(len(result.added) - LISTED, 'more slide')}.")
    if not result.added:
        print("They are in the project already." if result.plan.there else "Nothing was added.")
    return 0


def _remove(args: argparse.Namespace) -> int:
    return _change(args, lambda project, record: project.slides.remove(record.id))


def _rename(args: argparse.Namespace) -> int:
    return _change(args, lambda project, record: project.slides.rename(record.id, args.new))


def _locate(args: argparse.Namespace) -> int:
    from microscope_qc.cli.progress import run
    from microscope_qc.workflows.intake.identity import located_facts

    def change(project: Project, record: SlideRecord) -> None:
        facts = run(located_facts(record, args.path), args)
        project.slides.relocate(record.id, args.path, force=args.force, facts=facts)

    return _change(args, change)


def _accept(args: argparse.Namespace) -> int:
    from microscope_qc.cli.progress import run
    from microscope_qc.workflows.intake import changes

    return _change(args, lambda project, record: run(changes.accept(project, record.id), args))


def _identify(args: argparse.Namespace) -> int:
    from microscope_qc.cli.progress import print_json, run
    from microscope_qc.core.wording import things
    from microscope_qc.project import Project
    from microscope_qc.workflows.intake.identity import read_contents

    with Project.open(args.project) as project:
        waiting = [record for record in project.slides if not record.content]
        contents = run(read_contents(waiting), args)
        project.slides.note_contents(contents)
        left = [record.name for record in waiting if record.id not in contents]
        rows = [{"name": record.name, "content": record.content} for record in project.slides]
    if args.json:
        print_json(rows)
        return 0
    print(f"{things(len(contents), 'slide')} read, {len(rows) - len(waiting)} had been read before.")
    if left:
        print(f"Not found or not readable: {', '.join(left[:LISTED])}{' ...' if len(left) > LISTED else ''}.")
    return 0


def _pixel_size(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import done, step
    from microscope_qc.core.wording import pixel_size_text
    from microscope_qc.project import Project

    size = parse_um(args.um)
    with Project.open(args.project) as project:
        ids = slide_fields.slide_ids(project, args.slide)
        slides = [project.slides.by_id(number) for number in ids]
        entry = step(project, lambda: project.slides.set_pixel_sizes(ids, size))
    had = {slide.name: um for slide in slides if (um := slide.pixel_size_um) is not None and um != size}
    done(args, entry, {"slides": [slide.name for slide in slides], "replaced_um": had})
    if had and not args.json:
        print("They had another size:" if len(had) > 1 else "It had another size:")
        for name, um in had.items():
            print(f"  {name}: {pixel_size_text(um)}")
    return 0


def parse_um(text: str) -> tuple[float, float] | None:
    """Return a pixel size (y, x) in um: ``0.5``, ``0.5x0.4`` (width x height), or None for ``none``.

    Raises
    ------
    InputError
        When it is neither.
    """
    from microscope_qc.core.errors import InputError
    from microscope_qc.core.numbers import parse_number

    if text.strip().casefold() == "none":
        return None
    try:
        parts = text.casefold().replace("×", "x").split("x")
        numbers = [parse_number(part, unit="um", what="The pixel size") for part in parts]
    except InputError:
        numbers = []
    if len(numbers) not in (1, 2):
        hint = "Give micrometres such as 0.5, or width x height such as 0.5x0.4."
        raise InputError(f"“{text}” is not a pixel size.", hint=hint)
    return numbers[-1], numbers[0]


def _change(args: argparse.Namespace, change: Callable[[Project, SlideRecord], object]) -> int:
    """Change one slide, named by ``args.name``."""
    from microscope_qc.cli.parts import done, step
    from microscope_qc.project import Project

    with Project.open(args.project) as project:
        record = project.slides.named(args.name)
        entry = step(project, lambda: change(project, record))
    done(args, entry, {"slide": record.name})
    return 0
