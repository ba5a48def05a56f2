"""The child's side of a run: reads tiles, computes, writes the journal.

It may be killed at any time, and later continues where it was.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from microscope_qc.core.errors import SlideError
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.ml.architectures.loading import TaskKeeper
from microscope_qc.ml.engine.area import in_view_first, wanted_tiles
from microscope_qc.ml.engine.batch_size import batch_size, device_name
from microscope_qc.ml.engine.pipeline import Pipeline
from microscope_qc.ml.engine.record import RunWriter
from microscope_qc.ml.tasks.on_device import OnDevice, compiling_pays
from microscope_qc.ml.tiling import model_tile_shape
from microscope_qc.project.runs.batching import Batching, read_batching, write_batching
from microscope_qc.project.runs.journal import LOADING, read_status, write_status
from microscope_qc.project.runs.plan import RunPlan, read_plan
from microscope_qc.project.runs.run_lock import PATIENCE_SECONDS, RunLock
from microscope_qc.project.runs.speed import Meter, Starts, live_text

_STATUS_SECONDS = 0.5


def new_status() -> dict[str, Any]:
    """Status of a run before anything is known."""
    return {
        "state": "running", "tiles_done": 0, "tiles_total": 0, "tiles_damaged": 0, "tiles_skipped": 0,
        "share_skipped": 0.0, "device": "", "device_name": "", "precision": "", "batch": 0, "seconds": 0.0,
        "notes": [], "message": "",
    }  # fmt: skip


def run_model(
    run_folder: Path | str,
    *,
    patience_s: float = PATIENCE_SECONDS,
    began: float | None = None,
    models: TaskKeeper | None = None,
    first: Region | None = None,
) -> Job[dict[str, Any]]:
    """Do what a run's plan says and is not in the journal yet.

    Parameters
    ----------
    patience_s
        How long to wait for another process that is still writing this run, such as one whose window was killed.
    began
        When this process started, on the clock of ``time.monotonic``: loading the program counts as part of the run.
    models
        Keeps the model loaded for the next run.
    first
        Part of the slide, in full-resolution pixels, whose tiles come first: what the user is looking at. No result
        depends on it.

    Returns
    -------
    Job[dict]
        The last status: state, tiles_done, tiles_total, tiles_damaged, tiles_skipped and share_skipped (resin and
        empty area), device, device_name, precision, batch, notes (sentences about what had to be changed), message;
        for all starts of this run together seconds, tiles_per_s, mm2_per_min, share_computed and share_waited; and
        starts (the times of each, see :class:`microscope_qc.project.runs.speed.Starts`).

    Raises
    ------
    ModelError, SlideError, ProjectError
        When model, slide or plan cannot be used, or another process is still writing the run.
    OutOfMemory
        When there is not even enough memory for part of a tile.
    """
    folder = Path(run_folder)
    plan = read_plan(folder)
    status = new_status()
    lock, waiting = RunLock(folder), time.monotonic()
    yield from lock.acquire(patience_s=patience_s)
    began = time.monotonic() - (0.0 if began is None else waiting - began)  # without the wait for another process
    try:
        with one_image_thread():
            yield from _work(folder, plan, status, began, models or TaskKeeper(), first)
        status["state"] = "finished"
    except GeneratorExit:
        status["state"] = "stopped"
        raise
    except BaseException as error:
        status["state"] = "failed"
        status["message"] = str(error)
        raise
    finally:
        try:
            write_status(folder, status)
        finally:
            lock.release()
    return status


def _work(
    folder: Path, plan: RunPlan, status: dict[str, Any], began: float, models: TaskKeeper, first: Region | None
) -> Job[None]:
    from microscope_qc.ml.devices import use_threads

    starts, meter = Starts(read_status(folder), began=began), Meter()
    status.update(starts.figures({}))
    use_threads()
    total = len(plan.grid())
    writer = RunWriter(folder, tiles=total)

    def tell() -> None:
        count(status, writer, total)
        status.update(starts.figures(meter.sums(), notes=status["notes"]))

    try:
        tell()
        write_status(folder, status)
        yield Progress(len(writer.done), total, LOADING, "loading the model")
        with Pipeline(plan, tell=status["notes"].append, load=models.load) as pipeline:
            starts.ready()
            meter.tile_mm2 = pipeline.tile_mm2
            writer.keep_maps(pipeline)
            yield Progress(len(writer.done), total, LOADING, "looking for material")
            tiles, groups = prepared(folder, pipeline, writer, first=first)
            batching = read_batching(folder)
            status.update(
                device=str(pipeline.task.device), device_name=device_name(pipeline.task.device),
                precision=pipeline.task.precision, batch=batching.batch if batching else 0,
                tiles_skipped=total - len(tiles), share_skipped=round(1 - len(tiles) / max(1, total), 4),
                looked_at=pipeline.looked_at,
            )  # fmt: skip
            said = unlike_training_data(pipeline, tiles)
            if said:
                status["notes"].append(said)
            told, notes = time.monotonic(), 0
            tell()
            write_status(folder, status)
            for _ in pipeline.work(groups, writer.take, meter=meter):
                tell()
                status["device"] = str(pipeline.task.device)
                if time.monotonic() - told > _STATUS_SECONDS or len(status["notes"]) > notes:
                    write_status(folder, status)
                    told, notes = time.monotonic(), len(status["notes"])
                yield Progress(len(writer.done), total, "tiles", live_text(status))
    finally:
        tell()
        writer.close()
    yield Progress(len(writer.done), total, "tiles")


def unlike_training_data(pipeline: Pipeline, tiles: list[int]) -> str | None:
    """What is to be said, before there are results, of a slide that is unlike the model's training data."""
    from microscope_qc.ml.tasks.familiar import unlike

    task = pipeline.task
    if not isinstance(task, OnDevice) or task.card.familiar is None:
        return None

    def read(tile: int) -> np.ndarray:
        region = pipeline.grid[tile]
        return pipeline.mosaic.read_scaled(region, model_tile_shape(region, pipeline.scale))

    try:
        return unlike(task.card, task.network, read, tiles)
    except SlideError:  # of tiles that cannot be read the run itself tells
        return None


def prepared(
    folder: Path, pipeline: Pipeline, writer: RunWriter, *, first: Region | None = None
) -> tuple[list[int], list[list[int]]]:
    """Tiles to scan, and the batches in which they are computed; what must not change is stored with the run."""
    tiles = wanted_tiles(folder, pipeline)
    wanted = set(tiles)
    writer.skip([tile for tile in range(len(pipeline.grid)) if tile not in wanted])
    batching = read_batching(folder)
    if batching is None:
        # runs from before batches were stored computed four tiles at once
        size = 4 if writer.done & wanted else batch_size(pipeline.task, pipeline.shape, tiles=len(tiles))
        compiled = compiling_pays(pipeline.task.device, tiles=len(tiles))
        batching = Batching(size, pipeline.task.precision, compiled)
        write_batching(folder, batching)
    on_gpu = pipeline.task.device.type == "cuda"
    pipeline.task.compile(wanted=batching.compiled and on_gpu)
    groups = batching.groups(tiles, writer.done)
    if first is not None:
        groups = in_view_first(groups, pipeline.grid, first)
    if not on_gpu and groups and writer.done.isdisjoint(groups[0]):
        batching = with_first_singly(batching, groups[0])
        write_batching(folder, batching)
    return tiles, batching.pieces(groups, writer.done)


def with_first_singly(batching: Batching, group: list[int]) -> Batching:
    """Compute the tiles of a run's first batch one by one: for a whole one a processor takes so long that the user
    would wait for the first finding.
    """
    if len(group) == 1 or group[0] in batching.singly:
        return batching
    return replace(batching, singly=(*batching.singly, group[0]))


def count(status: dict[str, Any], writer: RunWriter, total: int) -> None:
    """Update the numbers of tiles."""
    status.update(tiles_done=len(writer.done), tiles_total=total, tiles_damaged=len(writer.damaged))


@contextlib.contextmanager
def one_image_thread() -> Iterator[None]:
    """Keep OpenCV from starting threads in addition to the reader threads and those of the network."""
    import cv2

    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
