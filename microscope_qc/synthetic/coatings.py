"""Electrode coatings as tileable images: packed NMC spheres and flaky graphite, painted particle by particle."""

from __future__ import annotations

import cv2
import numpy as np

from microscope_qc.synthetic.fields import tile_noise

_SHIFT = 3  # cv2 polygons take fixed-point coordinates with this many fractional bits


def outlines(rng: np.random.Generator, centre: np.ndarray, half_axes: np.ndarray, angle: np.ndarray, *,
             roughness: float, corners: int = 20) -> np.ndarray:  # fmt: skip
    """Irregular closed outlines, float64 (n, corners, 2) as x, y.

    Parameters
    ----------
    centre : ndarray, (n, 2)
        y, x in pixels.
    half_axes : ndarray, (n, 2)
        Half axes along and across the direction `angle`, pixels.
    angle : ndarray, (n,)
        Radians from the x axis.
    roughness : float
        Relative deviation of the radius.
    """
    turn = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    radius = np.ones((len(centre), corners))
    for order in range(2, 7):
        weight = roughness * rng.standard_normal((len(centre), 1)) / order**0.7
        radius += weight * np.cos(order * turn + rng.uniform(0, 2 * np.pi, (len(centre), 1)))
    radius = np.clip(radius, 0.4, 1.8)
    a, b = radius * np.cos(turn) * half_axes[:, :1], radius * np.sin(turn) * half_axes[:, 1:]
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    return np.stack([centre[:, 1:] + a * cos - b * sin, centre[:, :1] + a * sin + b * cos], axis=-1)


def _paint_all(labels: np.ndarray, shapes: np.ndarray, numbers: np.ndarray, *, wrap_rows: bool = False) -> None:
    """Fill outlines (n, corners, 2) one after the other into a label image that tiles along x (and optionally y)."""
    size = np.array([labels.shape[1], labels.shape[0]])
    points = np.round(shapes * (1 << _SHIFT)).astype(np.int32)
    low, high = shapes.min(axis=1) < 0, shapes.max(axis=1) >= size
    crosses = (low | high) & np.array([True, wrap_rows])
    steps = (np.where(low, size, -size) * crosses << _SHIFT).astype(np.int32)
    for number, polygon, crossing, step in zip(numbers.tolist(), points, crosses.tolist(), steps, strict=True):
        cv2.fillPoly(labels, [polygon], number, shift=_SHIFT)
        if crossing[0]:
            cv2.fillPoly(labels, [polygon + step * (1, 0)], number, shift=_SHIFT)
        if crossing[1]:
            cv2.fillPoly(labels, [polygon + step * (0, 1)], number, shift=_SHIFT)
        if crossing[0] and crossing[1]:
            cv2.fillPoly(labels, [polygon + step], number, shift=_SHIFT)


def pack_spheres(
    rng: np.random.Generator, height: int, length: int, *, scale: float, wrap_rows: bool = False
) -> np.ndarray:
    """Nearly touching circles, larger ones first: float64 (n, 3) of y, x, radius.

    Parameters
    ----------
    rng : numpy.random.Generator
    height, length : int
        Size in pixels; the packing tiles along x.
    scale : float
        1 gives radii of 4.5 to 19 px (NMC at 0.3 um per pixel).
    wrap_rows : bool
        Tile along y too; otherwise circles stay inside.
    """
    free = np.full((height, length), 255, np.uint8)
    found: list[tuple[float, float, float]] = []
    radii = scale * np.array([19, 17, 15, 13.5, 12, 10.5, 9.5, 8.5, 7.5, 6.5, 5.5, 4.5])
    share = np.array([0.05, 0.07, 0.10, 0.09, 0.08, 0.08, 0.07, 0.06, 0.06, 0.05, 0.04, 0.03])
    shifts_y = (0, height, -height) if wrap_rows else (0,)
    shifts = [(dy, dx) for dy in shifts_y for dx in (0, length, -length)]
    pad = int(24 * scale) + 24
    for radius, part in zip(radii.tolist(), share.tolist(), strict=True):
        wanted = int(part * height * length / (np.pi * radius**2))
        rows = np.pad(free, ((pad, pad), (0, 0)), mode="wrap" if wrap_rows else "constant")
        wrapped = np.pad(rows, ((0, 0), (pad, pad)), mode="wrap")
        room = cv2.distanceTransform(wrapped, cv2.DIST_L2, 3)[pad:-pad, pad:-pad]
        places = rng.permutation(np.flatnonzero(room >= radius * 0.97))[: 12 * wanted]
        sizes = radius * rng.uniform(0.9, 1.06, len(places))
        taken = np.zeros_like(free)
        for place, size in zip(places.tolist(), sizes.tolist(), strict=True):
            y, x = divmod(place, length)
            if taken[y, x]:
                continue
            for dy, dx in shifts:
                if -radius * 3 < x + dx < length + radius * 3 and -radius * 3 < y + dy < height + radius * 3:
                    cv2.circle(taken, (x + dx, y + dy), int(radius * 1.95), 255, -1)
                    cv2.circle(free, (x + dx, y + dy), int(size), 0, -1)
            found.append((y, x, size))
            wanted -= 1
            if wanted <= 0:
                break
    return np.array(found)


def paint_spheres(
    rng: np.random.Generator, spheres: np.ndarray, shape: tuple[int, int], *, wrap_rows: bool = False
) -> np.ndarray:
    """Label image of slightly irregular spheres: 0 between them, else the index of the sphere plus one."""
    labels = np.zeros(shape, np.int32)
    # Spheres pressed by calendering are not perfectly round.
    size = spheres[:, 2:] * rng.uniform(0.9, 1.1, (len(spheres), 2))
    shapes = outlines(rng, spheres[:, :2], size, rng.uniform(0, np.pi, len(spheres)), roughness=0.05)
    _paint_all(labels, shapes, np.arange(1, len(shapes) + 1), wrap_rows=wrap_rows)
    return labels


def edge_depth(labels: np.ndarray) -> np.ndarray:
    """Distance of every pixel to the border of its label, in pixels."""
    inside = np.full(labels.shape, 255, np.uint8)
    inside[:, 1:][labels[:, 1:] != labels[:, :-1]] = 0
    inside[1:][labels[1:] != labels[:-1]] = 0
    inside[:, 0][labels[:, 0] != labels[:, -1]] = 0
    wrapped = np.concatenate([inside[:, -32:], inside, inside[:, :32]], axis=1)
    return cv2.distanceTransform(wrapped, cv2.DIST_L2, 3)[:, 32:-32]


def grain_texture(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Primary grains of an NMC sphere: mottling at 2-5 px and sparse dark micropores, roughly in -3 .. 1."""
    fine = tile_noise(rng, shape, scale=(2.6, 2.6))
    middle = tile_noise(rng, shape, scale=(5, 5))
    pores = tile_noise(rng, shape, scale=(3.4, 3.4))
    return 0.55 * fine + 0.45 * middle - 2.6 * np.clip(pores - 1.75, 0, 1)


def cathode_coating(rng: np.random.Generator, height: int, length: int) -> np.ndarray:
    """NMC coating, tileable along x: float32 (height, length, 3)."""
    spheres = pack_spheres(rng, height, length, scale=rng.uniform(0.93, 1.08))
    labels = paint_spheres(rng, spheres, (height, length))
    depth = edge_depth(labels)
    tone = np.r_[0, rng.normal(174, 8.5, len(spheres))].astype(np.float32)
    rough = np.r_[0, rng.uniform(5, 13, len(spheres))].astype(np.float32)
    grain = grain_texture(rng, labels.shape)
    value = tone[labels] + rough[labels] * grain + 5 * np.minimum(depth / 6, 1) - 58 * np.exp(-depth / 1.1)
    hollow = np.r_[0, (rng.random(len(spheres)) < 0.10) * rng.uniform(0.45, 0.75, len(spheres))].astype(np.float32)
    reach = np.r_[1, spheres[:, 2]].astype(np.float32)
    core = depth / reach[labels] + 0.10 * tile_noise(rng, labels.shape, scale=(6, 6))
    value -= 85 * np.clip((core - 1 + 0.45 * hollow[labels]) * 9, 0, 1) * (hollow[labels] > 0)
    binder = 74 + 9 * tile_noise(rng, labels.shape, scale=(3, 3)) + 9 * tile_noise(rng, labels.shape, scale=(14, 14))
    pores = tile_noise(rng, labels.shape, scale=(9, 9))
    binder -= 26 * np.clip(2.2 * (pores - 0.25), 0, 1)
    picture = np.empty((height, length, 3), np.float32)
    solid = labels > 0
    for channel, (nmc, matrix) in enumerate(((1.0, 0.99), (1.0, 1.0), (1.005, 1.06))):
        picture[..., channel] = np.where(solid, value * nmc, binder * matrix)
    return picture


def anode_coating(rng: np.random.Generator, height: int, length: int) -> np.ndarray:
    """Graphite coating, tileable along x: float32 (height, length, 3)."""
    count = int(2.9 * height * length / 620)
    centre = np.stack([rng.uniform(-6, height + 6, count), rng.uniform(0, length, count)], axis=1)
    long_half = np.clip(rng.lognormal(np.log(20), 0.42, count), 8, 48)
    half_axes = np.stack([long_half, long_half * np.clip(rng.lognormal(np.log(0.40), 0.3, count), 0.18, 0.85)], axis=1)
    # Flakes painted later are on top: small ones come late, so that large ones do not hide everything.
    order = np.argsort(-half_axes.prod(axis=1) * rng.lognormal(0, 0.7, count))
    centre, half_axes = centre[order], half_axes[order]
    angle = rng.normal(0, 0.30, count)
    shapes = outlines(rng, centre, half_axes, angle, roughness=0.09, corners=16)
    gap = rng.uniform(0.4, 2.2, count)[:, None, None]
    pore = rng.random(count) < 0.16
    labels = np.zeros((height, length), np.int32)
    middle = shapes.mean(axis=1, keepdims=True)
    out = shapes - middle
    around = out * (1 + gap / np.hypot(out[..., 0], out[..., 1])[..., None])
    around[pore] = out[pore] * 0.62
    # Each flake is painted after the dark gap around it; pores have only the gap colour.
    both = np.stack([middle + around, shapes], axis=1).reshape(-1, *shapes.shape[1:])
    numbers = np.stack([np.zeros(count, np.int64), np.arange(1, count + 1)], axis=1).reshape(-1)
    drawn = np.stack([np.ones(count, bool), ~pore], axis=1).reshape(-1)
    _paint_all(labels, both[drawn], numbers[drawn])
    depth = edge_depth(labels)
    tone = np.r_[0, np.clip(rng.normal(118, 14, count), 84, 152)].astype(np.float32)
    warm = np.r_[0, rng.normal(0, 2.0, count)].astype(np.float32)
    streak = _leaf_streaks(rng, labels, np.r_[0, angle])
    fine = tile_noise(rng, labels.shape, scale=(2.4, 2.4))
    value = tone[labels] + 9 * streak + 3.5 * fine - 20 * np.exp(-depth / 1.3)
    dark = 50 + 6 * tile_noise(rng, labels.shape, scale=(3, 3)) + 5 * tile_noise(rng, labels.shape, scale=(20, 20))
    solid = labels > 0
    picture = np.empty((height, length, 3), np.float32)
    for channel, (graphite, matrix, tint) in enumerate(((1.02, 0.97, 1.0), (1.0, 1.0, 0.2), (0.945, 1.08, -1.0))):
        picture[..., channel] = np.where(solid, value * graphite + tint * warm[labels], dark * matrix)
    return picture


def _leaf_streaks(rng: np.random.Generator, labels: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Basal-plane streaks along each flake, chosen from three sheared noises by the flake's angle."""
    height, length = labels.shape
    straight = tile_noise(rng, labels.shape, scale=(2.2, 26))
    rows = np.arange(height)[:, None]
    columns = np.arange(length)[None, :]
    chosen = np.digitize(angle, (-0.15, 0.15))[labels]
    streak = straight.copy()
    for number, slope in ((0, -0.30), (2, 0.30)):
        # Rows shift with the column; a whole number of turns per length keeps the image tileable.
        turns = max(1, round(abs(slope) * length / height)) * np.sign(slope)
        shifted = straight[(rows - np.round(columns * turns * height / length).astype(int)) % height, columns]
        np.copyto(streak, shifted, where=chosen == number)
    return streak
