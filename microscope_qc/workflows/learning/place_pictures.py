"""Pictures of places of a data set for pages of HTML: what is there, and what models found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from microscope_qc.core.errors import MicroscopeQCError
from microscope_qc.core.geometry import Region
from microscope_qc.ml.datasets.records import AnnotatedImage
from microscope_qc.reports.crops import bounded_jpeg, outlined_crop
from microscope_qc.reports.page import Shown

TRUE_COLOUR, FOUND_COLOUR, OTHER_COLOUR = "#009e73", "#e69f00", "#56b4e9"
MOST_BYTES = 100_000
"""Of one picture, so that a page with a hundred of them can still be sent by mail."""
_CONTEXT, _LEAST_PX = 2.5, 64.0


def place_picture(
    image: AnnotatedImage, box: np.ndarray, marks: Sequence[tuple[str, np.ndarray]], words: str
) -> Shown | None:
    """A place with its surroundings; None where the picture cannot be read.

    Parameters
    ----------
    box
        The place: y0, x0, y1, x1 in full-resolution pixels.
    marks
        Boxes (n, 4) that are outlined where they are in sight, with their colours; later ones lie above.
    words
        What stands below.
    """
    y0, x0, y1, x1 = np.asarray(box, float).tolist()
    shown = min(max(_CONTEXT * max(y1 - y0, x1 - x0), _LEAST_PX), float(max(image.shape)))
    top, left = round((y0 + y1 - shown) / 2), round((x0 + x1 - shown) / 2)
    region = Region(top, left, top + round(shown), left + round(shown))
    try:
        with image.opened() as mosaic:
            picture = outlined_crop(mosaic, region, [(colour, _within(boxes, region)) for colour, boxes in marks])
    except MicroscopeQCError:
        return None
    return Shown(bounded_jpeg(picture, MOST_BYTES), words)


def _within(boxes: np.ndarray, region: Region) -> list[list[float]]:
    low, high = np.array([region.y0, region.x0]), np.array([region.y1, region.x1])
    near: list[list[float]] = boxes[((boxes[:, :2] < high) & (boxes[:, 2:] > low)).all(axis=1)].tolist()
    return near
