"""detect, models, train, evaluate, and the hidden worker that a detection starts."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from microscope_qc.workflows.detect import DetectResult


def register(subparsers: Any) -> None:
    """Add the commands to the parser."""
    _register_detect(subparsers)
    _register_batch(subparsers)
    models = subparsers.add_parser("models", help="list the bundled models", description="List the bundled models.")
    models.add_argument("--json", action="store_true", help="print one JSON document")
    models.set_defaults(handler=_models)
    _register_train(subparsers)
    evaluate = subparsers.add_parser(
        "evaluate",
        help="measure a model on annotated pictures",
        description="Measure a model on annotated pictures or slides.",
    )
    evaluate.add_argument("model", metavar="MODEL", help="name of a bundled model, or a model's folder")
    evaluate.add_argument("dataset", metavar="DATASET", help="COCO or Pascal VOC folder")
    evaluate.add_argument("--confidence", type=float, metavar="C", help="threshold (default: the model's)")
    evaluate.add_argument(
        "--iou", type=float, default=0.5, metavar="X", help="overlap that counts as found (default 0.5)"
    )
    evaluate.add_argument("--device", default="auto", metavar="auto|cpu|cuda:0")
    evaluate.add_argument("--json", action="store_true", help="print one JSON document")
    evaluate.set_defaults(handler=_evaluate)
    worker = subparsers.add_parser("worker")
    worker.add_argument("run_folder", metavar="RUN_FOLDER", type=Path)
    worker.add_argument("--parent", type=int, metavar="PID", help="end as soon as this process is gone")
    worker.set_defaults(handler=_worker)


def _register_detect(subparsers: Any) -> None:
    detect = subparsers.add_parser(
        "detect",
        help="find defects on a project's slide",
        description="Find defects on a slide. A run of the same settings that was interrupted is continued.",
    )
    detect.add_argument("project", metavar="PROJECT.mqc", help="folder of the project")
    detect.add_argument("--model", required=True, metavar="MODEL", help="name of a bundled model, or a model's folder")
    detect.add_argument("--slide", metavar="NAME", help="slide of the project (default: the only one, or the first)")
    detect.add_argument("--region", type=_region, metavar="Y0,X0,Y1,X1", help="only this part, in slide pixels")
    detect.add_argument("--device", default="auto", metavar="auto|cpu|cuda:0")
    detect.add_argument("--everything", action="store_true", help="look at resin and empty area too")
    detect.add_argument("--fresh", action="store_true", help="begin anew instead of continuing")
    detect.add_argument("--json", action="store_true", help="print one JSON document")
    detect.set_defaults(handler=_detect)


def _register_batch(subparsers: Any) -> None:
    batch = subparsers.add_parser(
        "batch",
        help="find defects on all slides of projects, on several machines",
        description="Find defects on all slides of projects. The work is cut into batches of tiles that the workers of "
        "a dask cluster compute; a lost worker loses nothing, and an interrupted run is continued.",
        epilog="Without --scheduler a cluster is started on this computer that only this computer can reach. A dask "
        "scheduler takes and sends Python objects (pickles): whoever can reach one can run programs on its workers. "
        "Use --scheduler only in a network you trust, or with dask's TLS settings.",
    )
    batch.add_argument("projects", metavar="PROJECT.mqc", nargs="+", help="folders of projects")
    batch.add_argument("--model", required=True, metavar="MODEL", help="name of a bundled model, or a model's folder")
    batch.add_argument("--scheduler", metavar="ADDRESS", help="a running dask scheduler, such as tcp://10.0.0.5:8786")
    batch.add_argument("--workers", type=int, metavar="N", help="processes on this computer (default: one per device)")
    batch.add_argument("--device", default="auto", metavar="auto|cpu|cuda:0")
    batch.add_argument("--everything", action="store_true", help="look at resin and empty area too")
    batch.add_argument("--fresh", action="store_true", help="begin anew instead of continuing")
    batch.add_argument("--json", action="store_true", help="print one JSON document")
    batch.set_defaults(handler=_batch)


def _register_train(subparsers: Any) -> None:
    train = subparsers.add_parser(
        "train",
        help="train a model from annotated pictures",
        description="Train a model from a COCO or Pascal VOC folder. An interrupted training is continued.",
    )
    train.add_argument("dataset", metavar="DATASET", help="folder with annotations and their pictures or slides")
    train.add_argument("--task", choices=("detect", "classify", "anomaly", "segment"), default="detect")
    train.add_argument("--network", default="ssd", metavar="NAME", help="ssd or ssd-tiny (default: ssd)")
    train.add_argument("--out", required=True, metavar="MODEL", help="folder of the model")
    train.add_argument("--validation", metavar="DATASET", help="default: a part of DATASET is set aside")
    train.add_argument(
        "--pixel-size", type=float, metavar="UM", help="pixel size the model works at (default: the data's)"
    )
    train.add_argument("--seed", type=int, metavar="N")
    for flag, kind, text in (
        ("--epochs", int, "passes over the pictures (default 20)"),
        ("--batch", int, "crops in a step (default 8)"),
        ("--learning-rate", float, "highest learning rate (default 0.002)"),
        ("--crop", int, "side of training crops, model pixels (default 384)"),
        ("--tile", int, "side of tiles in detection, model pixels (default 512)"),
        ("--overlap", int, "overlap of tiles in detection, model pixels (default 128)"),
        ("--validate-every", int, "epochs between validations (default 1)"),
        ("--patience", int, "validations without progress after which training ends (default 12)"),
    ):
        train.add_argument(flag, type=kind, metavar="X" if kind is float else "N", help=text)
    train.add_argument("--trained-on", default="", metavar="TEXT", help="one line about the data for the model's card")
    train.add_argument("--device", default="auto", metavar="auto|cpu|cuda:0")
    train.add_argument("--overwrite", action="store_true", help="replace a finished model in MODEL")
    train.add_argument("--json", action="store_true", help="print the model's card as JSON")
    train.set_defaults(handler=_train)


def _region(text: str) -> tuple[int, int, int, int]:
    try:
        y0, x0, y1, x1 = (int(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not Y0,X0,Y1,X1 in whole pixels") from error
    return y0, x0, y1, x1


def _detect(args: argparse.Namespace) -> int:
    from microscope_qc.cli.progress import print_json, run
    from microscope_qc.core.geometry import Region
    from microscope_qc.project import Project
    from microscope_qc.workflows.detect import detect

    with Project.open(Path(args.project)) as project:
        slide = project.slide(args.slide)
        region = None if args.region is None else Region(*args.region)
        job = detect(
            project, slide.id, args.model, region=region, device=args.device, fresh=args.fresh,
            everything=args.everything,
        )  # fmt: skip
        result = run(job, args)
        confidence = project.filter.min_confidence
    if args.json:
        print_json({
            "run": result.run_id, "slide": slide.name, "model": args.model, "state": result.state,
            "tiles": result.tiles,
            "damaged_tiles": result.damaged_tiles, "finds": result.finds, "shown": result.shown,
            "confidence": confidence, "seconds": round(result.seconds, 2),
            "seconds_before": round(result.seconds_before, 2), "share_skipped": result.share_skipped,
            "speed": _speed(result.status),
        })  # fmt: skip
        return 0
    print(
        f"{slide.name}: {result.shown} finds at confidence {confidence:g} and above, "
        f"{result.finds} with the weaker ones"
    )
    print(f"  run {result.run_id}, {result.tiles} tiles, {_time_words(result)}")
    _print_how(result.status)
    if result.damaged_tiles:
        print(f"  {result.damaged_tiles} tiles could not be read; see {project.path / 'runs' / str(result.run_id)}")
    return 0


def _batch(args: argparse.Namespace) -> int:
    from microscope_qc.cli.progress import print_json, run
    from microscope_qc.core.errors import InputError
    from microscope_qc.workflows.batch import batch

    if args.workers is not None and args.workers < 1:
        raise InputError("There must be at least one worker.")
    _share_processor()
    job = batch(
        args.projects, args.model, scheduler=args.scheduler, workers=args.workers, device=args.device,
        fresh=args.fresh, everything=args.everything,
    )  # fmt: skip
    done = run(job, args)
    if args.json:
        print_json({
            "workers": done.workers, "seconds": round(done.seconds, 2),
            "slides": [
                {
                    "project": path, "slide": name, "run": result.run_id, "tiles": result.tiles,
                    "finds": result.finds, "shown": result.shown, "damaged_tiles": result.damaged_tiles,
                }
                for path, name, result in done.slides
            ],
        })  # fmt: skip
        return 0
    for path, name, result in done.slides:
        print(f"{path.name}, {name}: {result.shown} finds, {result.finds} with the weaker ones; {result.tiles} tiles")
        _print_how(result.status)
    print(f"{done.workers} workers, {done.seconds:.1f} s")
    return 0


def _time_words(result: DetectResult) -> str:
    from microscope_qc.core.jobs import format_seconds

    if not result.seconds_before:
        return f"{result.seconds:.1f} s"
    together = format_seconds(result.seconds + result.seconds_before)
    return f"{result.seconds:.1f} s, {together} with the starts before"


_SPEED = ("tiles_per_s", "mm2_per_min", "share_computed", "share_waited", "device", "device_name", "precision", "batch")


def _speed(status: dict[str, Any]) -> dict[str, Any]:
    return {name: status.get(name) for name in _SPEED}


def _print_how(status: dict[str, Any]) -> None:
    """What a person may want to know of a run: its speed, what was left out, what had to be changed."""
    from microscope_qc.ml.inference.speed import notes_of, speed_text

    speed = speed_text(status)
    if speed:
        print(f"  {speed}")
    if status.get("share_skipped"):
        print(f"  {status['share_skipped']:.0%} of the tiles show resin or nothing and were left out")
    for note in notes_of(status):
        print(f"  {note}")


def _models(args: argparse.Namespace) -> int:
    from microscope_qc.cli.progress import print_json
    from microscope_qc.ml.models import list_models

    cards = list_models()
    if args.json:
        print_json([
            {
                "name": card.name, "task": card.task, "classes": card.classes, "pixel_size_um": card.pixel_size_um,
                "architecture": card.architecture, "confidence": card.confidence, "trained_on": card.trained_on,
            }
            for card in cards
        ])  # fmt: skip
        return 0
    for card in cards:
        size = "any pixel size" if card.pixel_size_um is None else f"{card.pixel_size_um:g} um per pixel"
        print(f"{card.name}: {card.task}, {len(card.classes)} classes ({', '.join(card.classes)}), {size}")
        if card.trained_on:
            print(f"  {card.trained_on}")
    return 0


def _train(args: argparse.Namespace) -> int:
    from microscope_qc.cli.progress import print_json, run
    from microscope_qc.workflows.train import train

    _share_processor()
    job = train(
        args.dataset, args.out, task=args.task, validation=args.validation, trained_on=args.trained_on,
        overwrite=args.overwrite, network=args.network, epochs=args.epochs, batch=args.batch, seed=args.seed,
        pixel_size_um=args.pixel_size, learning_rate=args.learning_rate, crop_px=args.crop, tile_px=args.tile,
        overlap_px=args.overlap, validate_every=args.validate_every, patience=args.patience, device=args.device,
    )  # fmt: skip
    card = run(job, args)
    if args.json:
        print_json(card.model_dump())
        return 0
    metrics = card.metrics
    print(f"{args.out}: {card.name}, {len(card.classes)} classes, default confidence {card.confidence:g}")
    print(
        f"  validation: precision {metrics['precision']:.3f}, recall {metrics['recall']:.3f}, "
        f"mAP50 {metrics['map50']:.3f}"
    )
    return 0


def _evaluate(args: argparse.Namespace) -> int:
    from microscope_qc.cli.progress import print_json, run
    from microscope_qc.workflows.evaluate import evaluate

    _share_processor()
    job = evaluate(args.model, args.dataset, confidence=args.confidence, iou=args.iou, device=args.device)
    report = run(job, args)
    if args.json:
        print_json(report)
        return 0
    print(f"{report['model']} on {report['dataset']}: {report['pictures']} pictures, {report['truth']} boxes")
    print(f"  at confidence {report['confidence']:g}, IoU {report['iou']:g}:")
    print(f"  precision {report['precision']:.3f}  recall {report['recall']:.3f}  F1 {report['f1']:.3f}")
    print(f"  mAP50 {report['map50']:.3f}  mAP50 (11 points) {report['map50_11']:.3f}  mAP50-95 {report['map']:.3f}")
    for code, entry in report["per_class"].items():
        print(
            f"  {code:<16} precision {entry['precision']:.3f}  recall {entry['recall']:.3f}  AP50 {entry['ap50']:.3f}"
            f"  ({entry['truth']} boxes)"
        )
    return 0


def _worker(args: argparse.Namespace) -> int:
    from microscope_qc.cli import STOPPED
    from microscope_qc.cli.parent import end_with
    from microscope_qc.cli.progress import run
    from microscope_qc.ml.inference import run_model

    began = _process_began()
    if args.parent is not None:
        end_with(args.parent, code=STOPPED)
    _share_processor()
    status = run(run_model(args.run_folder, began=began), args)
    if args.progress != "json" and sys.stdout is not None:
        print(f"{status['tiles_done']} tiles, {status['seconds']:.1f} s on {status['device']}")
    return 0


_OLDEST_S = 300.0


def _process_began() -> float:
    """When this process began, on the clock of ``time.monotonic``."""
    import time

    import psutil

    age = time.time() - psutil.Process().create_time()
    return time.monotonic() - (age if 0 <= age < _OLDEST_S else 0.0)  # the clock may have been set meanwhile


def _share_processor() -> None:
    # set before torch is loaded: waiting threads sleep instead of spinning, which others on the computer would pay for
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
