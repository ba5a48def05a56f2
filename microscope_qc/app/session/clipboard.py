"""Boxes on the clipboard, in addition to the table for other programs.

The content may come from another window or program: it is checked like an untrusted file.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from microscope_qc.core.errors import InputError
from microscope_qc.core.outline import Outline

MIME_TYPE = "application/x-microscope-qc-boxes+json"
MOST = 100_000
LARGEST = 64 * 2**20
NOT_OURS = "There are no findings on the clipboard."


@dataclass(frozen=True, slots=True)
class CopiedBoxes:
    """Boxes at their positions on their slide.

    ``corners`` is (N, 4) y0, x0, y1, x1 in pixels of that slide; ``attributes`` and ``outlines`` are by index.
    """

    corners: np.ndarray
    codes: tuple[str, ...]
    notes: tuple[str, ...]
    pixel_size_um: tuple[float, float] | None
    attributes: Mapping[int, Mapping[str, Any]]
    outlines: Mapping[int, Outline]

    def __len__(self) -> int:
        return len(self.corners)

    def to_json(self) -> bytes:
        """Serialise for the clipboard."""
        return json.dumps(
            {
                "version": 1,
                "corners": self.corners.tolist(),
                "codes": self.codes,
                "notes": self.notes,
                "pixel_size_um": self.pixel_size_um,
                "attributes": {str(place): dict(found) for place, found in self.attributes.items()},
                "outlines": {str(place): outline.to_json() for place, outline in self.outlines.items()},
            }
        ).encode()

    @classmethod
    def from_json(cls, content: bytes) -> CopiedBoxes:
        """Read from the clipboard.

        Raises
        ------
        InputError
            If it is not what :meth:`to_json` writes.
        """
        try:
            if len(content) > LARGEST:
                raise ValueError("too long")
            found = json.loads(content)
            corners = np.array(found["corners"], float).reshape(-1, 4)
            codes, notes = tuple(map(_text, found["codes"])), tuple(map(_text, found["notes"]))
            size = found["pixel_size_um"]
            size = None if size is None else _sizes(size)
            attributes = {int(place): dict(values) for place, values in found["attributes"].items()}
            outlines = {int(place): Outline.from_json(_text(text)) for place, text in found["outlines"].items()}
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as error:
            raise InputError(NOT_OURS, hint="Copy findings with Ctrl C first.") from error
        count = len(corners)
        fine = 0 < count <= MOST and len(codes) == len(notes) == count and bool(np.isfinite(corners).all())
        fine = fine and bool((corners[:, 2:] > corners[:, :2]).all())
        if not fine or any(not 0 <= place < count for place in (*attributes, *outlines)):
            raise InputError(NOT_OURS, hint="Copy findings with Ctrl C first.")
        return cls(corners, codes, notes, size, attributes, outlines)

    def around(self, y: float, x: float, *, pixel_size_um: tuple[float, float] | None) -> CopiedBoxes:
        """The same boxes centred on a position of a slide; at another pixel size they keep their size in um."""
        factor = (1.0, 1.0)
        if self.pixel_size_um is not None and pixel_size_um is not None:
            factor = tuple(old / new for old, new in zip(self.pixel_size_um, pixel_size_um, strict=True))  # type: ignore[assignment]
        if all(math.isclose(value, 1.0, rel_tol=1e-9) for value in factor):
            factor = (1.0, 1.0)
        corners = self.corners * np.tile(factor, 2)
        middle = (corners[:, :2].min(axis=0) + corners[:, 2:].max(axis=0)) / 2
        move = np.round([y, x] - middle) if factor == (1.0, 1.0) else [y, x] - middle
        outlines = {}
        for place, outline in self.outlines.items():
            scaled = outline if factor == (1.0, 1.0) else outline.scaled(*factor)
            if scaled is not None:
                outlines[place] = scaled.moved(float(move[0]), float(move[1]))
        corners = corners + np.tile(move, 2)
        return CopiedBoxes(corners, self.codes, self.notes, pixel_size_um, self.attributes, outlines)

    def moved(self, dy: float, dx: float) -> CopiedBoxes:
        """The same boxes, moved."""
        outlines = {place: outline.moved(dy, dx) for place, outline in self.outlines.items()}
        corners = self.corners + np.array([dy, dx, dy, dx])
        return CopiedBoxes(corners, self.codes, self.notes, self.pixel_size_um, self.attributes, outlines)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not text")
    return value


def _sizes(values: Sequence[float]) -> tuple[float, float]:
    y, x = (float(value) for value in values)
    if not (0 < y < math.inf and 0 < x < math.inf):
        raise ValueError("not a pixel size")
    return y, x
