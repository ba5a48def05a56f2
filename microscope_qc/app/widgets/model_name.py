"""How a detection's model is called in lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from microscope_qc.project.records import RunRecord


def model_name(run: RunRecord) -> str:
    """Name of the model a run was made with: the last part of its path where it is a model of the user's own."""
    model = run.card.get("model", "")
    if isinstance(model, dict):
        model = model.get("name", "")
    return str(model).rstrip("/").replace("\\", "/").rpartition("/")[2] or "unknown model"
