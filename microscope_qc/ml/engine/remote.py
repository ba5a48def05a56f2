"""The worker's side of a run on several machines: computes batches and sends back the results.

Workers write nothing: the owner of the run keeps its journal, so that nothing is lost with a worker.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from microscope_qc.ml.engine.pipeline import Pipeline, TileRecord
from microscope_qc.project.runs.plan import RunPlan

_lock = threading.Lock()
_kept: dict[str, tuple[Pipeline, list[str]]] = {}


def compute_batches(
    key: str, plan: RunPlan, groups: Sequence[Sequence[int]], *, share: int = 1, compiled: bool = False
) -> tuple[list[TileRecord], list[str], dict[str, Any]]:
    """Compute batches of a run.

    Model and slide stay open for the next call with the same ``key``; another key closes them. ``share`` is the number
    of workers on this computer; ``compiled`` comes from the run's batching.

    Returns
    -------
    (records, sentences, figures)
        The results of the tiles; what had to be changed because memory ran out; the result of :meth:`Meter.sums
        <microscope_qc.project.runs.speed.Meter.sums>` with device, device_name and precision.
    """
    from microscope_qc.ml.engine.batch_size import device_name
    from microscope_qc.ml.engine.engine import one_image_thread
    from microscope_qc.project.runs.speed import Meter

    with _lock, one_image_thread():  # one forward pass at a time: two would have to share the device's memory
        pipeline, notes = _pipeline(key, plan, share, compiled)
        before = len(notes)
        records: list[TileRecord] = []
        meter = Meter(tile_mm2=pipeline.tile_mm2)
        for _ in pipeline.work(groups, records.extend, meter=meter):
            pass
        device = pipeline.task.device
        where = {"device": str(device), "device_name": device_name(device), "precision": pipeline.task.precision}
        return records, notes[before:], meter.sums() | where


def _pipeline(key: str, plan: RunPlan, share: int, compiled: bool) -> tuple[Pipeline, list[str]]:
    from microscope_qc.ml.devices import use_threads

    if key not in _kept:
        close()
        use_threads(share=share)
        notes: list[str] = []
        pipeline = Pipeline(plan, tell=notes.append)
        pipeline.task.compile(wanted=compiled and pipeline.task.device.type == "cuda")
        _kept[key] = (pipeline, notes)
    return _kept[key]


def close() -> None:
    """Close the slide and the model."""
    for pipeline, _ in _kept.values():
        pipeline.close()
    _kept.clear()
