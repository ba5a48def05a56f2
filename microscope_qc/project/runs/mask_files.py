"""The mask of a run, kept in its folder as a picture and a card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from microscope_qc.core.area_mask import AreaMask, read_frame
from microscope_qc.core.errors import ProjectError
from microscope_qc.core.files import atomic_path, atomic_write

MASK_NAME, MASK_CARD_NAME = "mask.png", "mask.json"


def write_mask(folder: Path, mask: AreaMask | None) -> None:
    """Store the mask of a run in its folder; None means that everything is scanned."""
    import cv2

    card: dict[str, Any] = {"everything": mask is None}
    if mask is not None:
        region = mask.region
        card |= {"region": [region.y0, region.x0, region.y1, region.x1], "cell_px": list(mask.cell_px)}
        done, png = cv2.imencode(".png", mask.scan.astype(np.uint8) * 255)
        if not done:
            raise ProjectError("The mask could not be written as a picture.")
        with atomic_path(folder / MASK_NAME) as temporary:
            temporary.write_bytes(png.tobytes())
    atomic_write(folder / MASK_CARD_NAME, json.dumps(card))


def read_mask(folder: Path) -> AreaMask | None:
    """Return the mask of a run; None where everything is scanned.

    Raises
    ------
    ProjectError
        When it is damaged.
    """
    if not has_mask(folder):
        return None
    import cv2

    try:
        card = json.loads((folder / MASK_CARD_NAME).read_text(encoding="utf-8"))
        if card["everything"]:
            return None
        raw = np.frombuffer((folder / MASK_NAME).read_bytes(), np.uint8)
        scan = cv2.imdecode(raw, cv2.IMREAD_GRAYSCALE) if len(raw) else None
        if scan is None:
            raise ValueError("no picture")
        region, cell = read_frame(card, scan.shape)
    except (OSError, ValueError, KeyError, TypeError, IndexError, cv2.error) as error:
        raise ProjectError(
            f"The mask in {folder} is damaged ({error}).",
            hint="Start this detection again (--fresh on the command line).",
        ) from error
    return AreaMask(region, cell, scan > 127)


def has_mask(folder: Path) -> bool:
    """Whether the scan area of a run is settled."""
    return (folder / MASK_CARD_NAME).exists()
