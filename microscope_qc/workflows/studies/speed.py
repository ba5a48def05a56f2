"""How long a model takes for a picture, by itself: reading, scaling, network, and merging of what it finds."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from microscope_qc.core.jobs import Job, Progress
from microscope_qc.ml.datasets.records import AnnotatedImage

if TYPE_CHECKING:
    from microscope_qc.ml.tasks.base import Task


def seconds_per_picture(task: Task, images: Sequence[AnnotatedImage]) -> Job[float]:
    """Mean time of one picture after another, as they come; the first is done once before that, to warm up.

    Parameters
    ----------
    images
        At least one.
    """
    from microscope_qc.ml.evaluation.on_slides import find_in_image
    from microscope_qc.ml.tasks.images import TaskFinder

    finder = TaskFinder(task)
    find_in_image(finder, images[0], batch=1)
    seconds = 0.0
    for number, image in enumerate(images):
        yield Progress(number, len(images), "pictures", f"{task.card.name}: timing on {task.device}")
        begun = time.perf_counter()
        find_in_image(finder, image, batch=1)
        seconds += time.perf_counter() - begun
    return seconds / len(images)


def devices_to_time(device: str) -> list[str]:
    """The processor, and the graphics card where there is one; only the device that is given, unless it is "auto"."""
    from microscope_qc.ml.devices import graphics_cards

    if device != "auto":
        return [device]
    return ["cpu", "cuda:0"] if graphics_cards() else ["cpu"]


def hardware_words(devices: Sequence[str]) -> str:
    """``cpu: Intel Xeon, 2 cores``: what the seconds of a study were measured on."""
    import os

    from microscope_qc.ml.devices import choose_device
    from microscope_qc.ml.engine.batch_size import device_name

    said = []
    for name in devices:
        device = choose_device(name)
        cores = f", {os.cpu_count()} cores" if device.type == "cpu" else ""
        said.append(f"{name}: {device_name(device)}{cores}")
    return "; ".join(said)
