"""Which tiles of a run are looked at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from microscope_qc.project.runs.mask_files import has_mask, read_mask, write_mask

if TYPE_CHECKING:
    from microscope_qc.ml.engine.pipeline import Session


def wanted_tiles(folder: Path, session: Session) -> list[int]:
    """Tiles that a run looks at; where that is not settled yet, the mask is made and kept."""
    if not has_mask(folder):
        made = None
        if session.card.get("skip_empty"):
            from microscope_qc.slides.material import find_material

            made = find_material(session.mosaic, session.grid.region, scale=session.scale)
        write_mask(folder, made)
    mask = read_mask(folder)
    return list(range(len(session.grid))) if mask is None else mask.tiles(session.grid)
