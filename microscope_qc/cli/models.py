"""models: those at hand, renamed, copied, deleted, exported, imported, put in use, and compared."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from microscope_qc.cli.parts import add_json, number
from microscope_qc.core.idle_threads import let_idle_threads_sleep

if TYPE_CHECKING:
    from microscope_qc.cli.parts import Commands, Handler
    from microscope_qc.project import Project
    from microscope_qc.workflows.models.shelf import ModelEntry

_MODEL = "its name, or a model's folder"


def register(subparsers: Commands) -> None:
    """Add the command."""
    models = subparsers.add_parser(
        "models",
        description="List the models at hand: those of the program, your own, and with --project those of a project; "
        "or do something with one. With --networks, the networks by task and what can be trained.",
    )
    models.add_argument("--networks", action="store_true", help="list the networks instead, by task")
    _add_project(models)
    add_json(models)
    models.set_defaults(handler=_list, json=False, project=None)
    actions = models.add_subparsers(required=False, metavar="ACTION", title="actions")

    def action(name: str, about: str, handler: Handler, *, model: bool = True) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = actions.add_parser(name, help=about, description=f"{about}.")
        parser.set_defaults(handler=handler)
        if model:
            parser.add_argument("model", metavar="MODEL", help=_MODEL)
            _add_project(parser)
        add_json(parser)
        return parser

    listing = action("list", "list the models at hand", _list, model=False)
    _add_project(listing)
    listing.set_defaults(networks=False)
    action("show", "what a model finds, how well, how fast, and under which terms", _show)
    action("rename", "give a model another name", _rename).add_argument("name", metavar="NAME")
    duplicate = action("duplicate", "copy a model: into the project, or to your own", _duplicate)
    duplicate.add_argument("name", metavar="NAME", help="name of the copy")
    action("delete", "delete a model for good, unless it is in use", _delete)
    action("export", "write a model into one file", _export).add_argument("out", metavar="OUT.mqcmodel")
    taken = action("import", "check a file with a model, and take it in: into the project, or as your own", _import,
                   model=False)  # fmt: skip
    taken.add_argument("file", metavar="FILE.mqcmodel")
    taken.add_argument("--name", default="", metavar="NAME", help="what it is to be called (default: its own name)")
    _add_project(taken)
    _add_onnx(action("onnx", "write a model's network as ONNX, for other programs", _onnx))
    use = action("use", "put a model in use: detections of the project take it; undone by history undo", _use,
                 model=False)  # fmt: skip
    use.add_argument("project", metavar="PROJECT.mqc", type=Path, help="folder of the project")
    use.add_argument("model", nargs="?", default=None, metavar="MODEL", help=f"{_MODEL}; without it, say which is used")
    use.add_argument("--none", action="store_true", help="put no model in use")
    compare = action("compare", "measure two detectors on the same places, with what chance alone would show", _compare,
                     model=False)  # fmt: skip
    for name in ("new", "old"):
        compare.add_argument(name, metavar=name.upper(), help=_MODEL)
    compare.add_argument("dataset", metavar="DATA", help="project, or folder with annotations and pictures; of it the "
                         "test part, else the validation part, else all")  # fmt: skip
    compare.add_argument("--iou", type=number, default=0.5, metavar="X", help="overlap that counts as found (0.5)")
    compare.add_argument("--device", default="auto", metavar="auto|cpu|cuda:0")
    compare.add_argument("--out", type=Path, metavar="FILE.json", help="write everything as JSON, too")
    compare.add_argument("--html", type=Path, metavar="FILE", help="write a page with pictures of where they are wrong")
    compare.add_argument(
        "--keep", action="store_true",
        help="keep it with the project DATA, as the window does: “models comparisons” lists what is kept",
    )  # fmt: skip
    _add_project(compare)
    kept = action("comparisons", "comparisons that a project keeps, the newest first", _comparisons, model=False)
    kept.add_argument("project", metavar="PROJECT.mqc", type=Path, help="folder of the project")


def _add_project(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--project", type=Path, metavar="PROJECT.mqc", default=argparse.SUPPRESS, help="with the models of this project"
    )


def _add_onnx(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", metavar="OUT.onnx", type=Path)


@contextlib.contextmanager
def _project(args: argparse.Namespace, *, write: bool = False) -> Iterator[Project | None]:
    from microscope_qc.project import Project

    path = getattr(args, "project", None)
    if path is None:
        yield None
        return
    with Project.open(path, write=write) as project:
        yield project


def _list(args: argparse.Namespace) -> int:
    from microscope_qc.cli.learning import list_networks
    from microscope_qc.cli.progress import print_json
    from microscope_qc.workflows.models.shelf import list_shelf

    if args.networks:
        return list_networks(args)
    with _project(args) as project:
        entries = list_shelf(project)
    if args.json:
        print_json([entry.document() for entry in entries])
        return 0
    for entry in entries:
        print(_line(entry))
        if entry.card is not None and entry.card.trained_on:
            print(f"  {entry.card.trained_on}")
    return 0


def _line(entry: ModelEntry) -> str:
    card = entry.card
    where = f"{entry.place.words}{', in use' if entry.in_use else ''}"
    if card is None:
        return f"{entry.name} ({where}): {entry.problem}"
    size = "at any pixel size" if card.pixel_size_um is None else f"scans at {card.pixel_size_um:g} um per pixel"
    return f"{entry.name} ({where}): {card.task}, {len(card.classes)} classes ({', '.join(card.classes)}), {size}"


def _show(args: argparse.Namespace) -> int:
    from microscope_qc.cli.progress import print_json
    from microscope_qc.workflows.models.about import about_model
    from microscope_qc.workflows.models.kept_evaluation import evaluation_words, read_evaluation
    from microscope_qc.workflows.models.shelf import find_model

    with _project(args) as project:
        entry = find_model(args.model, project)
        kept = None if project is None else read_evaluation(project.path, entry.folder)
    if args.json:
        scores = {} if entry.card is None else {"metrics": entry.card.metrics, "training": entry.card.training}
        print_json(entry.document() | scores | {"evaluation": None if kept is None else kept.document})
        return 0
    about = about_model(entry)
    print(_line(entry))
    for name, text in about.facts:
        print(f"  {name}: {text}")
    if kept is not None:
        print(f"  Evaluated: {evaluation_words(kept.document)}")
    if about.scores:
        from microscope_qc.cli.parts import table

        for line in table([[row.code, row.name, *row.cells] for row in about.scores], about.columns):
            print(f"  {line}")
    return 0


def _rename(args: argparse.Namespace) -> int:
    from microscope_qc.workflows.models.shelf import find_model, rename_model

    with _project(args, write=True) as project:
        entry = find_model(args.model, project)
        return _changed(args, rename_model(entry, args.name, project), f"{entry.name} is called {args.name} now")


def _duplicate(args: argparse.Namespace) -> int:
    from microscope_qc.workflows.models.shelf import duplicate_model, find_model

    with _project(args, write=True) as project:
        copy = duplicate_model(find_model(args.model, project), args.name, project)
        return _changed(args, copy, f"{copy.name}: {copy.folder}")


def _delete(args: argparse.Namespace) -> int:
    from microscope_qc.workflows.models.shelf import delete_model, find_model

    with _project(args, write=True) as project:
        entry = find_model(args.model, project)
        delete_model(entry)
        return _changed(args, entry, f"{entry.name} is deleted")


def _changed(args: argparse.Namespace, entry: ModelEntry, words: str) -> int:
    from microscope_qc.cli.progress import print_json

    if args.json:
        print_json(entry.document())
    else:
        print(f"{words}.")
    return 0


def _export(args: argparse.Namespace) -> int:
    from microscope_qc.cli.progress import print_json, run
    from microscope_qc.core.wording import bytes_text
    from microscope_qc.workflows.models.package import export_model
    from microscope_qc.workflows.models.shelf import find_model

    with _project(args) as project:
        entry = find_model(args.model, project)
    written = run(export_model(entry, args.out), args)
    if args.json:
        print_json({"path": written.path, "bytes": written.size_bytes, "sha256": written.sha256})
    else:
        print(f"{written.path}: {entry.name}, {bytes_text(written.size_bytes)}, SHA-256 {written.sha256}")
    return 0


def _import(args: argparse.Namespace) -> int:
    from microscope_qc.cli.progress import run
    from microscope_qc.workflows.models.package import import_model

    let_idle_threads_sleep(os.environ)
    with _project(args, write=True) as project:
        entry = run(import_model(args.file, project, name=args.name), args)
    return _changed(args, entry, f"{entry.name} ({entry.place.words}): {entry.folder}")


def _onnx(args: argparse.Namespace) -> int:
    from microscope_qc.cli.progress import print_json, run
    from microscope_qc.workflows.models.onnx import export_onnx
    from microscope_qc.workflows.models.shelf import find_model

    let_idle_threads_sleep(os.environ)
    with _project(args) as project:
        entry = find_model(args.model, project)
    written = run(export_onnx(entry, args.out), args)
    if args.json:
        print_json(written.document())
        return 0
    for line in written.words():
        print(line)
    return 0


def _use(args: argparse.Namespace) -> int:
    from microscope_qc.cli.parts import done, step
    from microscope_qc.cli.progress import print_json
    from microscope_qc.core.errors import InputError
    from microscope_qc.workflows.models.shelf import find_model, use_model

    if args.none and args.model is not None:
        raise InputError("Name a model, or --none, not both.")
    with _project(args, write=args.none or args.model is not None) as project:
        assert project is not None
        if args.none or args.model is not None:
            entry = step(
                project,
                project.models.clear if args.none else lambda: use_model(project, find_model(args.model, project)),
            )
        current = project.models.current
        about: dict[str, Any] = {
            "model": None if current is None else current.name, "argument": project.models.argument or None,
        }  # fmt: skip
    if args.none or args.model is not None:
        done(args, entry, about)
    elif args.json:
        print_json(about)
    else:
        print("No model is in use." if current is None else f"{current.name} is in use: {about['argument']}")
    return 0


def _compare(args: argparse.Namespace) -> int:
    import json

    from microscope_qc.cli.progress import print_json, run
    from microscope_qc.core.files import atomic_write
    from microscope_qc.workflows.models.compare import compare_models
    from microscope_qc.workflows.models.comparison_page import write_comparison_page
    from microscope_qc.workflows.models.kept_comparison import compare_and_keep
    from microscope_qc.workflows.models.shelf import find_model

    let_idle_threads_sleep(os.environ)
    with _project(args) as project:
        new, old = (find_model(name, project).folder for name in (args.new, args.old))
    asked: dict[str, Any] = {"iou": args.iou, "device": args.device}
    if args.keep:
        done, _ = run(compare_and_keep(new, old, Path(args.dataset), **asked), args)
    else:
        done = run(compare_models(new, old, args.dataset, **asked), args)
    if args.out is not None:
        atomic_write(args.out, json.dumps(done.document(), ensure_ascii=False, indent=2) + "\n")
    if args.html is not None:
        run(write_comparison_page(args.html, done), args)
    if args.json:
        print_json(done.document())
        return 0
    for line in done.words():
        print(line)
    counts = done.counts()
    if counts:
        print("; ".join(f"{kind}: {count}" for kind, count in counts.items()))
    return 0


def _comparisons(args: argparse.Namespace) -> int:
    from microscope_qc.cli.progress import print_json
    from microscope_qc.project import Project
    from microscope_qc.workflows.models.kept_comparison import read_comparisons
    from microscope_qc.workflows.models.shelf import list_shelf

    with Project.open(args.project, write=False) as project:
        found = read_comparisons(project.path, list_shelf(project))
    if args.json:
        print_json([kept.document for kept in found])
        return 0
    for kept in found:
        new, old = kept.names
        print(f"{kept.date}  {new} against {old}: {kept.verdict}")
    if not found:
        print("No comparison is kept. “models compare” with --keep makes one.")
    return 0
