"""A helper's side of a run that several machines share: compute batches, send what they gave back.

Helpers write nothing: the owner of the run keeps its journal, so that a helper that is lost loses nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from microscope_qc.ml.engine.pipeline import Session, TileRecord

_lock = threading.Lock()
_kept: dict[str, tuple[Session, list[str]]] = {}


def compute_batches(
    key: str, card: Mapping[str, Any], groups: Sequence[Sequence[int]], *, share: int = 1, compiled: bool = False
) -> tuple[list[TileRecord], list[str], dict[str, Any]]:
    """Compute batches of a run.

    Model and slide stay open for the next call with the same ``key``; another key closes them. ``share`` is how many
    helpers share this computer; ``compiled`` is what the run's plan says.

    Returns
    -------
    (records, sentences, figures)
        What the tiles gave; what had to be changed because memory ran out; what :meth:`Meter.sums
        <microscope_qc.project.runs.speed.Meter.sums>` says, with device, device_name and precision.
    """
    from microscope_qc.ml.engine.batch_size import device_name
    from microscope_qc.ml.engine.engine import one_picture_thread
    from microscope_qc.project.runs.speed import Meter

    with _lock, one_picture_thread():  # one forward pass at a time: two would share the memory of one device
        session, notes = _session(key, card, share, compiled)
        before = len(notes)
        records: list[TileRecord] = []
        meter = Meter(tile_mm2=session.tile_mm2)
        for _ in session.work(groups, records.extend, meter=meter):
            pass
        device = session.task.device
        where = {"device": str(device), "device_name": device_name(device), "precision": session.task.precision}
        return records, notes[before:], meter.sums() | where


def _session(key: str, card: Mapping[str, Any], share: int, compiled: bool) -> tuple[Session, list[str]]:
    from microscope_qc.ml.devices import use_threads

    if key not in _kept:
        close()
        use_threads(share=share)
        notes: list[str] = []
        session = Session(card, tell=notes.append)
        if compiled and session.task.device.type == "cuda":
            session.task.compile()
        _kept[key] = (session, notes)
    return _kept[key]


def close() -> None:
    """Let go of the slide and the model."""
    for session, _ in _kept.values():
        session.close()
    _kept.clear()
