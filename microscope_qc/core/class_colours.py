"""Colours of classes: a palette, and as many more as can be told apart, also by colour-blind people."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache

import numpy as np

PALETTE = (
    "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#00FFFF", "#AA3344", "#FFBBAA",
)  # fmt: skip
"""Okabe and Ito's colours without black, then three that red-green blind people tell from them and from each other."""

MOST = 40
"""Colours that :func:`class_colours` tells apart; more would look alike."""
SAME = 3.0
"""Two colours closer than this are taken for one (CIEDE2000)."""
_STEP = 20  # of the candidates, in each of red, green and blue
_LIGHTNESS, _CHROMA = (40.0, 92.0), 25.0  # greys and dark colours vanish on a micrograph
_WEIGHTS = (1.0, 1.5, 1.5)  # differences are small for colour-blind people, and count as much

# How red-green blind people see linear RGB: Machado, Oliveira and Fernandes 2009, severity 1.
_SIGHTS = (
    np.eye(3),
    np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
    np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]),
)
_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.119192, 0.9503041]]
)


def class_colour(place: int) -> str:
    """The colour of a class at a place of a list."""
    return PALETTE[place] if place < len(PALETTE) else class_colours()[place % MOST]


def next_colour(used: Sequence[str]) -> str:
    """Return the first colour that looks like none of the used ones, or start again when all are used."""
    if len(used) < MOST:
        known = [colour for colour in used if re.fullmatch("#[0-9A-Fa-f]{6}", colour)]
        for place in range(MOST):
            colour = class_colour(place)
            if not known or differences(colour, known).min() >= SAME:
                return colour
    return class_colour(len(used))


@cache
def class_colours() -> tuple[str, ...]:
    """The palette, continued: each further colour is the one that differs most from all before it."""
    steps = range(0, 256, _STEP)
    candidates = [f"#{red:02X}{green:02X}{blue:02X}" for red in steps for green in steps for blue in steps]
    seen = _seen(candidates)
    lightness, chroma = seen[0][:, 0], np.hypot(seen[0][:, 1], seen[0][:, 2])
    visible = np.flatnonzero((lightness > _LIGHTNESS[0]) & (lightness < _LIGHTNESS[1]) & (chroma > _CHROMA))
    seen = seen[:, visible]
    nearest = np.full(len(visible), np.inf)
    made = list(PALETTE)
    for place in range(MOST):
        if place == len(made):
            made.append(candidates[visible[int(nearest.argmax())]])
        for sight, weight, colour in zip(seen, _WEIGHTS, _seen([made[place]]), strict=True):
            nearest = np.minimum(nearest, weight * _ciede2000(sight, colour))
    return tuple(made)


def differences(colour: str, others: Iterable[str]) -> np.ndarray:
    """CIEDE2000 differences of a colour (#RRGGBB) from others, the smallest over normal and colour-blind sight."""
    pairs = zip(_seen([colour]), _seen(others), strict=True)
    return np.asarray(np.min([_ciede2000(one, several) for one, several in pairs], axis=0))


def _seen(colours: Iterable[str]) -> np.ndarray:
    """CIELAB values (sight, colour, 3) of colours as people with each kind of sight see them."""
    values = np.array([[int(colour[at : at + 2], 16) for at in (1, 3, 5)] for colour in colours]) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return np.stack([_lab(np.clip(linear @ sight.T, 0, 1)) for sight in _SIGHTS])


def _lab(linear: np.ndarray) -> np.ndarray:
    xyz = (linear @ _TO_XYZ.T) / _TO_XYZ.sum(axis=1)
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


def _ciede2000(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Sharma, Wu and Dalal 2005, "The CIEDE2000 color-difference formula", equations 2 to 22."""
    (l1, a1, b1), (l2, a2, b2) = one.T, other.T
    mean = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    stretch = 1 + 0.5 * (1 - np.sqrt(mean**7 / (mean**7 + 25.0**7)))
    a1, a2 = a1 * stretch, a2 * stretch
    c1, c2 = np.hypot(a1, b1), np.hypot(a2, b2)
    h1, h2 = np.degrees(np.arctan2(b1, a1)) % 360, np.degrees(np.arctan2(b2, a2)) % 360
    turn = np.where(c1 * c2 == 0, 0.0, (h2 - h1 + 180) % 360 - 180)
    hue = h1 + turn / 2
    lightness, chroma = (l1 + l2) / 2, (c1 + c2) / 2
    t = (
        1 - 0.17 * np.cos(np.radians(hue - 30)) + 0.24 * np.cos(np.radians(2 * hue))
        + 0.32 * np.cos(np.radians(3 * hue + 6)) - 0.20 * np.cos(np.radians(4 * hue - 63))
    )  # fmt: skip
    by_l = (l2 - l1) / (1 + 0.015 * (lightness - 50) ** 2 / np.sqrt(20 + (lightness - 50) ** 2))
    by_c = (c2 - c1) / (1 + 0.045 * chroma)
    by_h = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn / 2)) / (1 + 0.015 * chroma * t)
    rotation = np.sin(np.radians(60 * np.exp(-((((hue % 360) - 275) / 25) ** 2))))
    rotation = -2 * np.sqrt(chroma**7 / (chroma**7 + 25.0**7)) * rotation
    return np.asarray(np.sqrt(by_l**2 + by_c**2 + by_h**2 + rotation * by_c * by_h))
