"""Runs a model over a slide. Importing this does not import torch; running does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from microscope_qc.core.jobs import Job
from microscope_qc.project.runs.run_lock import PATIENCE_SECONDS

if TYPE_CHECKING:
    from microscope_qc.core.geometry import Region
    from microscope_qc.ml.architectures.loading import TaskKeeper

__all__ = ["run_model"]


def run_model(
    run_folder: Path | str,
    *,
    patience_s: float = PATIENCE_SECONDS,
    began: float | None = None,
    models: TaskKeeper | None = None,
    first: Region | None = None,
) -> Job[dict[str, Any]]:
    """The child's side of a run; see :func:`microscope_qc.ml.engine.engine.run_model`."""
    from microscope_qc.ml.engine.engine import run_model as run

    return run(run_folder, patience_s=patience_s, began=began, models=models, first=first)
