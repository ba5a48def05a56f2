"""The ground truth of a synthetic slide, and its COCO document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class TrueDefect:
    """One drawn defect.

    Attributes
    ----------
    code : str
        Short code of its class, for example "CRP".
    y0, x0, y1, x1 : float
        Tight half-open box around its visible pixels, in full-resolution slide pixels.
    """

    code: str
    y0: float
    x0: float
    y1: float
    x1: float


class SlideWithTruth(Protocol):
    """Anything with a size, a pixel size and known defects."""

    shape: tuple[int, int]
    pixel_size_um: float
    seed: int
    defects: list[TrueDefect]
    codes: Sequence[str]


def coco_truth(slide: SlideWithTruth, file_name: str) -> dict[str, Any]:
    """Ground truth of a slide as a COCO document.

    Parameters
    ----------
    slide : ElectrodeSlide, MagnetSlide or ParticleSlide
        The slide; all its classes are listed, even those without a defect.
    file_name : str
        File name of the image in the document.

    Returns
    -------
    dict
        `bbox` is [x, y, width, height] in full-resolution pixels; category names are short codes; ids start at 1.
    """
    height, width = slide.shape
    ids = {code: number for number, code in enumerate(slide.codes, start=1)}
    annotations = []
    for number, defect in enumerate(slide.defects, start=1):
        w, h = defect.x1 - defect.x0, defect.y1 - defect.y0
        annotations.append(
            {
                "id": number,
                "image_id": 1,
                "category_id": ids[defect.code],
                "bbox": [float(defect.x0), float(defect.y0), float(w), float(h)],
                "area": float(w * h),
                "iscrowd": 0,
            }
        )
    return {
        "info": {"description": "synthetic slide", "seed": slide.seed, "pixel_size_um": slide.pixel_size_um},
        "licenses": [],
        "images": [{"id": 1, "file_name": file_name, "width": int(width), "height": int(height)}],
        "annotations": annotations,
        "categories": [{"id": ids[code], "name": code, "supercategory": "defect"} for code in slide.codes],
    }
