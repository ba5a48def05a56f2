"""Marks go to the exact corner, crossing or indent near a click, and stay where there is none."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from microscope_qc.correlation.snapping import snapped

SIDE, FINE = 120, 8
AT = np.array([61.3, 57.8])
"""Where the mark is drawn, y and x; the middle of the upper left pixel is 0, 0."""


def drawn(kind: str, *, noise: float = 6.0, inverted: bool = False, angle: float = 0.0) -> np.ndarray:
    """A mark at :data:`AT`, drawn eight times finer and averaged."""
    big = np.full((SIDE * FINE, SIDE * FINE), 80, np.uint8)
    centre = (AT + 0.5) * FINE
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])

    def point(y: float, x: float) -> tuple[int, int]:
        moved = centre + turn @ np.array([y, x]) * FINE
        return round(moved[1]), round(moved[0])

    if kind == "corner":
        outline = np.array([point(0, 0), point(0, 200), point(200, 200), point(200, 0)])
        cv2.fillPoly(big, [outline], 200)
    elif kind == "cross":
        for a, b in (((-40, 0), (40, 0)), ((0, -40), (0, 40))):
            cv2.line(big, point(*a), point(*b), 200, 3 * FINE)
    elif kind == "indent":
        for number, grey in enumerate((60, 190, 110, 230)):
            tips = [(-25, 0), (0, 25), (25, 0), (0, -25)]
            cv2.fillPoly(big, [np.array([point(0, 0), point(*tips[number]), point(*tips[(number + 1) % 4])])], grey)
    small = cv2.resize(big, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(float)
    small += np.random.default_rng(3).normal(0, noise, small.shape)
    return np.clip(255 - small if inverted else small, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("kind", ["corner", "cross", "indent"])
@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("angle", [0.0, 0.4])
def test_a_mark_is_found_to_a_fraction_of_a_pixel(kind: str, inverted: bool, angle: float) -> None:
    picture = drawn(kind, inverted=inverted, angle=angle)
    for click in ((5.0, -4.0), (-6.0, 3.0)):
        found = snapped(picture, *(AT + click), radius_px=20)
        assert found is not None
        assert np.hypot(found.y - AT[0], found.x - AT[1]) < 0.6
        assert found.moved_px == pytest.approx(np.hypot(*click), abs=0.6)


def test_there_is_nothing_to_snap_to_in_noise_on_an_edge_or_far_away() -> None:
    plain = np.random.default_rng(1).normal(120, 6, (SIDE, SIDE))
    edge = plain + 90 * (np.arange(SIDE) > 60)
    flat = np.full((SIDE, SIDE), 7)
    for picture in (edge, flat):
        assert snapped(picture, 60, 60, radius_px=20) is None
    assert snapped(drawn("corner"), 20, 20, radius_px=15) is None
