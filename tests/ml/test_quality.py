"""Pictures that are out of focus or mostly saturated are told from the others of their set."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from benchmarks.focus import BLURS, Pixels, looks, shares

from microscope_qc.core.geometry import Region
from microscope_qc.ml.datasets.quality import Look, judge, look_at
from microscope_qc.ml.datasets.records import BLURRED, SATURATED

Change = Callable[[np.ndarray], np.ndarray]


def surface(seed: int, side: int = 200) -> np.ndarray:
    """Grains of all sizes: uint8 (side, side, 3)."""
    rng = np.random.default_rng(seed)
    rough = sum(
        cv2.resize(rng.normal(0, 12, (side // px + 2,) * 2), (side, side), interpolation=cv2.INTER_LINEAR)
        for px in (1, 2, 4, 8, 16)
    )
    return np.repeat(np.clip(120 + rough, 0, 255).astype(np.uint8)[..., None], 3, -1)


def blurred(picture: np.ndarray, sigma: float = 3.0) -> np.ndarray:
    return cv2.GaussianBlur(picture, (0, 0), sigma)


def seen(picture: np.ndarray, um: float | None = None) -> Look:
    mosaic: Any = Pixels(picture)
    return look_at(mosaic, None if um is None else (um, um))


def bad(known: list[Look]) -> list[str]:
    return [verdict.bad for verdict in judge(known)]


def test_a_picture_out_of_focus_is_told_from_the_others() -> None:
    known = [seen(surface(number)) for number in range(9)]
    assert bad([*known, seen(blurred(surface(9)))]) == [""] * 9 + [BLURRED]
    assert bad([*known, seen(surface(9) // 5 + 9)]) == [""] * 10, "neither dark nor low in contrast is blurred"


def test_surfaces_that_are_smooth_throughout_are_no_fault() -> None:
    assert bad([seen(blurred(surface(number))) for number in range(12)]) == [""] * 12


def test_few_pictures_cannot_be_compared() -> None:
    known = [seen(surface(number)) for number in range(6)]
    assert bad([*known, seen(blurred(surface(9)))]) == [""] * 7


def test_only_pictures_of_one_pixel_size_are_compared() -> None:
    coarse = [seen(surface(number), 1.0) for number in range(9)]
    fine = [seen(blurred(surface(number)), 0.2) for number in range(9)]
    assert bad(coarse + fine) == [""] * 18
    assert bad([*coarse, seen(blurred(surface(20)), 1.05)])[-1] == BLURRED


def test_a_picture_with_nothing_in_it_is_not_out_of_focus() -> None:
    known = [seen(surface(number)) for number in range(9)]
    empty = np.full((200, 200, 3), 128, np.uint8)
    assert bad([*known, seen(empty), seen(empty[:20, :20])]) == [""] * 11


@pytest.mark.parametrize("end", [0, 255])
def test_a_picture_that_is_mostly_black_or_white_is_told_from_the_others(end: int) -> None:
    def spoilt(number: int) -> np.ndarray:
        picture = surface(number)
        picture[:150] = end
        return picture

    known = [seen(surface(number)) for number in range(9)]
    assert bad([*known, seen(spoilt(9))]) == [""] * 9 + [SATURATED]
    assert bad([seen(spoilt(number)) for number in range(12)]) == [""] * 12, "what all have in common is no fault"


class Slide:
    """Is too large to be a picture; what is read of it depends on the row."""

    shape = (8000, 8000, 3)

    def __init__(self, change: Callable[[Region], Change]) -> None:
        self._change = change

    def read_rgb8(self, region: Region) -> np.ndarray:
        """A part of it."""
        return self._change(region)(surface(region.y0 * 7 + region.x0, region.shape[0]))


def slide(change: Callable[[Region], Change]) -> Look:
    mosaic: Any = Slide(change)
    return look_at(mosaic, (0.5, 0.5))


def test_a_slide_is_bad_only_where_all_of_it_is_out_of_focus() -> None:
    sharp, all_blurred = slide(lambda _: lambda pixels: pixels), slide(lambda _: blurred)
    half = slide(lambda region: blurred if region.y0 > 4000 else lambda pixels: pixels)
    corner = slide(lambda region: blurred if region.y0 + region.x0 < 3000 else lambda pixels: pixels)
    assert len(sharp.details) == 16
    verdicts = judge([sharp, all_blurred, half, corner])
    assert [verdict.bad for verdict in verdicts] == ["", BLURRED, "", ""]
    assert [verdict.odd for verdict in verdicts] == [
        "",
        "",
        "is out of focus at 8 of 16 places that were looked at",
        "",
    ]
    assert judge([half])[0].odd, "the places of one slide are compared with each other"


def test_the_measure_does_not_depend_on_brightness_and_contrast() -> None:
    picture = surface(1)
    (one,), (other,) = seen(picture).details, seen((picture * 0.5 + 60).astype(np.uint8)).details
    assert math.isclose(one, other, abs_tol=0.05)


def test_real_steel_in_focus_is_kept_and_blurred_steel_is_found(real_data: Path) -> None:
    files = sorted((real_data / "detection" / "neu-det" / "IMAGES").glob("*.jpg"))[::6]
    known = [looks(cv2.imread(str(file))) for file in files]
    found = dict(zip([(0.0, 0.0), *BLURS], shares(known), strict=True))
    assert len(known) > 250 and found[0.0, 0.0] <= 0.005
    assert found[3.0, 0.0] >= 0.9 and found[3.0, 2.0] >= 0.9
