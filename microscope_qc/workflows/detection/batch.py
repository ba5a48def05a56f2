"""Many slides, many machines: batches of tiles are computed by the workers of a dask cluster.

The owner of a project plans its runs, hands out batches and keeps the journals; a worker only computes. A batch whose
worker is lost is computed by another one. A stopped run can be continued like any other.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from microscope_qc.core.errors import InputError, MicroscopeQCError, SlideError
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.project import Project
from microscope_qc.project.records import RunRecord, SlideRecord
from microscope_qc.project.runs.journal import read_status, write_status
from microscope_qc.project.runs.run_lock import RunLock
from microscope_qc.project.runs.speed import Starts
from microscope_qc.slides.plane_choice import PlaneChoice
from microscope_qc.workflows.detection.area import CHANGED, ScanArea, chosen_scan_area, scan_area_of_picture
from microscope_qc.workflows.detection.intake import RunIntake
from microscope_qc.workflows.detection.run import (
    ChosenModel,
    DetectResult,
    choose_model,
    prepare_run,
    require_device,
    result_of,
)
from microscope_qc.workflows.left_out import LeftOut
from microscope_qc.workflows.scenes import chosen_plane

if TYPE_CHECKING:
    from distributed import Client, Future

BATCHES_AT_ONCE = 4
"""Batches in one piece of work: enough for reading, computing and writing to overlap."""
AHEAD = 2
"""Pieces of work handed out for each worker."""
LOST_WORKERS = 20
"""Workers that may be lost over one piece of work before it is given up."""
CONNECT_SECONDS = 10


class BatchFailed(MicroscopeQCError, RuntimeError):
    """The workers could not do their work; what was found so far is kept."""


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What was done: one result for each slide, with the project's path and the slide's name.

    ``areas`` holds the scan area of each of them; ``left_out`` are those that could not be scanned.
    """

    slides: list[tuple[Path, str, DetectResult]]
    seconds: float
    workers: int
    areas: list[ScanArea] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)


@dataclass(slots=True)
class _Run:
    """A run in progress."""

    project: Project
    record: RunRecord
    title: str
    started: float
    lock: RunLock
    writer: Any = None
    intake: RunIntake | None = None
    groups: list[list[list[int]]] = field(default_factory=list)
    total: int = 0
    compiled: bool = False
    status: dict[str, Any] = field(default_factory=dict)
    starts: Starts = field(default_factory=lambda: Starts({}))
    sums: dict[str, float] = field(default_factory=dict)
    handing_out: float = 0.0
    told: float = 0.0


def batch(
    projects: Sequence[Path | str],
    model: str | Path | ChosenModel,
    *,
    scheduler: str | None = None,
    workers: int | None = None,
    device: str = "auto",
    fresh: bool = False,
    everything: bool = False,
    area: str | None = CHANGED,
    mask: Path | str | None = None,
    choice: PlaneChoice | None = None,
    client: Client | None = None,
) -> Job[BatchResult]:
    """Run a model over all slides of projects, on all workers of a cluster.

    A project or slide that cannot be scanned is left out, and the others are done.

    Parameters
    ----------
    area
        Which mask stored with the projects is the scan area, see
        :func:`microscope_qc.workflows.detection.area.chosen_scan_area`; with ``everything`` none does.
    mask
        Picture that says where to scan instead, or a folder of such pictures with the names of the slides.
    choice
        Which picture of a stack and which channels of every slide are looked at.
    scheduler
        Address of a running dask scheduler; without it a cluster is started on this computer, reachable from it alone.
        The workers must see slides and models under the same paths.
    workers
        Processes of the cluster on this computer: one for each graphics card, else one.
    client
        A connection that is used instead, and left open.

    Raises
    ------
    InputError
        When no project is named, the scheduler does not answer, or its workers do not have the device.
    MicroscopeQCError
        When the model cannot be used, or all slides had to be left out: what was wrong with the first.
    BatchFailed
        When the workers fail.
    """
    if not projects:
        raise InputError("No project was named.", hint="Name at least one project.")
    if mask is not None:
        require_mask_for_each(projects, Path(mask))
    began = time.monotonic()
    kind = None if everything else area
    done = BatchResult([], 0.0, 0)
    with ExitStack() as stack:
        yield Progress(0, 0, "tiles", "starting the workers")
        own = client or stack.enter_context(_connected(scheduler, workers))
        count = max(1, len(own.scheduler_info(n_workers=-1)["workers"]))
        at_once: dict[str, int] = {"ahead": AHEAD * count, "share": 1 if scheduler is not None else count}
        own.submit(require_device, device, pure=False).result()  # it is the workers that need it
        options = {"model": choose_model(model), "device": device, "fresh": fresh, "everything": everything}
        for number, path in enumerate(projects, start=1):
            with ExitStack() as opened:
                try:
                    project = opened.enter_context(Project.open(Path(path)))
                except MicroscopeQCError as error:
                    done.left_out.append(LeftOut(Path(path), "", error))
                    continue
                for place, slide in enumerate(project.slides, start=1):
                    title = slide.name + _places(place, len(project.slides), number, len(projects))
                    try:
                        scan_area = _scan_area(project, slide, kind, mask)
                        how = {**options, "plane": chosen_plane(slide, choice)}
                        result = yield from _one(own, project, slide.id, scan_area, how, title=title, **at_once)
                    except (InputError, SlideError) as error:  # of this slide only
                        done.left_out.append(LeftOut(project.path, slide.name, error))
                        continue
                    done.slides.append((project.path, slide.name, result))
                    done.areas.append(scan_area)
    if done.left_out and not done.slides:
        raise done.left_out[0].error
    return replace(done, seconds=time.monotonic() - began, workers=count)


def require_mask_for_each(projects: Sequence[Path | str], mask: Path) -> None:
    """Refuse one picture for several slides: it would fit all of the same proportion and be wrong on all but one.

    Raises
    ------
    InputError
        When there are several slides but no folder of masks.
    """
    count = 0
    for path in projects if not mask.is_dir() else ():
        with suppress(MicroscopeQCError), Project.open(Path(path), write=False) as project:
            count += len(project.slides)
    require_folder_of_masks(count, mask)


def require_folder_of_masks(count: int, mask: Path) -> None:
    """Refuse one picture for several slides.

    Raises
    ------
    InputError
        When it is not a folder.
    """
    if count > 1 and not mask.is_dir():
        raise InputError(
            f"{mask.name} is one mask, and there are {count} slides.",
            hint="Name a folder with one mask for each slide, with the slide's name.",
        )


def _scan_area(project: Project, slide: SlideRecord, kind: str | None, mask: Path | str | None) -> ScanArea:
    return chosen_scan_area(project, slide, kind=kind) if mask is None else scan_area_of_picture(mask, slide)


def _one(
    client: Client,
    project: Project,
    slide_id: int,
    scan_area: ScanArea,
    options: dict[str, Any],
    *,
    title: str,
    ahead: int,
    share: int,
) -> Job[DetectResult]:
    run = yield from _begin(project, slide_id, title, mask=scan_area.mask, **options)
    left = run.record.state != "finished"
    if left:
        yield from _compute(client, run, ahead=ahead, share=share)
    return result_of(project, run.record.id, run.started, computed=left)


def _connected(scheduler: str | None, workers: int | None) -> Any:
    import dask
    import distributed

    if scheduler is not None:
        try:
            return distributed.Client(scheduler, timeout=CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            raise InputError(
                f"There is no dask scheduler at {scheduler} ({error}).",
                hint="Start one with 'dask scheduler', or leave out --scheduler on the command line.",
            ) from error
    # only this computer can reach it, and no pages are served; without a port dask would want its own, which another
    # cluster may have, and warn
    with dask.config.set({"distributed.scheduler.allowed-failures": LOST_WORKERS}):
        cluster = distributed.LocalCluster(
            n_workers=workers or _graphics_cards() or 1, threads_per_worker=1, processes=True, host="127.0.0.1",
            dashboard_address="127.0.0.1:0", scheduler_kwargs={"dashboard": False}, worker_dashboard_address=None,
            memory_limit=0, silence_logs="ERROR",
        )  # fmt: skip
    return _Local(cluster)


class _Local:
    """A cluster on this computer and the connection to it, closed together."""

    def __init__(self, cluster: Any) -> None:
        self._cluster = cluster

    def __enter__(self) -> Client:
        import distributed

        self._client = distributed.Client(self._cluster, set_as_default=False)
        return self._client

    def __exit__(self, *what: object) -> None:
        self._client.close()
        self._cluster.close()


def _graphics_cards() -> int:
    from microscope_qc.ml.devices import graphics_cards

    return graphics_cards()


def _places(slide: int, slides: int, project: int, projects: int) -> str:
    """``, slide 2 of 5 of project 1 of 3``."""
    project_words = _of(" of project" if slides > 1 else ", project", project, projects)
    return _of(", slide", slide, slides) + project_words


def _of(what: str, number: int, count: int) -> str:
    return f"{what} {number} of {count}" if count > 1 else ""


def _begin(project: Project, slide_id: int, title: str, **options: Any) -> Job[_Run]:
    record = prepare_run(project, slide_id, **options)
    run = _Run(project, record, title, time.monotonic(), RunLock(record.folder))
    if record.state != "finished":
        yield from run.lock.acquire()
    return run


def _compute(client: Client, run: _Run, *, ahead: int, share: int) -> Job[None]:
    """Hand out the run's batches and collect results until all are done."""
    state = "failed"
    try:
        yield from _plan(run)
        yield from _hand_out(client, run, ahead=ahead, share=share)
        state = "finished"
    except GeneratorExit:
        state = "stopped"
        raise
    finally:
        try:
            _close(run, state)
        finally:
            run.lock.release()


def _plan(run: _Run) -> Job[None]:
    from microscope_qc.ml.engine.engine import count, new_status, prepared, unlike_training_data
    from microscope_qc.ml.engine.pipeline import Pipeline
    from microscope_qc.ml.engine.record import RunWriter
    from microscope_qc.project.runs.batching import read_batching

    folder, plan = run.record.folder, run.record.plan
    run.status, run.starts = new_status(), Starts(read_status(folder))
    run.total = len(plan.grid())
    run.writer = RunWriter(folder, tiles=run.total)
    run.intake = RunIntake(run.project, run.record)
    yield Progress(0, 0, "tiles", f"{run.title}: looking for material")
    with Pipeline(plan) as pipeline:
        run.starts.ready()
        run.writer.keep_maps(pipeline)
        tiles, groups = prepared(folder, pipeline, run.writer)
        looked_at, said = pipeline.looked_at, unlike_training_data(pipeline, tiles)
    batching = read_batching(folder)
    run.compiled = batching is not None and batching.compiled
    run.groups = [groups[start : start + BATCHES_AT_ONCE] for start in range(0, len(groups), BATCHES_AT_ONCE)]
    run.status.update(
        tiles_skipped=run.total - len(tiles), share_skipped=round(1 - len(tiles) / max(1, run.total), 4),
        batch=batching.batch if batching else 0, looked_at=looked_at,
    )  # fmt: skip
    count(run.status, run.writer, run.total)
    run.status["notes"] += [said] if said else []
    run.status.update(run.starts.figures({}, notes=run.status["notes"]))
    write_status(folder, run.status)
    if said:
        yield Progress(0, 0, "tiles", f"{run.title}: {said}")


def _hand_out(client: Client, run: _Run, *, ahead: int, share: int) -> Job[None]:
    waiting = iter(run.groups)
    under_way: set[Future] = set()
    done: queue.Queue[Future] = queue.Queue()
    run.handing_out = time.monotonic()
    try:
        while True:
            while len(under_way) < ahead and (groups := next(waiting, None)) is not None:
                future = _submit(client, run, groups, share)
                under_way.add(future)
                future.add_done_callback(done.put)
            if not under_way:
                break
            for future in _finished(done):
                under_way.discard(future)
                _take(run, future)
            _tell(run)
            assert run.intake is not None
            found = len(run.intake.take_ready())
            note = f"{run.title}: {found} new findings" if found else run.title
            left_out = run.status["tiles_skipped"]  # not scanned: they say nothing about the time left
            yield Progress(len(run.writer.done) - left_out, run.total - left_out, "tiles", note)
    finally:
        for future in under_way:
            with suppress(Exception):  # the cluster may be gone already, and nobody waits for this
                future.cancel()


def _submit(client: Client, run: _Run, groups: list[list[int]], share: int) -> Future:
    from microscope_qc.ml.engine.remote import compute_batches

    key = str(run.record.folder)
    return client.submit(compute_batches, key, run.record.plan, groups, share=share, compiled=run.compiled, pure=False)


def _finished(done: queue.Queue[Future]) -> Iterator[Future]:
    """Futures that are done, after waiting a moment for the first."""
    with suppress(queue.Empty):
        yield done.get(timeout=0.2)
        while True:
            yield done.get_nowait()


def _take(run: _Run, future: Future) -> None:
    from distributed.scheduler import KilledWorker

    try:
        records, notes, figures = future.result()
    except MicroscopeQCError:
        raise
    except KilledWorker as error:
        raise BatchFailed(
            "The workers were lost repeatedly over the same tiles.",
            hint="Check the workers' own output; what was found so far is kept.",
        ) from error
    except Exception as error:
        raise BatchFailed(
            f"A worker failed ({type(error).__name__}: {error}).", hint="What was found so far is kept."
        ) from error
    run.writer.take(records)
    run.status["notes"] += [note for note in notes if note not in run.status["notes"]]
    run.status.update({name: figures.pop(name) for name in ("device", "device_name", "precision")})
    for name, value in figures.items():
        run.sums[name] = run.sums.get(name, 0.0) + value


def _tell(run: _Run) -> None:
    from microscope_qc.ml.engine.engine import count

    count(run.status, run.writer, run.total)
    run.status.update(run.starts.figures(_in_all(run), notes=run.status["notes"]))
    if time.monotonic() - run.told > 0.5:
        write_status(run.record.folder, run.status)
        run.told = time.monotonic()


def _in_all(run: _Run) -> dict[str, float]:
    """Sums over the workers, with shares of the time that passed here while they worked."""
    if not run.sums.get("working_s"):
        return {}
    passed = time.monotonic() - run.handing_out
    part = {name: passed * run.sums[name] / run.sums["working_s"] for name in ("computed_s", "waited_s")}
    return {name: round(value, 6) for name, value in {**run.sums, "working_s": passed, **part}.items()}


def _close(run: _Run, state: str) -> None:
    run.status["state"] = state
    if run.writer is not None:
        run.writer.close()
        _tell(run)
        write_status(run.record.folder, run.status)
    if run.intake is not None:
        run.intake.finish(state)
    else:
        run.project.runs.finish(run.record.id, state)
