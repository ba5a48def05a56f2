"""What a process that runs models loads before it is asked to, and gives back when it has nothing to do."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator

from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.project.runs.journal import LOADING

NICE = 5
_LOOK_S = 0.1


def load_everything(model: str) -> Job[None]:
    """Load the program, and a model once: what is loaded for the first time takes much longer than later on.

    It leaves the processor to others who want it. ``model`` "" is any bundled one. A model that cannot be loaded is no
    error here: whoever runs it is told.
    """
    loading = threading.Thread(target=_load, args=(model,), name="loading", daemon=True)
    loading.start()
    while loading.is_alive():
        yield Progress(0, 0, LOADING, "loading the model")
        loading.join(_LOOK_S)


def _load(model: str) -> None:
    with _behind_others():
        import torch

        import microscope_qc.ml.engine.engine  # noqa: F401  what every run needs
        from microscope_qc.ml.architectures.loading import open_task
        from microscope_qc.ml.devices import use_threads
        from microscope_qc.ml.library import list_models

        use_threads()
        with contextlib.suppress(MicroscopeQCError, OSError):
            task = open_task(model or next(card.name for card in list_models()))
            # one empty tile: a graphics card, too, prepares much at the first pass only
            side = task.card.tile_px
            (height, width), kind = task.slot((side, side))
            values = torch.uint8 if kind().dtype == "uint8" else torch.float32
            task.results(task.compute(torch.zeros((1, height, width, 3), dtype=values), (side, side)), (side, side))


@contextlib.contextmanager
def _behind_others() -> Iterator[None]:
    """Let this thread (on Windows, the process) have the processor after others."""
    if sys.platform == "win32":
        import psutil

        process, before = psutil.Process(), psutil.Process().nice()
        process.nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
        try:
            yield
        finally:
            process.nice(before)
        return
    if sys.platform == "linux":  # elsewhere it would be the whole process, which could not take it back
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
    yield


def give_back_memory() -> None:
    """Return memory that is kept for the next pass to the system, and to others who use the graphics card."""
    if "torch" in sys.modules:
        import torch

        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()
    from microscope_qc.ml.heap import give_back_freed_memory

    give_back_freed_memory()
