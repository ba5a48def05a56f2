"""Where the cells of a run's map lie on the slide, and the file that says so. Without torch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from microscope_qc.core.files import atomic_write
from microscope_qc.core.geometry import Region


@dataclass(frozen=True, slots=True)
class MapCard:
    """Where the cells lie: ``origin_px`` and ``cell_px`` (y, x) in full-resolution pixels, and what they hold.

    ``shape`` is (rows, columns); ``classes`` are the codes of the classes that are scored or distinguished; ``task`` is
    what the model is for, such as "anomaly", "" where the map is of an older version.
    """

    origin_px: tuple[float, float]
    cell_px: tuple[float, float]
    shape: tuple[int, int]
    classes: tuple[str, ...]
    task: str = ""

    def cell_at(self, y: float, x: float) -> tuple[int, int]:
        """Row and column of the cell at a place of the slide (the nearest one outside the map)."""
        (y0, x0), (height, width), (rows, columns) = self.origin_px, self.cell_px, self.shape
        return (
            min(max(int((y - y0) // height), 0), rows - 1),
            min(max(int((x - x0) // width), 0), columns - 1),
        )

    def cells_of(self, region: Region | None) -> tuple[slice, slice]:
        """Rows and columns of the cells that touch a region in full-resolution pixels; all for None."""
        if region is None:
            return slice(0, self.shape[0]), slice(0, self.shape[1])
        first, last = self.cell_at(region.y0, region.x0), self.cell_at(region.y1 - 1, region.x1 - 1)
        return slice(first[0], last[0] + 1), slice(first[1], last[1] + 1)

    def write(self, path: Path) -> None:
        """Write the card as JSON."""
        document = {
            "origin_px": self.origin_px, "cell_px": self.cell_px, "shape": self.shape, "classes": self.classes,
            "task": self.task,
        }  # fmt: skip
        atomic_write(path, json.dumps(document, ensure_ascii=False))


def read_map_card(path: Path) -> MapCard | None:
    """Read a card; None where it is damaged."""
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        origin, cell, shape = data["origin_px"], data["cell_px"], data["shape"]
        card = MapCard(
            (float(origin[0]), float(origin[1])), (float(cell[0]), float(cell[1])), (int(shape[0]), int(shape[1])),
            tuple(str(code) for code in data["classes"]), str(data.get("task", "")),
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None
    return card if min(card.cell_px) > 0 and min(card.shape) > 0 else None
