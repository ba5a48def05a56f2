"""train, evaluate, and the networks there are."""

from __future__ import annotations

import argparse
import json
import os
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from microscope_qc.cli.parts import DATASET, KEEP_BAD, add_slides, number, setting, slides_of_only, whole_number
from microscope_qc.core.errors import Cancelled, InputError
from microscope_qc.core.idle_threads import let_idle_threads_sleep


def register(subparsers: Any) -> None:
    """Add the commands to the parser."""
    _register_train(subparsers)
    evaluate = subparsers.add_parser(
        "evaluate",
        description="Measure a model on annotated pictures or slides.",
    )
    evaluate.add_argument("model", metavar="MODEL", help="name of a bundled model, or a model's folder")
    evaluate.add_argument("dataset", metavar="DATASET", help=DATASET)
    evaluate.add_argument("--confidence", type=number, metavar="C", help="threshold (default: the model's)")
    evaluate.add_argument(
        "--iou", type=number, default=0.5, metavar="X", help="overlap that counts as found (default 0.5)"
    )
    evaluate.add_argument(
        "--part", choices=("test", "validation", "train", "all"), default="",
        help="what is measured on (default: what is kept for the test, else for validation, else all)",
    )  # fmt: skip
    evaluate.add_argument(
        "--html", type=Path, metavar="FILE",
        help="write a page with curves, confusion, and pictures of what was right, wrong, false and missed",
    )  # fmt: skip
    evaluate.add_argument(
        "--lists", action="store_true",
        help="keep lists of what was right, wrong, false and missed as filters of the project, for its gallery",
    )  # fmt: skip
    evaluate.add_argument(
        "--keep", action="store_true",
        help="keep figures, page and findings with the project, as the window does: “models show” tells them",
    )  # fmt: skip
    evaluate.add_argument("--device", default="auto", metavar="auto|cpu|cuda:0")
    evaluate.add_argument("--json", action="store_true", help="print one JSON document")
    evaluate.set_defaults(handler=_evaluate)


def _register_train(subparsers: Any) -> None:
    train = subparsers.add_parser(
        "train",
        description="Train a model from annotated pictures or slides. Ctrl-C interrupts a training; the same command "
        "continues it, as it does one of the window in the folder of a project's model.",
    )
    train.add_argument("dataset", metavar="DATASET", nargs="+", help=DATASET)
    add_network(train)
    train.add_argument("--out", required=True, metavar="MODEL", help="folder of the model")
    train.add_argument(
        "--validation",
        metavar="DATASET",
        help="default: folders named valid, else a part that is set aside and has no specimen or pixel in common",
    )
    add_training_settings(train)
    train.add_argument("--trained-on", default="", metavar="TEXT", help="one line about the data for the model's card")
    add_slides(train)
    train.add_argument("--overwrite", action="store_true", help="replace a finished model in MODEL")
    train.add_argument(
        "--finish", action="store_true", help="end an interrupted training now, with the best model so far"
    )
    train.add_argument("--json", action="store_true", help="print the model's card as JSON")
    train.set_defaults(handler=_train)


def add_network(parser: argparse.ArgumentParser, *, task: str = "detect") -> None:
    """The network of a training, its own settings, and what it starts from."""
    from microscope_qc.ml.architectures.base import trainable

    known = trainable()
    parser.add_argument("--task", choices=tuple(known), default=task, help=f"what the model is for (default: {task})")
    parser.add_argument(
        "--network",
        choices=tuple(kind.name for kinds in known.values() for kind in kinds),
        help="; ".join(f"{task}: {', '.join(k.name for k in kinds)}" for task, kinds in known.items())
        + " (default: the first of the task)",
    )
    _add_start(parser)


def add_training_settings(parser: argparse.ArgumentParser) -> None:
    """Everything else that decides how a network is trained."""
    parser.add_argument(
        "--pixel-size", type=number, metavar="UM", help="pixel size the model works at (default: the data's)"
    )
    parser.add_argument("--seed", type=whole_number, metavar="N")
    parser.add_argument(
        "--minutes", type=number, metavar="T", help="how long it may take, instead of a number of epochs"
    )
    for flag, kind, text in (
        ("--epochs", whole_number, "passes over the pictures (default 20, or as published)"),
        ("--batch", whole_number, "crops in a step (default 8, or as published)"),
        ("--learning-rate", number, "highest learning rate (default 0.002, with --start 0.001, or as published)"),
        ("--crop", whole_number, "side of training crops, model pixels (default 384, or as published)"),
        ("--paste", number, "share of crops without a defect onto which one is pasted, 0 to 1 (default 0)"),
        ("--tile", whole_number, "side of tiles in detection, model pixels (default 512, or as published)"),
        ("--overlap", whole_number, "overlap of tiles in detection, model pixels (default 128)"),
        ("--data-share", number, "share of the pictures to learn from that is used, above 0 to 1 (default 1)"),
        ("--validate-every", whole_number, "epochs between validations (default 1)"),
        ("--patience", whole_number, "validations without progress after which it ends (default 12, or as published)"),
    ):
        parser.add_argument(flag, type=kind, metavar="X" if kind is number else "N", help=text)
    parser.add_argument(
        "--augment", choices=("full", "upright", "flip", "zoom"),
        help="how crops are varied: all that may differ between slides; the same, but upright; only mirrored; "
        "mirrored, zoomed and in other colours (default: full, upright for pictures whose defects have a direction, "
        "or as published)",
    )  # fmt: skip
    _add_classifier_settings(parser.add_argument_group("classifiers (--task classify)"))
    parser.add_argument("--device", default="auto", metavar="auto|cpu|cuda:0")
    parser.add_argument("--keep-bad", action="store_true", help=KEEP_BAD)


def _add_classifier_settings(parser: Any) -> None:
    """The settings that only classifiers have."""
    parser.add_argument("--loss", choices=("cross-entropy", "weighted", "focal"), help="default: cross-entropy")
    parser.add_argument(
        "--alpha", nargs="+", type=_weight, metavar="[CODE=]X",
        help="weight of all classes of defects in the loss, or of each, where none=X is what shows no defect (default: "
        "in weighted how much rarer a class is than the most frequent one, else 1)",
    )  # fmt: skip
    parser.add_argument(
        "--gamma", type=number, metavar="X", help="how much less easy examples count in focal (default 2)"
    )
    parser.add_argument(
        "--sampling", choices=("as-is", "over", "under", "recrop"),
        help="as many examples of every class: rare ones repeated, frequent ones left out, or rare ones cut at other "
        "positions and zooms (default: recrop around boxes, as-is for pictures with a class)",
    )  # fmt: skip
    parser.add_argument(
        "--window-step", type=number, metavar="X", help="distance of windows on slides, in their sides (default 0.5)"
    )
    parser.add_argument(
        "--scales", nargs="+", type=number, metavar="X",
        help="image pyramid, 1 first: windows are also scanned so many times larger (default 1)",
    )  # fmt: skip


def training_settings(args: argparse.Namespace) -> dict[str, Any]:
    """What was chosen of :func:`add_training_settings`, and the network's own settings."""
    own = dict(args.setting) | {
        name: value for name, value in (("backbone", args.backbone), ("detector", args.detector)) if value is not None
    }
    return {
        "epochs": args.epochs, "batch": args.batch, "seed": args.seed, "pixel_size_um": args.pixel_size,
        "learning_rate": args.learning_rate, "crop_px": args.crop, "paste": args.paste, "augment": args.augment,
        "tile_px": args.tile, "overlap_px": args.overlap, "data_share": args.data_share,
        "validate_every": args.validate_every, "patience": args.patience, "device": args.device,
        "minutes": args.minutes, "keep_bad": args.keep_bad, "network_settings": own or None,
        "loss": args.loss, "gamma": args.gamma, "sampling": args.sampling, "window_step": args.window_step,
        "scales": args.scales, "alpha": None if args.alpha is None else _alpha(args.alpha),
    }  # fmt: skip


def _weight(text: str) -> tuple[str, float]:
    """``4`` or ``CRK=4``."""
    code, _, value = text.rpartition("=")
    return code.strip(), number(value)


def _alpha(given: Sequence[tuple[str, float]]) -> float | dict[str, float]:
    """One weight for all classes, or the weight of each that was named."""
    if len(given) == 1 and not given[0][0]:
        return given[0][1]
    if not all(code for code, _ in given):
        raise InputError(
            "--alpha is one number, or one for each class that is named.", hint="Such as --alpha CRK=3 none=1."
        )
    return dict(given)


def _add_start(train: argparse.ArgumentParser) -> None:
    """What a training starts from, and the network's own settings."""
    train.add_argument(
        "--backbone",
        metavar="WEIGHTS",
        help="what a network with a backbone starts from: imagenet where its weights come with the program (then the "
        "default), random, a file of torchvision or timm, or the folder of a model with the same backbone",
    )
    train.add_argument(
        "--detector",
        metavar="WEIGHTS",
        help="file of torchvision from which a whole detector starts, other than its classes (default: as --backbone "
        "says)",
    )
    train.add_argument(
        "--setting",
        metavar="NAME=VALUE",
        type=setting,
        action="append",
        default=[],
        help="one of the network's own settings, which “models --networks” lists; may be given several times",
    )
    train.add_argument(
        "--start",
        metavar="MODEL",
        help="start from the weights of a trained model, its name or folder, and at its pixel size (default: as "
        "--backbone says); it learns the classes of DATASET, and forgets others",
    )


def list_networks(args: argparse.Namespace) -> int:
    """Print the networks by task, and whether this program can train them."""
    from microscope_qc.cli.progress import print_json
    from microscope_qc.ml.architectures.base import networks_of
    from microscope_qc.ml.tasks.kinds import TASKS

    by_task = {name: networks_of(name) for name in TASKS.usable()}
    if args.json:
        print_json({
            name: [
                {"name": kind.name, "title": kind.title, "trainable": kind.trainable,
                 "default": next((k for k in kinds if k.trainable), None) is kind,
                 "settings": kind.settings().model_dump(mode="json"), "training": dict(kind.defaults)}
                for kind in kinds
            ]
            for name, kinds in by_task.items()
        })  # fmt: skip
        return 0
    for name, kinds in by_task.items():
        print(f"{name}: {TASKS.get(name).does}")
        for kind in kinds:
            print(f"  {kind.name:<20} {kind.title}{'' if kind.trainable else '; can be run, not trained'}")
            if kind.trainable:
                own = kind.settings().model_dump(mode="json")
                text = " ".join(f"{key}={json.dumps(value, separators=(',', ':'))}" for key, value in own.items())
                print(textwrap.fill(text, 120, initial_indent=" " * 23, subsequent_indent=" " * 23))
    return 0


def _train(args: argparse.Namespace) -> int:
    from microscope_qc.cli.progress import print_json, run
    from microscope_qc.ml.cards import CARD_NAME
    from microscope_qc.ml.tasks.kinds import TASKS
    from microscope_qc.workflows.learning.asked import train_as_asked
    from microscope_qc.workflows.learning.request import REQUEST_NAME, end_with_best, read_training
    from microscope_qc.workflows.learning.train import is_unfinished, train

    let_idle_threads_sleep(os.environ)
    said: list[str] = []

    def tell(sentence: str) -> None:
        said.append(sentence)
        print(f"Note: {sentence}", file=sys.stderr, flush=True)  # before hours are spent

    out = Path(args.out)
    of_window = (out / REQUEST_NAME).exists() and not (out / CARD_NAME).exists()
    if args.finish and not is_unfinished(out):
        raise InputError(f"There is no interrupted training in {out}.", hint="Name its folder with --out.")
    if of_window and args.finish:
        end_with_best(out)
    job = train_as_asked(out) if of_window else train(
        args.dataset, args.out, task=args.task, validation=args.validation, trained_on=args.trained_on,
        overwrite=args.overwrite, network=args.network, start=start_of(args), tell=tell,
        slide_ids=slides_of_only(args.dataset, args.slide), end_now=lambda: args.finish, **training_settings(args),
    )  # fmt: skip
    try:
        card = run(job, args)
    except Cancelled as stopped:
        if not is_unfinished(out):
            raise
        raise Cancelled(
            f"What was learned so far is kept in {out}: the same command goes on from there, and with --finish it ends "
            "with the best so far."
        ) from stopped
    if of_window:
        said += read_training(out).notes
    if args.json:
        print_json(card.model_dump() | {"notes": said})
        return 0
    print(f"{args.out}: {card.name}, {len(card.classes)} classes, default confidence {card.confidence:g}")
    named = TASKS.get(card.task).headline
    told = (f"{words} {card.metrics[name]:.3f}" for name, words in named.items() if name in card.metrics)
    print(f"  validation: {', '.join(told)}")
    for sentence in said:
        print(f"  {sentence}")
    return 0


def start_of(args: argparse.Namespace) -> str | None:
    """The model to start from, by its name among those of the only project, of the user, or of the program."""
    from microscope_qc.project import Project
    from microscope_qc.workflows.learning.from_project import is_project
    from microscope_qc.workflows.models.shelf import named_model

    if args.start is None:
        return None
    if len(args.dataset) > 1 or not is_project(Path(args.dataset[0])):
        return named_model(args.start)
    with Project.open(args.dataset[0], write=False) as project:
        return named_model(args.start, project)


def _evaluate(args: argparse.Namespace) -> int:
    from microscope_qc.cli.progress import print_json, run
    from microscope_qc.core.errors import InputError
    from microscope_qc.project import Project
    from microscope_qc.workflows.learning.evaluate import evaluate
    from microscope_qc.workflows.learning.evaluation_page import write_evaluation_page
    from microscope_qc.workflows.learning.from_project import is_project
    from microscope_qc.workflows.learning.lists import keep_lists
    from microscope_qc.workflows.models.kept_evaluation import evaluate_and_keep

    let_idle_threads_sleep(os.environ)
    if args.lists:
        if not is_project(Path(args.dataset)):
            raise InputError("Lists are kept with a project.", hint="Use --html for pictures of a folder.")
        Project.open(args.dataset).close()  # one that cannot be written is found before minutes are spent
    asked: dict[str, Any] = {
        "confidence": args.confidence, "iou": args.iou, "part": args.part, "device": args.device,
    }  # fmt: skip
    if args.keep:
        done, _ = run(evaluate_and_keep(args.model, Path(args.dataset), **asked), args)
    else:
        done = run(evaluate(args.model, args.dataset, **asked), args)
    if args.html is not None:
        run(write_evaluation_page(args.html, done), args)
    said = []
    if args.lists:
        with Project.open(args.dataset) as project:
            said = keep_lists(project, done)
    if args.json:
        print_json(done.document() | {"lists": said} if args.lists else done.document())
        return 0
    print(f"{done.card.name} on {done.dataset}: {done.pictures} pictures")
    for line in [*done.words(), *said]:
        print(f"  {line}")
    return 0
