"""Command ``mask``: where detections scan a slide, as a picture."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from microscope_qc.cli.parts import Part, whole_number

if TYPE_CHECKING:
    from microscope_qc.cli.parts import Commands
    from microscope_qc.core.area_mask import AreaMask
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
    export = masks.action("export", "write a mask as PNG: 255 where it is scanned, one pixel for each cell", _export)
    export.add_argument("out", type=Path, metavar="OUT.png")
    which = export.add_mutually_exclusive_group()
    which.add_argument("--drawn", action="store_true", help="the regions that were drawn")
    which.add_argument("--found", action="store_true", help="what the program finds, though a mask is stored")
    which.add_argument("--run", type=whole_number, metavar="RUN", help="what this detection scanned or was to scan")
    export.add_argument("--model", metavar="MODEL", help="find it as a detection with this model does")
    taken = masks.action("set", "store a PNG or TIFF in the slide's proportion as its mask", _set)
    taken.add_argument("file", type=Path, metavar="FILE")
    clear = masks.action("clear", "forget a stored mask", _clear)
    for parser in (taken, clear):
        parser.add_argument("--drawn", action="store_true", help="as the drawn regions, which only --drawn scans")
    for parser in (export, taken, clear):
        parser.add_argument(
            "--slide", metavar="NAME", help="slide of the project (default: the only one, or the first)"
        )
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
    kind, mask, shape = _of_project(args) if project else _of_slide(args)
    written = write_mask_picture(args.out, mask, shape)
    if args.json:
        print_json({"file": args.out, "mask": kind, **_document(written)})
        return 0
    if mask is None:
        print("Nothing is left out: all of the slide is scanned.")
    share = written.share(written.region)
    cells = f"{written.scan.shape[1]} x {written.scan.shape[0]} cells"
    print(f"{args.out}: {cells}, {percent_text(share)} of the slide is scanned")
    return 0


def _of_project(args: argparse.Namespace) -> tuple[str, AreaMask | None, tuple[int, int]]:
    """Which mask it is, the mask, and height and width of its slide."""
    from microscope_qc.core.errors import InputError
    from microscope_qc.project import Project
    from microscope_qc.workflows.detection.area import CHANGED, DRAWN
    from microscope_qc.workflows.detection.masks import run_mask, stored_mask

    with Project.open(args.project, write=False) as project:
        if args.run is not None:
            run = project.runs.by_id(args.run)
            slide = project.slides.by_id(run.slide_id)
            if args.slide not in (None, slide.name):
                raise InputError(f"Run {run.id} is about {slide.name}.", hint="Leave --slide out.")
            return "run", run_mask(run), slide.shape_px
        slide = project.slides.named(args.slide)
        stored = None if args.found else stored_mask(project, slide, DRAWN if args.drawn else CHANGED)
        if args.drawn and stored is None:
            raise InputError(f"No regions are drawn on {slide.name}.", hint="Draw some in the window, or use mask set.")
        if stored is not None:
            return DRAWN if args.drawn else CHANGED, stored, slide.shape_px
        return "found", _found(args, slide), slide.shape_px


def _found(args: argparse.Namespace, slide: SlideRecord) -> AreaMask | None:
    from microscope_qc.cli.progress import run
    from microscope_qc.workflows.detection.masks import material_mask
    from microscope_qc.workflows.scenes import open_scene

    with open_scene(slide) as mosaic:
        mosaic.pixel_size_um = slide.pixel_size_um
        return run(material_mask(mosaic, args.model), args)


def _of_slide(args: argparse.Namespace) -> tuple[str, AreaMask | None, tuple[int, int]]:
    from microscope_qc.cli.progress import run
    from microscope_qc.core.errors import InputError
    from microscope_qc.slides import open_slide
    from microscope_qc.workflows.detection.masks import material_mask

    if args.drawn or args.run is not None:
        raise InputError("A slide file has no mask of its own.", hint="Name a project, or leave --drawn and --run out.")
    with open_slide(args.project) as slide:
        mosaic = slide.scene(args.slide)
        height, width = mosaic.shape
        return "found", run(material_mask(mosaic, args.model), args), (height, width)


def _set(args: argparse.Namespace) -> int:
    from microscope_qc.workflows.detection.mask_pictures import read_mask_picture

    return _store(args, lambda slide: read_mask_picture(args.file, slide.shape_px))


def _clear(args: argparse.Namespace) -> int:
    return _store(args, lambda _slide: None)


def _store(args: argparse.Namespace, make: Callable[[SlideRecord], AreaMask | None]) -> int:
    """Store a mask, or none, and say so."""
    from microscope_qc.cli.progress import print_json
    from microscope_qc.core.wording import percent_text
    from microscope_qc.project import Project
    from microscope_qc.workflows.detection.area import CHANGED, DRAWN
    from microscope_qc.workflows.detection.masks import store_mask

    kind = DRAWN if args.drawn else CHANGED
    with Project.open(args.project) as project:
        slide = project.slides.named(args.slide)
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
