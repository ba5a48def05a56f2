"""The tiles in which a model scans a slide. No torch in here."""

from __future__ import annotations

from microscope_qc.core.errors import ModelError
from microscope_qc.core.geometry import Region, TileGrid
from microscope_qc.ml.architectures.base import architecture
from microscope_qc.ml.cards import ModelCard
from microscope_qc.ml.tasks.kinds import TASKS
from microscope_qc.ml.tiling import lattice, tile_size


def tile_grid(card: ModelCard, region: Region, *, scale: tuple[float, float]) -> TileGrid:
    """Tiles in which a model scans a region of a slide, in full-resolution pixels.

    Parameters
    ----------
    scale
        Full-resolution slide pixels per model pixel (y, x).

    Raises
    ------
    ModelError
        When the model's task or network is unknown.
    """
    if card.task not in TASKS:
        raise ModelError(f"This version cannot run models for the task {card.task} over slides.")
    kind = architecture(card.architecture)
    side, overlap = tile_size(card.tile_px, card.overlap_px, scale=scale)
    stride_px = kind.stride_px(kind.checked(card.network)) if TASKS.get(card.task).on_lattice else 0
    return TileGrid(region, side, overlap, lattice(stride_px, overlap, scale=scale))
