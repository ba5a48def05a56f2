"""The best batch size on this computer: measured once per model, then cached."""

from __future__ import annotations

import hashlib
import json
import platform
import time
from pathlib import Path
from typing import Any

import torch

from microscope_qc.core.cache_folder import cache_folder
from microscope_qc.core.files import WriteError, atomic_write
from microscope_qc.ml.devices import is_out_of_memory
from microscope_qc.ml.engine.streams import as_one_stream, stream_count
from microscope_qc.ml.tasks.base import Size, Task

LARGEST = {"cpu": 8, "cuda": 64}
GAIN = 0.96
"""A larger batch must need less than this share of the time per tile."""
TRIAL_S = 5.0
"""Seconds after which no larger batch is tried."""
FEW_TILES, FEW_BATCH = 24, 4
"""With fewer tiles a trial is not worthwhile."""


def cache_file() -> Path:
    """File with the measured batch sizes."""
    return cache_folder() / "batch_sizes.json"


def batch_size(task: Task, shape: Size, *, tiles: int) -> int:
    """Number of tiles for one forward pass.

    Parameters
    ----------
    shape
        Height and width of a tile, in model pixels.
    tiles
        Number of tiles of the run.
    """
    if tiles <= FEW_TILES:
        return min(FEW_BATCH, max(1, -(-tiles // stream_count(task.device))))
    path, key = cache_file(), _key(task, shape)
    known = _known(path)
    if isinstance(known.get(key), int) and 1 <= known[key] <= 1024:
        return int(known[key])
    with as_one_stream(task.device):
        best = by_trial(task, shape)
    try:
        atomic_write(path, json.dumps(_known(path) | {key: best}, indent=1))
    except WriteError:
        return best  # not cached: measured again the next time
    return best


def by_trial(task: Task, shape: Size) -> int:
    """The smallest batch with a time per tile close to the best."""
    (height, width), kind = task.slot(shape)
    values = torch.uint8 if kind().dtype == "uint8" else torch.float32
    each: dict[int, float] = {}
    begun, size = time.monotonic(), 1
    # all of them, because four may be faster even if two are not
    while size <= LARGEST.get(task.device.type, 8) and time.monotonic() - begun < TRIAL_S:
        try:
            slots = torch.zeros((size, height, width, 3), dtype=values)
            each[size] = min(_seconds(task, slots, shape) for _ in range(3)) / size
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            break
        size *= 2
    least = min(each.values(), default=0.0)
    return min((size for size, seconds in each.items() if GAIN * seconds <= least), default=1)


def _seconds(task: Task, slots: torch.Tensor, shape: Size) -> float:
    # CPU time, which does not grow when other programs use the CPU too
    clock = time.process_time if task.device.type == "cpu" else time.perf_counter
    started = clock()
    task.results(task.compute(slots, shape), shape)
    return clock() - started


def _key(task: Task, shape: Size) -> str:
    device = device_name(task.device)
    what: dict[str, Any] = {
        "device": device, "threads": torch.get_num_threads(), "streams": stream_count(task.device),
        "torch": torch.__version__, "precision": task.precision,
        "architecture": task.card.architecture, "network": task.card.network, "classes": len(task.card.classes),
        "shape": list(shape),
    }  # fmt: skip
    digest = hashlib.sha256(json.dumps(what, sort_keys=True, default=str).encode()).hexdigest()[:12]
    return f"{device}, {task.card.name}, {digest}"


def device_name(device: torch.device) -> str:
    """Name of the device for the user."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return str(capabilities.get("cpu_name") or platform.processor() or "processor")


def _known(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}
