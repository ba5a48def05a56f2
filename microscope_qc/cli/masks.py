"""Command ``mask``: where detections scan a slide, as a picture."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from microscope_qc.cli.parts import Part, say_left_out, slides_of, whole_number

if TYPE_CHECKING:
    from microscope_qc.cli.parts import Commands
    from microscope_qc.core.area_mask import AreaMask
    from microscope_qc.core.jobs import Job
    from microscope_qc.project import Project
    from microscope_qc.project.records import SlideRecord


def register(subparsers: Commands) -> None:
    """Add the command."""
    masks = Part(
        subparsers, "mask", lists=_list,
        about="List the scan masks that are stored with the slides of a project; write masks as pictures, and take "
        "pictures as masks. In a picture of the whole slide every value but 0 says to scan there. Stored masks are "
        "what detections use without a --mask of their own; like settings they are no part of undo.",
    )  # fmt: skip
    masks.listing("list the stored masks")
    export = masks.action("export", "write masks as PNG: 255 where it is scanned, one pixel for each cell", _export)
    export.add_argument("out", type=Path, metavar="OUT", help="OUT.png for one slide, a folder for all")
    which = export.add_mutually_exclusive_group()
    which.add_argument("--drawn", action="store_true", help="the regions that were drawn")
    which.add_argument("--found", action="store_true", help="what the program finds, though a mask is stored")
    which.add_argument("--run", type=whole_number, metavar="RUN", help="what this detection scanned or was to scan")
    export.add_argument("--model", metavar="MODEL", help="find it as a detection with this model does")
    taken = masks.action("set", "store a PNG or TIFF in the slide's proportion as its mask", _set)
    taken.add_argument("file", type=Path, metavar="FILE", help="a picture for one slide, a folder of them for all")
    clear = masks.action("clear", "forget a stored mask", _clear)
    clear.add_argument("--all", action="store_true", help="those of all slides")
    for parser in (taken, clear):
        parser.add_argument("--drawn", action="store_true", help="as the drawn regions, which only --drawn scans")
    for parser in (export, taken, clear):
        parser.add_argument(
            "--slide", metavar="NAME", action="append",
            help="slide of the project; may be given several times (default: the only one, or the first; all with a "
            "folder)",
        )  # fmt: skip
    export.epilog = (
        "Without a flag it is the mask that is stored, and where none is, what the program finds: material, without "
        "resin and empty area. Instead of a project a slide file may be named; --slide is then its scene."
    )


def _list(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import show
    from microscope_qc.core.area_mask import AreaMask
    from microscope_qc.core.wording import percent_text
    from microscope_qc.project import Project
    from microscope_qc.workflows.detection.area import KINDS, stored_masks

    rows: list[dict[str, object]] = []
    with Project.open(args.project, write=False) as project:
        for slide in project.slides:
            masks, problems = stored_masks(project, slide)
            for kind in KINDS:
                mask = masks[kind]
                if isinstance(mask, AreaMask):
                    rows.append({"slide": slide.name, "kind": kind, **_document(mask), "problem": None})
                elif kind in problems:
                    none = {"share": None, "cells": None, "cell_px": None}
                    rows.append({"slide": slide.name, "kind": kind, **none, "problem": str(problems[kind])})
    if not args.json:
        shares = [None if row["share"] is None else percent_text(float(str(row["share"]))) for row in rows]
        rows = [row | {"share": share} for row, share in zip(rows, shares, strict=True)]
    columns = {"slide": "Slide", "kind": "Mask", "share": "Scanned", "problem": "Problem"}
    if not any(row["problem"] for row in rows):
        del columns["problem"]
    show(args, rows, columns, "No mask is stored: detections scan where there is material.")
    return 0


def _document(mask: AreaMask) -> dict[str, object]:
    return {"share": round(mask.share(mask.region), 4), "cells": mask.scan.shape, "cell_px": mask.cell_px}


def _export(args: argparse.Namespace) -> int:
    from microscope_qc.cli.progress import print_json
    from microscope_qc.core.wording import percent_text
    from microscope_qc.project import SUFFIX
    from microscope_qc.workflows.detection.mask_pictures import write_mask_picture

    project = args.project.suffix.lower() == SUFFIX
    if project and args.run is None and (args.out.is_dir() or not args.out.suffix):
        return _export_many(args)
    kind, mask, shape = _of_project(args) if project else _of_slide(args)
    written = write_mask_picture(args.out, mask, shape)
    if args.json:
        print_json({"file": args.out, "mask": kind, **_document(written)})
        return 0
    if mask is None:
        print("Nothing is left out: all of the slide is scanned.")
    share = percent_text(written.share(written.region))
    print(f"{args.out}: {written.scan.shape[1]} x {written.scan.shape[0]} cells, {share} of the slide is scanned")
    return 0


def _export_many(args: argparse.Namespace) -> int:
    """Write a picture for each slide into a folder."""
    from microscope_qc.project import Project
    from microscope_qc.workflows.detection.mask_pictures import picture_name, write_mask_picture
    from microscope_qc.workflows.detection.masks import mask_of

    def one(slide: SlideRecord) -> Job[dict[str, object]]:
        kind, mask = yield from mask_of(project, slide, kind=_kind(args), model=args.model)
        file = args.out / picture_name(slide.name)
        return {"file": str(file), "mask": kind, **_document(write_mask_picture(file, mask, slide.shape_px))}

    with Project.open(args.project, write=False) as project:
        return _over_slides(args, project, one)


def _kind(args: argparse.Namespace) -> str | None:
    """Which stored mask is asked for; None for what the program finds."""
    from microscope_qc.workflows.detection.area import CHANGED, DRAWN

    return None if args.found else DRAWN if args.drawn else CHANGED


def _over_slides(
    args: argparse.Namespace, project: Project, work: Callable[[SlideRecord], Job[dict[str, object]]]
) -> int:
    """Do something with all slides or those that were named, and print a line for each."""
    from microscope_qc.cli.progress import print_json, run
    from microscope_qc.core.wording import percent_text
    from microscope_qc.workflows.over_slides import over_slides

    numbers = slides_of(project, args.slide)
    slides = [slide for slide in project.slides if numbers is None or slide.id in numbers]
    done, left_out = run(over_slides(project, slides, work), args)
    rows = [{"slide": slide.name, **told} for slide, told in done]
    if args.json:
        print_json({"masks": rows, "left_out": [{"slide": left.slide, "why": str(left.error)} for left in left_out]})
    else:
        for row in rows:
            share = row.get("share")
            scanned = "no mask is stored" if not isinstance(share, float) else f"{percent_text(share)} is scanned"
            print(f"{row['slide']}: {scanned}")
    return say_left_out(left_out)


def _of_project(args: argparse.Namespace) -> tuple[str, AreaMask | None, tuple[int, int]]:
    """Which mask it is, the mask, and height and width of its slide."""
    from microscope_qc.cli.progress import run
    from microscope_qc.core.errors import InputError
    from microscope_qc.project import Project
    from microscope_qc.workflows.detection.masks import mask_of, run_mask

    name = _one_name(args)
    with Project.open(args.project, write=False) as project:
        if args.run is not None:
            scan = project.runs.by_id(args.run)
            slide = project.slides.by_id(scan.slide_id)
            if name not in (None, slide.name):
                raise InputError(f"Run {scan.id} is about {slide.name}.", hint="Leave --slide out.")
            return "run", run_mask(scan), slide.shape_px
        slide = project.slides.named(name)
        return *run(mask_of(project, slide, kind=_kind(args), model=args.model), args), slide.shape_px


def _one_name(args: argparse.Namespace) -> str | None:
    """The only slide that was named.

    Raises
    ------
    InputError
        When several were.
    """
    from microscope_qc.core.errors import InputError

    if args.slide and len(args.slide) > 1:
        raise InputError("One picture is of one slide.", hint="Name a folder, or one slide.")
    return args.slide[0] if args.slide else None


def _of_slide(args: argparse.Namespace) -> tuple[str, AreaMask | None, tuple[int, int]]:
    from microscope_qc.cli.progress import run
    from microscope_qc.core.errors import InputError
    from microscope_qc.slides import open_slide
    from microscope_qc.workflows.detection.masks import material_mask

    if args.drawn or args.run is not None:
        raise InputError("A slide file has no mask of its own.", hint="Name a project, or leave --drawn and --run out.")
    with open_slide(args.project) as slide:
        mosaic = slide.scene(_one_name(args))
        height, width = mosaic.shape
        return "found", run(material_mask(mosaic, args.model), args), (height, width)


def _set(args: argparse.Namespace) -> int:
    from microscope_qc.workflows.detection.mask_pictures import picture_for, read_mask_picture

    def make(slide: SlideRecord) -> AreaMask:
        return read_mask_picture(picture_for(args.file, slide.name), slide.shape_px)

    return _store(args, make, several=args.file.is_dir())


def _clear(args: argparse.Namespace) -> int:
    return _store(args, lambda _slide: None, several=args.all or len(args.slide or ()) > 1)


def _store(args: argparse.Namespace, make: Callable[[SlideRecord], AreaMask | None], *, several: bool) -> int:
    """Store a mask, or none, for one slide or several, and say so."""
    from microscope_qc.cli.progress import print_json
    from microscope_qc.core.jobs import Progress
    from microscope_qc.core.wording import percent_text
    from microscope_qc.project import Project
    from microscope_qc.workflows.detection.area import CHANGED, DRAWN
    from microscope_qc.workflows.detection.masks import store_mask

    kind = DRAWN if args.drawn else CHANGED

    def one(slide: SlideRecord) -> Job[dict[str, object]]:
        yield Progress(0, 1)
        mask = make(slide)
        store_mask(project, slide, kind, mask)
        return {"kind": kind, **({"share": None} if mask is None else _document(mask))}

    with Project.open(args.project) as project:
        if several:
            return _over_slides(args, project, one)
        slide = project.slides.named(_one_name(args))
        mask = make(slide)
        store_mask(project, slide, kind, mask)
    if args.json:
        print_json({"slide": slide.name, "kind": kind, **({"share": None} if mask is None else _document(mask))})
    elif mask is None:
        print(f"{slide.name}: {'no regions are drawn' if args.drawn else 'no mask is stored'} now.")
    else:
        what = "the drawn regions" if args.drawn else "the mask"
        print(f"{slide.name}: {percent_text(mask.share(mask.region))} of the slide lies in {what} now.")
    return 0
