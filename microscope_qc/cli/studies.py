"""study: networks side by side, and curves over pictures, proposals, steps of windows and learning rates."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from microscope_qc.cli.parts import DATASET, add_json, add_slides, count, number, slides_of_only, whole_number
from microscope_qc.core.idle_threads import let_idle_threads_sleep

if TYPE_CHECKING:
    from microscope_qc.cli.parts import Commands, Handler
    from microscope_qc.workflows.studies.table import StudyTable

_MODEL = "name of a bundled model, or a model's folder"
_PART = ("test", "validation", "train", "all")


def register(subparsers: Commands) -> None:
    """Add the command."""
    study = subparsers.add_parser(
        "study",
        description="Compare networks on the same data, or see how a score depends on the number of pictures, of "
        "proposals, the step of windows, or the loss on the learning rate. Nothing is estimated: all is trained, "
        "measured and timed.",
    )
    actions = study.add_subparsers(required=True, metavar="ACTION", title="actions")

    def action(name: str, about: str, handler: Handler) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = actions.add_parser(name, help=about, description=f"{about}.")
        parser.add_argument(
            "--write", type=Path, action="append", default=[], metavar="FILE.html|csv|xlsx|json",
            help="write the table; as a page with charts, too; may be given several times",
        )  # fmt: skip
        add_json(parser)
        parser.set_defaults(handler=handler, json=False)
        return parser

    _add_networks(action("networks", "train networks on the same data, measure them on the same places", _networks))
    _add_rate(action("rate", "raise the learning rate until the loss diverges, and suggest one", _rate))
    proposals = action("proposals", "a two-stage detector with several numbers of proposals", _proposals)
    _add_model(proposals)
    proposals.add_argument(
        "--count", type=whole_number, action="append", metavar="N", help="number of proposals (default: 50 to 6000)"
    )
    steps = action("steps", "a model of windows with several steps from one window to the next", _steps)
    _add_model(steps)
    steps.add_argument(
        "--step", type=number, action="append", metavar="X", help="share of a window (default: 0.75 and 0.5)"
    )
    detectors = action("detectors", "what two detectors found on all cross-sections that both have scanned", _detectors)
    detectors.add_argument("projects", type=Path, nargs="+", metavar="PROJECT.mqc", help="folders of projects")
    for flag in ("--first", "--second"):
        detectors.add_argument(flag, required=True, metavar="MODEL", help="its name, or what its detection is called")
    detectors.add_argument("--confidence", type=number, metavar="C", help="least confidence (default: the project's)")
    detectors.add_argument("--iou", type=number, default=0.5, metavar="X", help="overlap of the same finding (0.5)")
    add_slides(detectors)
    steps.add_argument("--iou", type=number, default=0.1, metavar="X", help="overlap that counts as found (0.1)")


def _add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="auto", metavar="auto|cpu|cuda:0")


def _add_networks(parser: argparse.ArgumentParser) -> None:
    from microscope_qc.ml.architectures.base import trainable

    known = trainable()
    parser.add_argument("dataset", metavar="DATASET", help=DATASET)
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for the models and the table")
    parser.add_argument(
        "--network", action="append", metavar="NETWORK[:NAME=VALUE,...]",
        help="may be given several times, also with settings: lite0:backbone=random, lite0:start=MODEL, "
        "lite0:learning_rate=0.001 (default: all of the task); "
        + "; ".join(f"{task}: {', '.join(kind.name for kind in kinds)}" for task, kinds in known.items()),
    )  # fmt: skip
    parser.add_argument("--task", choices=tuple(known), default="detect", help="what they are for (default: detect)")
    parser.add_argument("--test", metavar="DATASET", help="what is measured on (default: the test part of DATASET)")
    parser.add_argument("--validation", metavar="DATASET", help="default: as for train")
    parser.add_argument("--part", choices=_PART, default="", help="what is measured on, as for evaluate")
    parser.add_argument(
        "--share", type=number, action="append", metavar="X",
        help="share of the pictures to learn from, above 0 to 1; several make a curve over the number of pictures",
    )  # fmt: skip
    parser.add_argument("--minutes", type=number, metavar="T", help="for each network, instead of a number of epochs")
    parser.add_argument("--epochs", type=whole_number, metavar="N", help="passes over the pictures, for each network")
    parser.add_argument("--seed", type=whole_number, metavar="N")
    parser.add_argument("--crop", type=whole_number, metavar="N", help="side of training crops, model pixels")
    parser.add_argument("--tile", type=whole_number, metavar="N", help="side of tiles in detection, model pixels")
    parser.add_argument("--pixel-size", type=number, metavar="UM", help="pixel size the models work at")
    _add_timed(parser)
    _add_device(parser)
    add_slides(parser)
    parser.add_argument("--fresh", action="store_true", help="begin again, without the models that are there")


def _add_rate(parser: argparse.ArgumentParser) -> None:
    from microscope_qc.ml.architectures.base import trainable

    parser.add_argument("dataset", metavar="DATASET", nargs="+", help=DATASET)
    parser.add_argument("--task", choices=tuple(trainable()), default="detect", help="default: detect")
    parser.add_argument("--network", metavar="NETWORK[:NAME=VALUE,...]", help="default: the first of the task")
    parser.add_argument("--batch", type=whole_number, metavar="N", help="crops in a step")
    parser.add_argument("--crop", type=whole_number, metavar="N", help="side of training crops, model pixels")
    parser.add_argument("--pixel-size", type=number, metavar="UM", help="pixel size the model works at")
    parser.add_argument("--seed", type=whole_number, metavar="N")
    _add_device(parser)
    add_slides(parser)


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help=_MODEL)
    parser.add_argument("dataset", metavar="DATASET", help=DATASET)
    parser.add_argument("--part", choices=_PART, default="", help="what is measured on, as for evaluate")
    _add_timed(parser)
    _add_device(parser)


def _add_timed(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--timed", type=count, default=20, metavar="N", help="pictures to time, one by one (default 20; 0: none)"
    )


def _networks(args: argparse.Namespace) -> int:
    from microscope_qc.cli.progress import run
    from microscope_qc.ml.architectures.base import trainable
    from microscope_qc.workflows.studies.networks import compare_networks
    from microscope_qc.workflows.studies.rival import Rival

    let_idle_threads_sleep(os.environ)
    named = args.network or [kind.name for kind in trainable()[args.task]]
    job = compare_networks(
        args.dataset, args.out, [Rival.of_text(text) for text in named], task=args.task, test=args.test,
        validation=args.validation, part=args.part, shares=args.share or (), timed=args.timed, device=args.device,
        fresh=args.fresh, slide_ids=slides_of_only([args.dataset], args.slide), minutes=args.minutes,
        epochs=args.epochs, seed=args.seed, crop_px=args.crop, tile_px=args.tile, pixel_size_um=args.pixel_size,
    )  # fmt: skip
    return _told(args, run(job, args))


def _rate(args: argparse.Namespace) -> int:
    from microscope_qc.cli.progress import run
    from microscope_qc.workflows.studies.learning_rate import learning_rate_study
    from microscope_qc.workflows.studies.rival import Rival

    let_idle_threads_sleep(os.environ)
    common: dict[str, Any] = {
        "batch": args.batch, "crop_px": args.crop, "pixel_size_um": args.pixel_size, "seed": args.seed,
        "device": args.device,
    }  # fmt: skip
    asked = {"network": None, **common} if args.network is None else Rival.of_text(args.network).asked(common)
    job = learning_rate_study(
        args.dataset, task=args.task, slide_ids=slides_of_only(args.dataset, args.slide),
        tell=lambda sentence: print(f"Note: {sentence}", file=sys.stderr, flush=True), **asked,
    )  # fmt: skip
    return _told(args, run(job, args))


def _proposals(args: argparse.Namespace) -> int:
    from microscope_qc.cli.progress import run
    from microscope_qc.workflows.studies.varied import PROPOSALS, proposals_curve

    let_idle_threads_sleep(os.environ)
    return _told(args, run(proposals_curve(
        args.model, args.dataset, args.count or PROPOSALS, part=args.part, timed=args.timed, device=args.device,
    ), args))  # fmt: skip


def _steps(args: argparse.Namespace) -> int:
    from microscope_qc.cli.progress import run
    from microscope_qc.workflows.studies.varied import STEPS, window_steps

    let_idle_threads_sleep(os.environ)
    return _told(args, run(window_steps(
        args.model, args.dataset, args.step or STEPS, iou=args.iou, part=args.part, timed=args.timed,
        device=args.device,
    ), args))  # fmt: skip


def _detectors(args: argparse.Namespace) -> int:
    from microscope_qc.cli.progress import run
    from microscope_qc.workflows.studies.side_by_side import detectors_side_by_side

    return _told(args, run(detectors_side_by_side(
        args.projects, args.first, args.second, slide_ids=slides_of_only(args.projects, args.slide),
        confidence=args.confidence, iou=args.iou,
    ), args))  # fmt: skip


def _told(args: argparse.Namespace, table: StudyTable) -> int:
    from microscope_qc.cli.parts import table as lines_of
    from microscope_qc.cli.progress import print_json

    for path in args.write:
        table.write(path)
    if args.json:
        print_json(table.document())
        return 0
    print(table.title)
    for line in lines_of(table.cells(), table.head):
        print(f"  {line}")
    for note in table.notes:
        print(note)
    return 0
