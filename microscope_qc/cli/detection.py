"""detect, batch, compare."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from microscope_qc.cli.parts import add_slides, number, region_argument, say_left_out, slides_of, whole_number
from microscope_qc.cli.planes import add_plane_options, plane_choice
from microscope_qc.core.idle_threads import let_idle_threads_sleep

if TYPE_CHECKING:
    from microscope_qc.core.geometry import Region
    from microscope_qc.ml.cards import ModelCard
    from microscope_qc.project import Project
    from microscope_qc.project.records import SlideRecord
    from microscope_qc.workflows.detection.area import ScanArea
    from microscope_qc.workflows.detection.batch import BatchResult
    from microscope_qc.workflows.detection.many import ManyDetected
    from microscope_qc.workflows.detection.run import DetectResult


def register(subparsers: Any) -> None:
    """Add the commands to the parser."""
    _register_detect(subparsers)
    _register_batch(subparsers)
    _register_compare(subparsers)


def _register_detect(subparsers: Any) -> None:
    detect = subparsers.add_parser(
        "detect",
        description="Find defects on all slides of a project, or on some of them. A slide that cannot be scanned is "
        "named at the end, and the others are done. What was interrupted is continued, on whatever device, and what is "
        "finished with the same model and area is not repeated.",
    )
    detect.add_argument("project", metavar="PROJECT.mqc", help="folder of the project")
    add_slides(detect)
    detect.add_argument("--region", type=region_argument, metavar="Y0,X0,Y1,X1", help="only this part, in slide pixels")
    detect.add_argument(
        "--first", type=region_argument, metavar="Y0,X0,Y1,X1", help="begin here, then do the rest, in slide pixels"
    )
    _add_how(detect, "name or folder of a model (default: the one in use in the project)", required=False)
    detect.set_defaults(handler=_detect)


def _register_batch(subparsers: Any) -> None:
    batch = subparsers.add_parser(
        "batch",
        description="Find defects on all slides of projects. The work is cut into batches of tiles that the workers of "
        "a dask cluster compute; a lost worker loses nothing, and an interrupted run is continued.",
        epilog="Without --scheduler a cluster is started on this computer that only this computer can reach. A dask "
        "scheduler takes and sends Python objects (pickles): anyone who can reach it can run programs on its workers. "
        "Use --scheduler only in a network you trust, or with dask's TLS settings.",
    )
    batch.add_argument("projects", metavar="PROJECT.mqc", nargs="+", help="folders of projects")
    batch.add_argument("--scheduler", metavar="ADDRESS", help="a running dask scheduler, such as tcp://10.0.0.5:8786")
    batch.add_argument(
        "--workers", type=whole_number, metavar="N", help="processes on this computer (default: one per device)"
    )
    _add_how(batch, "name or folder of a model", required=True)
    batch.set_defaults(handler=_batch)


def _register_compare(subparsers: Any) -> None:
    compare = subparsers.add_parser(
        "compare",
        description="Compare two detections of a slide where both of them scanned. Without RUN the two newest.",
    )
    compare.add_argument("project", metavar="PROJECT.mqc", help="folder of the project")
    compare.add_argument(
        "runs", metavar="RUN", type=whole_number, nargs="*", help="numbers of two detections, as detect says"
    )
    compare.add_argument("--slide", metavar="NAME", help="slide of the project (default: the only one, or the first)")
    compare.add_argument("--confidence", type=number, metavar="C", help="least confidence (default: the project's)")
    compare.add_argument(
        "--iou", type=number, default=0.5, metavar="X", help="overlap of the same finding (default 0.5)"
    )
    compare.add_argument("--json", action="store_true", help="print one JSON document")
    compare.set_defaults(handler=_compare)


def _add_how(parser: argparse.ArgumentParser, model: str, *, required: bool) -> None:
    """What one detection and a batch of them are told alike."""
    add_plane_options(parser, "look at")
    parser.add_argument("--model", required=required, metavar="MODEL", help=model)
    parser.add_argument("--device", default="auto", metavar="auto|cpu|cuda:0", help="what computes (default auto)")
    parser.add_argument("--fresh", action="store_true", help="begin again instead of continuing")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    where = parser.add_argument_group(
        "scan area",
        "Where the mask says that was painted on the slide in the window; without one, where there is material.",
    ).add_mutually_exclusive_group()
    where.add_argument("--everything", action="store_true", help="scan resin and empty area too, without a mask")
    where.add_argument("--drawn", action="store_true", help="scan only the regions that were drawn in the window")
    where.add_argument(
        "--mask", type=Path, metavar="FILE",
        help="scan only where this PNG or TIFF is not 0, laid over the whole slide (nearest pixel); for several slides "
        "a folder with one for each, called as the slide",
    )  # fmt: skip
    where.add_argument("--no-mask", action="store_true", help="leave the mask aside: scan where there is material")


def _kind(args: argparse.Namespace) -> str | None:
    """Which of the masks that are stored with a project is asked for."""
    from microscope_qc.workflows.detection.area import CHANGED, DRAWN

    return DRAWN if args.drawn else None if args.everything or args.no_mask else CHANGED


def _scan_area(args: argparse.Namespace, project: Project, slide: SlideRecord, region: Region | None) -> ScanArea:
    """Where to scan, as the flags say."""
    from microscope_qc.workflows.detection.area import chosen_scan_area, scan_area_of_picture

    if args.mask is not None:
        return scan_area_of_picture(args.mask, slide, region=region)
    return chosen_scan_area(project, slide, kind=_kind(args), region=region)


def _detect(args: argparse.Namespace) -> int:
    from microscope_qc.cli.progress import print_json, run
    from microscope_qc.core.geometry import Region
    from microscope_qc.project import Project
    from microscope_qc.workflows.detection.batch import require_folder_of_masks
    from microscope_qc.workflows.detection.many import detect_many
    from microscope_qc.workflows.detection.run import choose_model
    from microscope_qc.workflows.models.shelf import named_model
    from microscope_qc.workflows.scenes import chosen_plane

    region, first = (None if given is None else Region(*given) for given in (args.region, args.first))
    with Project.open(Path(args.project)) as project:
        project.slides.named(None)  # raises when there is none
        numbers = slides_of(project, args.slide)
        slides = [slide for slide in project.slides if numbers is None or slide.id in numbers]
        areas: dict[int, ScanArea] = {}
        if len(slides) == 1:  # said, or refused, before anything is begun
            areas[slides[0].id] = area = _scan_area(args, project, slides[0], region)
            if area.words and not args.json:
                print(f"{slides[0].name}: {area.words}", flush=True)
        elif args.mask is not None:
            require_folder_of_masks(len(slides), args.mask)
        args.model = named_model(args.model, project)
        model = choose_model(args.model)
        _say_pixel_fit(model.card, slides)
        job = detect_many(
            project, model, slide_ids=[slide.id for slide in slides], region=region, device=args.device,
            fresh=args.fresh, everything=args.everything,
            area_of=lambda slide: areas.get(slide.id) or _scan_area(args, project, slide, region),
            plane_of=lambda slide: chosen_plane(slide, plane_choice(args)),
            first=None if first is None else {slide.id: first for slide in slides},
        )  # fmt: skip
        with _says_what_is_kept():
            done = run(job, args)
        confidence = project.inclusion.current.confidence_limit
        if len(slides) == 1 and done.left_out:
            raise done.left_out[0].error
    if args.json:
        print_json(_detected_json(done, args.model, confidence, one=len(slides) == 1))
    else:
        _print_detected(done, project.path, confidence, one=len(slides) == 1)
    return say_left_out(done.failed, again=True)


def _detected_json(done: ManyDetected, model: str, confidence: float, *, one: bool) -> dict[str, Any]:
    """One object for each slide and a total; for a single slide its own fields once more, as they always were."""
    from microscope_qc.project.runs.speed import notes_of

    slides = [
        {
            "run": result.run_id, "slide": slide.name, "model": model, "state": result.state, "tiles": result.tiles,
            "damaged_tiles": result.damaged_tiles, "finds": result.findings, "shown": result.shown,
            "confidence": confidence, "seconds": round(result.seconds, 2),
            "seconds_before": round(result.seconds_before, 2), "share_skipped": result.share_skipped,
            "looks": _scan_area_json(area), "looked_at": result.status.get("looked_at", ""),
            "speed": _speed(result.status), "pixel_fit": result.pixel_fit, "notes": notes_of(result.status),
        }
        for slide, area, result in ((one.slide, one.area, one.result) for one in done.slides)
    ]  # fmt: skip
    total = {
        "slides": len(slides), "left_out": len(done.left_out), "finds": done.findings, "shown": done.shown,
        "tiles": done.tiles, "damaged_tiles": done.damaged_tiles, "confidence": confidence,
        "seconds": round(done.seconds, 2),
    }  # fmt: skip
    left_out = [{"slide": left.slide, "why": str(left.error)} for left in done.left_out]
    return (slides[0] if one else {}) | {"slides": slides, "left_out": left_out, "total": total}


def _print_detected(done: ManyDetected, project: Path, confidence: float, *, one: bool) -> None:
    from microscope_qc.core.wording import elapsed_text, things

    at = f"at confidence {confidence:.2f} and above"
    for found in done.slides:
        result = found.result
        if not one:
            where = f"; {found.area.words}" if found.area.words else ""
            print(f"{found.slide.name}: {things(result.shown, 'finding')}, {things(result.tiles, 'tile')}{where}")
        else:
            shown = f"{things(result.shown, 'finding')} {at}"
            print(f"{found.slide.name}: {shown}, {result.findings} with the weaker ones")
            print(f"  run {result.run_id}, {things(result.tiles, 'tile')}, {_time_words(result)}")
            _print_how(result, found.area)
        if not result.findings and result.pixel_fit:
            print(f"  {result.pixel_fit}")
        if result.damaged_tiles:
            damaged = things(result.damaged_tiles, "tile")
            print(f"  {damaged} could not be read; see {project / 'runs' / str(result.run_id)}")
    if not one:
        print(
            f"{things(len(done.slides), 'slide')}: {things(done.shown, 'finding')} {at}, {done.findings} with the "
            f"weaker ones; {elapsed_text(done.seconds)}"
        )
        for left in done.left_out:
            if left.wanted:
                print(f"{left.slide}: left out. {left.error}")


def _batch(args: argparse.Namespace) -> int:
    from microscope_qc.cli.progress import print_json, run
    from microscope_qc.core.errors import InputError, MicroscopeQCError
    from microscope_qc.project.runs.speed import notes_of
    from microscope_qc.workflows.detection.batch import batch, require_mask_for_each
    from microscope_qc.workflows.detection.run import choose_model
    from microscope_qc.workflows.models.shelf import named_model

    if args.workers is not None and args.workers < 1:
        raise InputError("There must be at least one worker.")
    let_idle_threads_sleep(os.environ)
    if args.mask is not None:
        require_mask_for_each(args.projects, args.mask)
    model = choose_model(named_model(args.model))
    _print_before(args, model.card)
    job = batch(
        args.projects, model, scheduler=args.scheduler, workers=args.workers, device=args.device,
        fresh=args.fresh, everything=args.everything, area=_kind(args), mask=args.mask,
        choice=plane_choice(args),
    )  # fmt: skip
    with _says_what_is_kept():
        done = run(job, args)
    if args.json:
        print_json({
            "workers": done.workers, "seconds": round(done.seconds, 2),
            "slides": [
                {
                    "project": path, "slide": name, "run": result.run_id, "tiles": result.tiles,
                    "finds": result.findings, "shown": result.shown, "damaged_tiles": result.damaged_tiles,
                    "looks": _scan_area_json(area), "pixel_fit": result.pixel_fit, "notes": notes_of(result.status),
                }
                for (path, name, result), area in zip(done.slides, done.areas, strict=True)
            ],
            "left_out": [
                {"project": left.project, "slide": left.slide, "why": str(left.error)} for left in done.left_out
            ],
        })  # fmt: skip
    else:
        _print_batch(done)
    failed = [left for left in done.left_out if not left.wanted]
    if failed:
        raise MicroscopeQCError(" ".join(f"{left.words}" for left in failed))
    return 0


@contextlib.contextmanager
def _says_what_is_kept() -> Iterator[None]:
    from microscope_qc.core.errors import Cancelled

    try:
        yield
    except Cancelled as error:
        raise Cancelled("What was found so far is kept; the same command without --fresh continues.") from error


def _print_before(args: argparse.Namespace, card: ModelCard) -> None:
    """Say where it will scan before hours are spent; what cannot be opened is said by the batch itself."""
    from microscope_qc.core.errors import MicroscopeQCError
    from microscope_qc.project import Project

    for path in args.projects:
        with contextlib.suppress(MicroscopeQCError), Project.open(Path(path), write=False) as project:
            _say_pixel_fit(card, project.slides)
            for slide in project.slides if not args.json else ():
                with contextlib.suppress(MicroscopeQCError):
                    area = _scan_area(args, project, slide, None)
                    if area.words:
                        print(f"{project.path.name}, {slide.name}: {area.words}", flush=True)


def _say_pixel_fit(card: ModelCard, slides: Iterable[SlideRecord]) -> None:
    """Warn on stderr, before it begins, where the pixel sizes of model and slides do not fit."""
    from microscope_qc.workflows.detection.pixel_fit import pixel_fit_lines

    for line in pixel_fit_lines(card, [slide for slide in slides if not slide.missing]):
        print(f"Note: {line}", file=sys.stderr, flush=True)


def _print_batch(done: BatchResult) -> None:
    from microscope_qc.core.wording import elapsed_text, plural, things

    for (path, name, result), area in zip(done.slides, done.areas, strict=True):
        print(
            f"{path.name}, {name}: {things(result.shown, 'finding')}, {result.findings} with weaker ones; "
            f"{things(result.tiles, 'tile')}"
        )
        _print_how(result, area)
        if not result.findings and result.pixel_fit:
            print(f"  {result.pixel_fit}")
        if result.damaged_tiles:
            print(
                f"  {things(result.damaged_tiles, 'tile')} could not be read; see {path / 'runs' / str(result.run_id)}"
            )
    for left in done.left_out:
        if left.wanted:
            print(left.words)
    print(f"{done.workers} {plural(done.workers, 'worker')}, {elapsed_text(done.seconds)}")


def _scan_area_json(area: ScanArea) -> dict[str, Any]:
    return {"mask": area.kind, "share": None if area.share is None else round(area.share, 4)}


def _compare(args: argparse.Namespace) -> int:
    from microscope_qc.cli.progress import print_json
    from microscope_qc.core.errors import InputError
    from microscope_qc.core.matching import require_shares
    from microscope_qc.project import Project
    from microscope_qc.workflows.detection.compare import compare_runs

    if len(args.runs) not in (0, 2):
        raise InputError("Name two detections, or none for the two newest.")
    require_shares(iou=args.iou, confidence=args.confidence)
    with Project.open(Path(args.project), write=False) as project:
        slide = project.slides.named(args.slide)
        numbers = args.runs or [run.id for run in project.runs if run.slide_id == slide.id][-2:]
        if len(numbers) < 2:
            raise InputError(f"There are no two detections on {slide.name}.", hint="Detect with another model first.")
        runs = [project.runs.by_id(number) for number in numbers]
        slide = project.slides.by_id(runs[0].slide_id)
        confidence = project.inclusion.current.confidence_limit if args.confidence is None else args.confidence
        found = compare_runs(project, *numbers, iou=args.iou, min_confidence=confidence)
    counts = {
        name: len(getattr(found, name))
        for name in ("both", "only_first", "only_second", "beside_first", "beside_second")
    }
    if args.json:
        print_json({"slide": slide.name, "first": numbers[0], "second": numbers[1], "confidence": confidence, **counts})
        return 0
    print(f"{slide.name}, at confidence {confidence:g} and above")
    for letter, run in zip("AB", runs, strict=True):
        print(f"  {letter}: run {run.id}, {run.plan.title}, {run.state}, begun {run.started[:16].replace('T', ' ')}")
    print(f"  both {counts['both']}, only A {counts['only_first']}, only B {counts['only_second']}")
    if counts["beside_first"] or counts["beside_second"]:
        print(
            f"  not compared: {counts['beside_first']} of A and {counts['beside_second']} of B lie where the other did "
            "not scan"
        )
    return 0


def _time_words(result: DetectResult) -> str:
    from microscope_qc.core.wording import duration_text, elapsed_text

    if not result.seconds_before:
        return elapsed_text(result.seconds)
    if result.seconds_before >= result.status.get("seconds", 0.0):
        return f"finished before in {duration_text(result.seconds_before)} (--fresh begins again)"
    together = duration_text(result.seconds + result.seconds_before)
    return f"{elapsed_text(result.seconds)}, {together} with the starts before"


_SPEED = ("tiles_per_s", "mm2_per_min", "share_computed", "share_waited", "device", "device_name", "precision", "batch")


def _speed(status: dict[str, Any]) -> dict[str, Any]:
    return {name: status.get(name) for name in _SPEED}


def _print_how(result: DetectResult, area: ScanArea) -> None:
    """What a user may want to know of a run: its speed, what was left out, what had to be changed."""
    from microscope_qc.core.wording import percent_text
    from microscope_qc.project.runs.speed import notes_of, speed_text

    if result.status.get("looked_at"):
        print(f"  looked at: {result.status['looked_at']}")
    speed = speed_text(result.status)
    if speed:
        print(f"  {speed}")
    if result.share_skipped:
        why = "show resin or nothing" if area.kind is None else "lie outside of the scan area"
        print(f"  {percent_text(result.share_skipped)} of the tiles {why} and were left out")
    for note in notes_of(result.status):
        print(f"  {note}")
