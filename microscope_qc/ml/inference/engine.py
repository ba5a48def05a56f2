"""The child's side of a detection: read tiles, find candidates, write the journal.

Killed at any time, it goes on later where it was.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.geometry import Region, TileGrid
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.ml.inference.detector import Detector
from microscope_qc.ml.inference.tiling import model_tile_shape, plan_grid, slide_scale, to_slide
from microscope_qc.ml.journal import JournalWriter, read_journal, read_run_card, write_status
from microscope_qc.ml.run_lock import PATIENCE_SECONDS, RunLock

READERS = 2
_STATUS_SECONDS = 0.5


def run_detector(run_folder: Path | str, *, patience_s: float = PATIENCE_SECONDS) -> Job[dict[str, Any]]:
    """Do what a run's card says, as far as it is not in the journal yet.

    Parameters
    ----------
    patience_s
        How long to wait for another process that still writes this run, such as one whose window was killed.

    Returns
    -------
    Job[dict]
        The last status: state, tiles_done, tiles_total, tiles_damaged, device, seconds, message.

    Raises
    ------
    ModelError, SlideError, ProjectError
        When model, slide or card cannot be used, or another process still writes the run.
    """
    folder = Path(run_folder)
    card = read_run_card(folder)
    status: dict[str, Any] = {
        "state": "running", "tiles_done": 0, "tiles_total": 0, "tiles_damaged": 0, "device": "", "seconds": 0.0,
        "message": "",
    }  # fmt: skip
    lock = RunLock(folder)
    yield from lock.acquire(patience_s=patience_s)
    try:
        yield from _work(folder, card, status)
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


def _work(folder: Path, card: dict[str, Any], status: dict[str, Any]) -> Job[None]:
    from microscope_qc.ml.devices import use_threads
    from microscope_qc.slides import open_slide

    started = time.monotonic()
    use_threads()
    grid = plan_grid(card)
    done = {tile for tile, _ in read_journal(folder)[0]}
    status.update(tiles_done=len(done), tiles_total=len(grid))
    write_status(folder, status)
    yield Progress(len(done), len(grid), "tiles", "loading the model")
    detector = Detector.load(card["model"], device=card.get("device", "auto"))
    status["device"] = str(detector.device)
    where = card["slide"]
    with open_slide(where["path"]) as slide:
        mosaic = slide.scene(where.get("scene"))
        pixel_size = where.get("pixel_size_um") or mosaic.pixel_size_um
        scale = slide_scale(detector.card.pixel_size_um, None if pixel_size is None else (pixel_size[0], pixel_size[1]))
        writer = JournalWriter(folder)
        told = time.monotonic()
        try:
            for batch in _batches(
                mosaic, grid, scale=scale, done=done, size=4 if detector.device.type == "cpu" else 16
            ):
                _find(
                    detector,
                    batch,
                    writer=writer,
                    done=done,
                    threshold=float(card.get("candidate_confidence", 0.05)),
                    status=status,
                )
                status.update(tiles_done=len(done), seconds=round(time.monotonic() - started, 2))
                if time.monotonic() - told > _STATUS_SECONDS:
                    write_status(folder, status)
                    told = time.monotonic()
                yield Progress(len(done), len(grid), "tiles")
        finally:
            writer.close()


Read = tuple[int, Region, np.ndarray | str]


def _batches(
    mosaic: Any, grid: TileGrid, *, scale: tuple[float, float], done: set[int], size: int
) -> Iterator[list[Read]]:
    """Tiles with their pixels (or why there are none), a few batches ahead.

    A batch is always the same tiles, also when some of them were done before the run was interrupted: what a processor
    computes may depend on what else is in the batch.
    """
    tiles = list(grid)
    groups = [range(start, min(start + size, len(tiles))) for start in range(0, len(tiles), size)]
    groups = [group for group in groups if any(index not in done for index in group)]

    def read(index: int) -> Read:
        try:
            return index, tiles[index], mosaic.read_scaled(tiles[index], model_tile_shape(tiles[index], scale))
        except (MicroscopeQCError, OSError, ValueError) as error:
            return index, tiles[index], str(error) or type(error).__name__

    pool = ThreadPoolExecutor(READERS, thread_name_prefix="tiles")
    ahead: deque[list[Future[Read]]] = deque()
    try:
        waiting = iter(groups)
        for group in waiting:
            ahead.append([pool.submit(read, index) for index in group])
            if len(ahead) >= 3:
                break
        while ahead:
            batch = [future.result() for future in ahead.popleft()]
            following = next(waiting, None)
            if following is not None:
                ahead.append([pool.submit(read, index) for index in following])
            yield batch
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _find(
    detector: Detector,
    batch: list[Read],
    *,
    writer: JournalWriter,
    done: set[int],
    threshold: float,
    status: dict[str, Any],
) -> None:
    readable = [(index, tile, pixels) for index, tile, pixels in batch if isinstance(pixels, np.ndarray)]
    found = detector.find([pixels for _, _, pixels in readable], threshold=threshold)
    results = {
        index: to_slide(rows, tile, shape=(pixels.shape[0], pixels.shape[1]), index=index)
        for (index, tile, pixels), rows in zip(readable, found, strict=True)
    }
    for index, _, pixels in batch:
        if index in done:
            continue
        if isinstance(pixels, str):
            writer.error(index, pixels)
            status["tiles_damaged"] += 1
        else:
            writer.tile(index, results[index])
        done.add(index)
