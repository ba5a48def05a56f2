"""Pictures in a report say how large things are."""

from __future__ import annotations

import numpy as np
import pytest

from microscope_qc.core.boxes import make_rows
from microscope_qc.reports.crops import crop, with_scale_bar


@pytest.mark.parametrize(("um_per_px", "px"), [(0.25, 80), (0.3, 67), (0.012, 83), (40.0, 50)])
def test_the_scale_bar_has_a_round_length(um_per_px: float, px: int) -> None:
    picture = with_scale_bar(np.full((256, 256, 3), 90, np.uint8), um_per_px)
    row = (picture[243] == 255).all(axis=1)
    assert row.sum() == px  # 20 um, 20 um, 1 um, 2 mm
    assert (picture[:128] == 90).all()


def test_a_picture_of_a_slide_without_a_pixel_size_has_no_bar() -> None:
    class Grey:
        def read_scaled(self, _region: object, shape: tuple[int, int]) -> np.ndarray:
            return np.full((*shape, 3), 90, np.uint8)

    box = make_rows(1, class_id=1, y0=10.0, x0=10.0, y1=60.0, x1=60.0)[0]
    assert (crop(Grey(), box, "#E69F00")[236:] == 90).all()
    assert not (crop(Grey(), box, "#E69F00", um_per_px=0.5)[236:] == 90).all()
