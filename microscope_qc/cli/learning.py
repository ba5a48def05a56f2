"""models, train, evaluate."""

from __future__ import annotations

import argparse
import os
from typing import Any


def register(subparsers: Any) -> None:
    """Add the commands to the parser."""
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


def _models(args: argparse.Namespace) -> int:
    from microscope_qc.cli.progress import print_json
    from microscope_qc.ml.library import list_models

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
    from microscope_qc.workflows.learning.train import train

    share_processor()
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
    from microscope_qc.workflows.learning.evaluate import evaluate

    share_processor()
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


def share_processor() -> None:
    """Let waiting threads sleep instead of spinning, which others on the computer would pay for; before torch loads."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
