"""Colours of classes: told apart by everybody, beyond the palette too."""

from __future__ import annotations

import numpy as np
import pytest

from microscope_qc.core.class_colours import (
    MOST,
    PALETTE,
    _ciede2000,
    class_colour,
    class_colours,
    differences,
    next_colour,
)
from microscope_qc.core.defect_class import CLASS_SETS


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485), 2.0425),
        ((50.0, 2.4900, -0.0010), (50.0, -2.4900, 0.0011), 7.2195),
        ((50.0, 2.5000, 0.0000), (73.0, 25.0000, -18.0000), 27.1492),
        ((22.7233, 20.0904, -46.6940), (23.0331, 14.9730, -42.5619), 2.0373),
        ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
        ((50.0, 0.0, 0.0), (50.0, -1.0, 2.0), 2.3669),
    ],
)
def test_differences_are_those_of_the_published_pairs(
    one: tuple[float, ...], other: tuple[float, ...], expected: float
) -> None:
    assert _ciede2000(np.array([one]), np.array([other]))[0] == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize(("count", "least"), [(12, 11.0), (16, 9.0), (20, 7.5), (MOST, 5.0)])
def test_classes_are_told_apart_by_colour_blind_people_too(count: int, least: float) -> None:
    colours = class_colours()
    assert colours[: len(PALETTE)] == PALETTE and len(set(colours)) == MOST
    for place in range(1, count):
        assert differences(colours[place], colours[:place]).min() > least


@pytest.mark.parametrize("name", CLASS_SETS)
def test_the_classes_of_a_bundled_set_are_told_apart_by_colour_blind_people(name: str) -> None:
    colours = [item.colour for item in CLASS_SETS[name]]
    assert tuple(colours) == PALETTE[: len(colours)]
    for place in range(1, len(colours)):
        assert (
            differences(colours[place], colours[:place]).min() > 11
        )  # of yellow and orange, which Okabe and Ito chose


def test_the_next_colour_looks_like_none_in_use() -> None:
    assert next_colour([]) == PALETTE[0]
    assert next_colour(["#e69f00", "no colour"]) == PALETTE[1]
    assert next_colour(["#E69F01"]) == PALETTE[1], "nearly the same is the same"
    used: list[str] = []
    for place in range(MOST + 2):
        used.append(next_colour(used))
        assert used[-1] == class_colour(place)
