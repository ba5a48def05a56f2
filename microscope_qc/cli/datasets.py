"""Command ``dataset``: cut training pictures from projects; how one is divided; what a data set holds and shows."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from microscope_qc.cli.parts import (
    DATASET,
    KEEP_BAD,
    add_slides,
    count,
    number,
    say_left_out,
    slides_of_only,
    whole_number,
)
from microscope_qc.cli.planes import add_plane_options, plane_choice


def register(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser("dataset", description="Data sets: what models learn from and are measured on.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _register_make(commands)
    _register_parts(commands)
    _register_card(commands)
    _register_preview(commands)


def _register_make(commands: Any) -> None:
    from microscope_qc.exchange.registry import FORMATS

    make = commands.add_parser(
        "make",
        help="cut training pictures from projects",
        description="Cut pictures around confirmed and hand-drawn boxes, and some background; their boxes as COCO.",
    )
    make.add_argument("projects", type=Path, nargs="+", metavar="PROJECT.mqc")
    make.add_argument("--out", type=Path, required=True, metavar="DIR")
    add_slides(make)
    make.add_argument("--tile", type=whole_number, default=512, metavar="PX", help="side of a picture (default 512)")
    make.add_argument(
        "--pixel-size", type=number, metavar="UM", help="pixel size of the pictures (default: the slide's)"
    )
    make.add_argument(
        "--background", type=number, default=0.25, metavar="SHARE", help="pictures without defects, 0 to 1"
    )
    make.add_argument(
        "--layout", choices=["around", "tiles"], default="around", help="pictures around boxes, or the slide in tiles"
    )
    make.add_argument("--overlap", type=whole_number, default=0, metavar="PX", help="how far tiles overlap (default 0)")
    make.add_argument(
        "--pad", action="store_true", help="fill tiles at the slide's end up with black instead of moving them inside"
    )
    make.add_argument(
        "--visible", type=number, default=0.3, metavar="SHARE",
        help="leave out boxes of which less lies in a picture (default 0.3)",
    )  # fmt: skip
    make.add_argument(
        "--class", dest="classes", action="append", metavar="CODE", help="annotate only this class (may be repeated)"
    )
    add_plane_options(make, "cut")
    make.add_argument(
        "--format", choices=FORMATS.usable(), default="coco", help="format of the annotations (default coco)"
    )
    make.add_argument(
        "--seed", type=whole_number, default=0, metavar="N", help="same number, same pictures (default 0)"
    )
    make.add_argument("--json", action="store_true", help="print the result as JSON")
    make.set_defaults(handler=_make)


def _register_parts(commands: Any) -> None:
    parts = commands.add_parser(
        "parts",
        help="what of a project is learned from, validated on and kept for the test",
        description="Show which slides of a project, or which blocks of them, models learn from, are validated on, and "
        "are kept for the test, of which nothing is ever learned from. Training gives new slides to a part.",
    )
    parts.add_argument("project", type=Path, metavar="PROJECT.mqc")
    parts.add_argument(
        "--assign", action="store_true", help="give slides that have no part yet to one now; the others keep theirs"
    )
    for flag, what in (("--validation", "validated on"), ("--test", "kept for the test")):
        parts.add_argument(
            flag, type=number, default=0.15, metavar="SHARE", help=f"of what is assigned, {what} (default 0.15)"
        )
    parts.add_argument("--json", action="store_true", help="print one JSON document")
    parts.set_defaults(handler=_parts)


def _register_card(commands: Any) -> None:
    card = commands.add_parser(
        "card",
        help="what is in a data set, how it is divided, what is left out",
        description="Say what a data set holds: counts of each class and part, sizes, pixel sizes, its fingerprint, "
        "and by name what is left out: copies, pictures that are damaged, show nothing or are out of focus, boxes that "
        "cannot be used.",
    )
    card.add_argument("sources", metavar="DATASET", nargs="+", help=DATASET)
    card.add_argument("--keep-bad", action="store_true", help=KEEP_BAD)
    card.add_argument("--html", type=Path, metavar="FILE", help="write a page with a chart of the classes too")
    card.add_argument("--json", action="store_true", help="print one JSON document")
    card.set_defaults(handler=_card)


def _register_preview(commands: Any) -> None:
    preview = commands.add_parser(
        "preview",
        help="crops as a detector sees them while it learns",
        description="Draw crops as the training does, turned, mirrored and in changed light, and write them as one "
        "picture: boxes in the colours of their classes, dashed where a defect was pasted, grey where a place counts "
        "neither as defect nor as background.",
    )
    preview.add_argument("dataset", metavar="DATASET", nargs="+", help=DATASET)
    preview.add_argument("--out", type=Path, required=True, metavar="FILE.png")
    preview.add_argument("--count", type=whole_number, default=24, metavar="N", help="how many (default 24)")
    preview.add_argument("--draw", type=count, default=0, metavar="N", help="another number, other crops (default 0)")
    preview.add_argument("--pixel-size", type=number, metavar="UM", help="as for train")
    preview.add_argument("--crop", type=whole_number, metavar="N", help="as for train")
    preview.add_argument("--paste", type=number, metavar="X", help="as for train")
    preview.add_argument("--seed", type=whole_number, metavar="N", help="as for train")
    preview.add_argument("--keep-bad", action="store_true", help=KEEP_BAD)
    add_slides(preview)
    preview.add_argument("--json", action="store_true", help="print one JSON document")
    preview.set_defaults(handler=_preview)


def _make(args: argparse.Namespace) -> int:
    from microscope_qc.cli.progress import print_json, run
    from microscope_qc.core.wording import things
    from microscope_qc.workflows.learning.dataset import make_dataset

    job = make_dataset(
        args.projects,
        args.out,
        tile_px=args.tile,
        pixel_size_um=args.pixel_size,
        background=args.background,
        seed=args.seed,
        layout=args.layout,
        overlap_px=args.overlap,
        pad=args.pad,
        visible=args.visible,
        format=args.format,
        classes=args.classes,
        slide_ids=slides_of_only(args.projects, args.slide),
        choice=plane_choice(args),
    )
    result = run(job, args)
    if args.json:
        print_json(
            {
                "folder": result.folder,
                "pictures": result.pictures,
                "background": result.background,
                "boxes": result.boxes,
                "classes": result.classes,
                "unreviewed": result.unreviewed,
                "left_out": [{"slide": left.slide, "why": str(left.error)} for left in result.left_out],
            }
        )
        return say_left_out(result.left_out)
    print(
        f"{things(result.pictures, 'picture')} ({result.background} without defects) "
        f"with {things(result.boxes, 'box', 'boxes')} in {result.folder}"
    )
    for code, boxes in result.classes.items():
        print(f"  {code}: {boxes}")
    if result.unreviewed:
        print(
            f"In {things(result.unreviewed, 'picture')} findings wait for a judgement; "
            "a model learns them as background."
        )
    return say_left_out(result.left_out)


def _parts(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import table
    from microscope_qc.cli.progress import print_json
    from microscope_qc.ml.datasets.parts import DataPart
    from microscope_qc.project import Project
    from microscope_qc.workflows.learning.project_parts import WORDS, keep_parts, project_parts

    with Project.open(args.project, write=args.assign) as project:
        if args.assign:
            keep_parts(project, shares={DataPart.VALIDATION: args.validation, DataPart.TEST: args.test})
        found = project_parts(project)
    if args.json:
        print_json(found.document())
        return 0
    rows = [
        (WORDS[part], counts.slides, counts.places, sum(counts.boxes.values()),
         ", ".join(f"{code} {count}" for code, count in counts.boxes.items()))
        for part, counts in found.parts.items()
    ]  # fmt: skip
    if rows:
        print("\n".join(table(rows, ("Part", "Slides", "Places", "Boxes", "Classes"))))
        print()
        print("\n".join(table(
            [(name, ", ".join(WORDS[part] for part in parts) or "–") for name, parts in found.slides.items()],
            ("Slide", "Parts"),
        )))  # fmt: skip
    for sentence in found.sentences():
        print(sentence)
    return 0


def _card(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import table
    from microscope_qc.cli.progress import print_json, run
    from microscope_qc.workflows.learning.card import dataset_card
    from microscope_qc.workflows.learning.pages import write_card_page

    card = run(dataset_card(args.sources, keep_bad=args.keep_bad), args)
    if args.html is not None:
        write_card_page(args.html, card)
    if args.json:
        print_json(card.document())
        return 0
    for name, words in card.facts():
        print(f"{name}: {words}")
    counts = card.distribution()
    rows = [(code, *(counts[part][place] for part in counts)) for place, (code, _) in enumerate(card.classes)]
    print("\n".join(table([*rows, ("pictures", *(part.pictures for part in card.parts.values()))],
                          (f"Class, {card.counted()}", *counts))))  # fmt: skip
    for sentence in card.sentences:
        print(sentence)
    return 0


def _preview(args: argparse.Namespace) -> int:
    from microscope_qc.cli.progress import print_json, run
    from microscope_qc.core.wording import things
    from microscope_qc.workflows.learning.preview import preview_crops, write_preview

    job = preview_crops(
        args.dataset, count=args.count, draw=args.draw, crop_px=args.crop, paste=args.paste, seed=args.seed,
        pixel_size_um=args.pixel_size, slide_ids=slides_of_only(args.dataset, args.slide), keep_bad=args.keep_bad,
    )  # fmt: skip
    preview = run(job, args)
    file = write_preview(args.out, preview)
    if args.json:
        print_json({
            "file": file, "crops": len(preview.crops), "boxes": preview.defects, "pasted": preview.pasted,
            "classes": preview.classes,
        })  # fmt: skip
        return 0
    boxes = things(preview.defects, "box", "boxes")
    print(f"{file}: {things(len(preview.crops), 'crop')} with {boxes}, {preview.pasted} of them pasted")
    return 0
