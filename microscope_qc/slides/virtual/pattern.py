"""The image of a virtual slide: a polished stack of battery electrodes, computed for any place at any scale.

Three parts, all functions of only the seed and the place: a drawn pattern that repeats (one cell of the stack, with
its own pyramid), a slowly varying brightness, and scattered pores and metal grains of three sizes.
"""

from __future__ import annotations

import functools
import threading

import numpy as np
from numpy.typing import NDArray

from microscope_qc.core.arrays import Floats
from microscope_qc.core.geometry import Region

WIDTH = 2048
# from the top of one cell to its bottom: (layer, thickness in pixels); in total a multiple of a high power of two
LAYERS = (
    ("separator", 240),
    ("cathode", 1400),
    ("aluminium", 180),
    ("cathode", 1400),
    ("separator", 240),
    ("anode", 1250),
    ("copper", 184),
    ("anode", 1250),
)
PERIOD = sum(thickness for _, thickness in LAYERS)
TINTS = {
    "cathode": (1.0, 0.99, 0.97),
    "anode": (0.99, 1.0, 1.03),
    "separator": (0.74, 0.76, 0.8),
    "aluminium": (1.96, 1.97, 2.0),
    "copper": (2.06, 1.4, 1.04),
}
# brightness of lattice points this many pixels apart, and how strong it is in 1/128
FIELDS = ((3000, 5), (19_000, 9), (70_000, 12))
# the layers bend: (wavelength, amplitude) in pixels
WAVES = ((9_100, 60.0), (38_000, 420.0), (131_000, 1500.0), (420_000, 8000.0))
SCATTER = (45, 190, 800)  # largest radius of a pore or grain in pixels; there is one per square of 34 radii
SMALLEST_SHOWN_PX = 2.0
BAND_ROWS = 512
NOTHING = np.empty((0, 0), np.float32)  # an absent matrix for OpenCV
_lock = threading.Lock()


def draw(region: Region, level: int, seed: int) -> np.ndarray:
    """Pixels (h, w, 3) uint8 of a region of a level; each level halves the one before."""
    pixels = np.empty((*region.shape, 3), np.uint8)
    for y in range(region.y0, region.y1, BAND_ROWS):
        for x in range(region.x0, region.x1, 16_384):  # OpenCV's maps end at 32,767
            part = Region(y, x, min(y + BAND_ROWS, region.y1), min(x + 16_384, region.x1))
            target = pixels[y - region.y0 : part.y1 - region.y0, x - region.x0 : part.x1 - region.x0]
            target[...] = _draw_part(part, level, seed)
    return pixels


def _draw_part(region: Region, level: int, seed: int) -> np.ndarray:
    import cv2

    stack = pattern(seed)
    base = stack[min(level, len(stack) - 1)]
    if level >= len(stack):  # a pixel covers many cells: only their mean is left
        pixels = np.ascontiguousarray(np.broadcast_to(base, (*region.shape, 3)))
    else:
        pixels = cv2.remap(base, _places(region, level, seed, base.shape), NOTHING, cv2.INTER_NEAREST)
    gain = _brightness(region, level, seed)
    pixels = cv2.multiply(pixels, cv2.merge([gain, gain, gain]), scale=1 / 128)
    _scatter(pixels, region, level, seed)
    return pixels


def _places(region: Region, level: int, seed: int, size: tuple[int, ...]) -> np.ndarray:
    """(h, w, 2) int16: the position (x, y) in the pattern that every pixel shows."""
    rows, columns = size[:2]
    shift = _bend(np.arange(region.x0, region.x1), level, seed)
    first = (region.y0 + int(shift.min())) // rows
    top = (region.y0 - first * rows + shift).astype(np.int32)
    down = np.arange(region.shape[0], dtype=np.int32)[:, None] + top[None, :]
    across = np.arange(region.x0, region.x1, dtype=np.int64) % columns
    places = np.empty((*region.shape, 2), np.int16)
    count = (int(top.max()) + region.shape[0] - 1) // rows + 1
    # every cell of the stack starts elsewhere in the pattern; multiples of 64 pixels, so that six levels agree
    rolls = _hash(seed, 11, np.arange(first, first + count), np.zeros(1, np.int64))[:, 0] % (WIDTH // 64) * 64
    rolls = (rolls >> np.uint64(level)).astype(np.int32)
    if count == 1:
        places[..., 0] = (across + rolls[0]) % columns
        places[..., 1] = down
        return places
    cell = down // rows
    places[..., 0] = (across.astype(np.int32)[None, :] + rolls[cell]) & (columns - 1)  # a power of two
    places[..., 1] = down - cell * rows
    return places


def _bend(x: np.ndarray, level: int, seed: int) -> np.ndarray:
    """By how many pixels of this level every column is shifted along the stack."""
    centre = (x + 0.5) * 2.0**level
    phases = _hash(seed, 12, np.arange(len(WAVES)), np.zeros(1, np.int64))[:, 0].astype(np.float64) / 2**62 * np.pi
    moved = sum(
        height * np.sin(2 * np.pi * centre / length + phase)
        for (length, height), phase in zip(WAVES, phases, strict=True)
    )
    whole: Floats = np.rint(moved / 2.0**level)
    return whole.astype(np.int64)


def _brightness(region: Region, level: int, seed: int) -> np.ndarray:
    """(h, w) uint8; 128 means unchanged."""
    import cv2

    down, across = [], []
    for number, (spacing, strength) in enumerate(FIELDS):
        y_first, y_weights = _lattice(region.y0, region.y1, level, spacing)
        x_first, x_weights = _lattice(region.x0, region.x1, level, spacing)
        rows = np.arange(y_first, y_first + y_weights.shape[1])
        columns = np.arange(x_first, x_first + x_weights.shape[1])
        points = (_hash(seed, number, rows, columns) % 255).astype(np.float32) - 127
        down.append(y_weights)
        across.append(cv2.gemm(points * strength, x_weights, 1.0, NOTHING, 0.0, flags=cv2.GEMM_2_T))
    # integers below 2^24 throughout: the sums are exact, in any order and however the region is cut
    total = cv2.gemm(np.hstack(down), np.vstack(across), 1.0, NOTHING, 0.0)
    return cv2.convertScaleAbs(total, alpha=2.0**-19, beta=128)


def _lattice(start: int, stop: int, level: int, spacing: int) -> tuple[int, np.ndarray]:
    """First lattice point, and the weight of each point (in 1/64) in every pixel."""
    place = (np.arange(start, stop) + 0.5) * (2.0**level / spacing)
    cell = np.floor(place).astype(np.int64)
    share = place - cell
    share = np.rint(64 * share * share * (3 - 2 * share)).astype(np.float32)
    first = int(cell[0])
    weights = np.zeros((len(place), int(cell[-1]) - first + 2), np.float32)
    index = np.arange(len(place))
    weights[index, cell - first] = 64 - share
    weights[index, cell - first + 1] = share
    return first, weights


def _scatter(pixels: np.ndarray, region: Region, level: int, seed: int) -> None:
    """Draw pores and grains; those smaller than a few pixels are skipped, so that coarse levels stay cheap."""
    factor = 2.0**level
    for number, largest in enumerate(SCATTER):
        if largest / factor < SMALLEST_SHOWN_PX:
            continue
        side = 34 * largest
        (top, bottom), (left, right) = (
            (int((start * factor - largest) // side), int((stop * factor + largest) // side) + 1)
            for start, stop in ((region.y0, region.y1), (region.x0, region.x1))
        )
        rows, columns = np.arange(top, bottom), np.arange(left, right)
        facts = [_hash(seed, 20 + 8 * number + i, rows, columns).astype(np.float64) / 2**63 for i in range(5)]
        for i, row in enumerate(rows):
            for j, column in enumerate(columns):
                dy, dx, size, flat, bright = (fact[i, j] for fact in facts)
                radius = largest * (0.3 + 0.7 * size) / factor
                centre = ((row + dy) * side / factor, (column + dx) * side / factor)
                _spot(pixels, region, centre, (radius * (0.35 + 0.65 * flat), radius), bright > 0.7)


def _spot(
    pixels: np.ndarray, region: Region, centre: tuple[float, float], radii: tuple[float, float], bright: bool
) -> None:
    reach = Region(
        int(centre[0] - radii[0]) - 1,
        int(centre[1] - radii[1]) - 1,
        int(centre[0] + radii[0]) + 2,
        int(centre[1] + radii[1]) + 2,
    )
    inside = Region(
        max(reach.y0, region.y0), max(reach.x0, region.x0), min(reach.y1, region.y1), min(reach.x1, region.x1)
    )
    if inside.empty:
        return
    y = ((np.arange(inside.y0, inside.y1) + 0.5 - centre[0]) / radii[0]).astype(np.float32)
    x = ((np.arange(inside.x0, inside.x1) + 0.5 - centre[1]) / radii[1]).astype(np.float32)
    from_edge = 1 - np.sqrt((y * y)[:, None] + (x * x)[None, :])
    cover = np.clip(from_edge * np.float32(min(radii)) + np.float32(0.5), 0, 1)[..., None]
    value = np.float32(235 if bright else 18)
    part = pixels[inside.y0 - region.y0 : inside.y1 - region.y0, inside.x0 - region.x0 : inside.x1 - region.x0]
    part[...] = np.rint(part + (value - part) * cover)


def _hash(seed: int, salt: int, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """(rows, columns) pseudo-random numbers below 2^63 (splitmix64)."""
    with np.errstate(over="ignore"):
        value = np.uint64((seed * 0x9E3779B97F4A7C15 + salt * 0xD1B54A32D192ED03) % 2**64)
        mixed = value + rows.astype(np.int64).view(np.uint64)[:, None] * np.uint64(0xBF58476D1CE4E5B9)
        mixed = _mix(mixed) + columns.astype(np.int64).view(np.uint64)[None, :] * np.uint64(0x94D049BB133111EB)
        return _mix(_mix(mixed)) >> np.uint64(1)


def _mix(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def pattern(seed: int) -> tuple[np.ndarray, ...]:
    """One cell of the stack as a pyramid of (h, w, 3) uint8, the last level its mean; drawn at the first call."""
    with _lock:
        return _pattern(seed)


@functools.lru_cache(maxsize=2)
def _pattern(seed: int) -> tuple[np.ndarray, ...]:
    import cv2

    dice = np.random.default_rng(seed)
    cell = np.empty((PERIOD, WIDTH, 3), np.uint8)
    drawn: dict[str, np.ndarray] = {}
    y = 0
    for kind, thickness in LAYERS:
        layer = cell[y : y + thickness]
        if kind in drawn:  # the other side of the foil is its mirror image
            layer[...] = drawn[kind][::-1]
        else:
            grey = {"cathode": _cathode, "anode": _anode}.get(kind, _plain)(dice, thickness)
            grey = cv2.copyMakeBorder(grey, 0, 0, 2, 2, cv2.BORDER_WRAP)
            grey = cv2.GaussianBlur(grey, (5, 5), 0.9)[:, 2:-2]
            noise = np.frombuffer(dice.bytes(thickness * WIDTH), np.uint8).reshape(grey.shape) & 15
            grey = cv2.add(grey, noise)
            layer[...] = cv2.merge([cv2.convertScaleAbs(grey, alpha=share) for share in TINTS[kind]])
            drawn[kind] = layer
        y += thickness
    stack: list[np.ndarray] = [cell]
    while stack[-1].shape[0] % 2 == 0 and stack[-1].shape[1] > 1:
        height, width = stack[-1].shape[:2]
        stack.append(cv2.resize(stack[-1], (width // 2, height // 2), interpolation=cv2.INTER_AREA))
    stack.append(np.rint(stack[-1].mean(axis=(0, 1), keepdims=True)).astype(np.uint8))
    return tuple(stack)


def _plain(dice: np.random.Generator, thickness: int) -> np.ndarray:
    """Foil or separator: faint lines along it; (h, w) grey."""
    return np.repeat(dice.integers(84, 100, (thickness, 1), np.uint8), WIDTH, axis=1)


def _cathode(dice: np.random.Generator, thickness: int) -> np.ndarray:
    """Bright round grains of two sizes in dark binder; (h, w) grey."""
    layer = np.full((thickness, WIDTH), 44, np.uint8)
    for count, smallest, largest in ((2600, 5, 13), (900, 16, 52)):
        radius = dice.uniform(smallest, largest, count)
        lengths = np.stack([radius, radius * dice.uniform(0.8, 1.0, count)], axis=1)
        _ellipses(layer, dice, lengths, tilts=dice.uniform(0, 180, count), greys=dice.uniform(135, 205, count))
    return layer


def _anode(dice: np.random.Generator, thickness: int) -> np.ndarray:
    """Grey flakes, most of them along the foil, in dark pores; (h, w) grey."""
    layer = np.full((thickness, WIDTH), 30, np.uint8)
    length = dice.uniform(14, 66, 3400)
    lengths = np.stack([length, length * dice.uniform(0.18, 0.5, 3400)], axis=1)
    _ellipses(layer, dice, lengths, tilts=dice.normal(0, 28, 3400), greys=dice.uniform(82, 138, 3400))
    return layer


def _ellipses(
    layer: np.ndarray, dice: np.random.Generator, lengths: np.ndarray, *, tilts: np.ndarray, greys: np.ndarray
) -> None:
    """Grains with dark rims and half axes ``lengths``; one that crosses a side continues on the opposite side."""
    import cv2

    turn = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    circle = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    centres = dice.uniform((0, 0), (WIDTH, len(layer)), (len(lengths), 2))
    sines, cosines = np.sin(np.radians(tilts)), np.cos(np.radians(tilts))
    turned = np.stack([np.stack([cosines, sines], axis=1), np.stack([-sines, cosines], axis=1)], axis=1)
    outlines = np.stack([(circle * (lengths + rim)[:, None]) @ turned + centres[:, None] for rim in (2.5, 0.0)], axis=1)
    points = np.rint(outlines * 16).astype(np.int32)
    beyond = np.where(centres[:, 0] > WIDTH / 2, -16 * WIDTH, 16 * WIDTH)
    crosses = (points[..., 0].min(axis=(1, 2)) < 0) | (points[..., 0].max(axis=(1, 2)) > 16 * WIDTH)
    for pair, grey, shift, twice in zip(points, greys, beyond, crosses, strict=True):
        for outline, colour in zip(pair, (26.0, grey), strict=True):
            cv2.fillConvexPoly(layer, outline, colour, shift=4)
            if twice:
                cv2.fillConvexPoly(layer, outline + np.array((shift, 0), np.int32), colour, shift=4)
