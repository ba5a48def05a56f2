"""Defects across layers: geometry, cracks, preparation artefacts."""

from __future__ import annotations

import math

import numpy as np

from microscope_qc.synthetic.fields import patch_noise
from microscope_qc.synthetic.kinds import ObjectKind, SizeRange
from microscope_qc.synthetic.shapes import (
    PixelGrid,
    Stamp,
    blob,
    cover,
    lay_over,
    paint,
    path_distance,
    put_under,
    wander,
    within_coating,
)
from microscope_qc.synthetic.stack import COPPER_RGB, RESIN_RGB
from microscope_qc.synthetic.winding import COATINGS, LAYERS_PX

# (border depth, +1 when the coating is at larger depth) of the four faces on foils and the four free faces.
_ON_FOIL = ((263, 263, -1), (313, 313, 1), (812, 812, -1), (845, 845, 1))
_FREE_FACE = ((63, 63, 1), (513, 513, -1), (579, 579, 1), (1078, 1078, -1))
_FOILS = ((288, 288, 0), (828, 828, 0))


def _resin(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return np.asarray(RESIN_RGB, np.float32) + (2.5 * patch_noise(rng, shape, scale=6))[..., None]


def _side(grid: PixelGrid, faces: tuple[tuple[int, int, int], ...]) -> int:
    """On which side of the nearest face the coating is."""
    middle = grid.depth_px[grid.shape[0] // 2, grid.shape[1] // 2]
    return min(faces, key=lambda face: abs(face[0] - middle))[2]


def draw_delamination(rng: np.random.Generator, grid: PixelGrid, half: tuple[float, float]) -> Stamp:
    """The coating has come off the foil: a resin-filled lens on the foil, the coating above it pushed away."""
    side = _side(grid, _ON_FOIL)
    lens = np.clip(1 - (grid.s / half[1]) ** 2, 0, None)
    opening = 1.6 * half[0] * lens * (1 + 0.12 * patch_noise(rng, grid.shape, scale=40))
    above = grid.t * side - 1
    push = opening * np.exp(-np.maximum(above - opening, 0) / 40)
    stamp = Stamp(
        cover(opening * 4) * cover(above - opening), grid.sample(-side * push, np.zeros_like(push)), above < -1e9
    )
    gap = np.minimum(above, opening - above)
    lay_over(stamp, cover(gap), _resin(rng, grid.shape) * rng.uniform(0.75, 1.0))
    stamp.visible = gap > 0.5
    return stamp


def draw_missing_coating(rng: np.random.Generator, grid: PixelGrid, half: tuple[float, float]) -> Stamp:
    """A notch in the free face of the coating, filled with resin and a few crumbs."""
    side = _side(grid, _FREE_FACE)
    into = grid.t * side
    depth = blob(rng, into, grid.s, half=half, lobes=0.10, orders=9) + 1.5 * patch_noise(rng, grid.shape, scale=8)
    inside = np.minimum(depth, into + 6)
    value = _resin(rng, grid.shape)
    stamp = Stamp(cover(inside), value, inside > 0)
    for _ in range(int(rng.integers(2, 7))):
        t = grid.t - side * rng.uniform(0.05, 0.75) * half[0]
        s = grid.s - rng.uniform(-0.7, 0.7) * half[1]
        radius = rng.uniform(3, 9)
        crumb = np.minimum(blob(rng, t, s, half=(radius, radius * rng.uniform(1, 1.8)), lobes=0.15), inside - 3)
        lay_over(
            stamp, cover(crumb), paint(rng.uniform(95, 160) + 8 * patch_noise(rng, grid.shape, scale=3), (1, 1, 0.99))
        )
    return stamp


def draw_foil_dent(rng: np.random.Generator, grid: PixelGrid, half: tuple[float, float]) -> Stamp:
    """The foil is bent out of its plane, with a resin-filled gap under the dent."""
    side = 1 if rng.random() < 0.5 else -1
    start, stop = (
        LAYERS_PX["aluminium"] if grid.depth_px[grid.shape[0] // 2, grid.shape[1] // 2] < 570 else LAYERS_PX["copper"]
    )
    thick = stop - start
    height = half[0] * 1.2
    width = half[1] / 2.1
    offset = grid.t * side
    bump = height * np.exp(-0.5 * (grid.s / width) ** 2)
    bump *= 1 + 0.08 * patch_noise(rng, grid.shape, scale=50)
    far = np.maximum(offset - bump - thick / 2, 0)
    push = bump * np.exp(-far / 40)
    moved = offset > bump - thick / 2 - 1
    stamp = Stamp(cover(3 * (bump - 0.6)) * moved, grid.sample(-side * push, np.zeros_like(push)), moved)
    gap = np.minimum(offset + thick / 2, bump - thick / 2 - offset)
    lay_over(stamp, cover(gap), _resin(rng, grid.shape) * rng.uniform(0.7, 1.0))
    stamp.visible = (bump > 2.5) & (offset > -thick / 2) & (offset < bump + thick / 2)
    return stamp


def draw_crack(rng: np.random.Generator, grid: PixelGrid, half: tuple[float, float]) -> Stamp:
    """A thin, jagged, branching crack through the coating."""
    across = rng.uniform(0.75, 1.0) * half[0] * (1 if rng.random() < 0.5 else -1)
    end = np.array([across, rng.uniform(0.75, 1.0) * half[1]])
    path = wander(rng, -end, end, bend=rng.uniform(0.05, 0.12), steps=int(rng.integers(9, 18)))
    width = rng.uniform(1.9, 2.8)
    distance, along = path_distance(grid.t, grid.s, path)
    rough = 0.5 * patch_noise(rng, grid.shape, scale=9)
    depth = width * (0.85 + 0.45 * np.sin(np.pi * along)) - distance + rough
    for _ in range(int(rng.integers(1, 4))):
        knot = path[rng.integers(2, len(path) - 2)]
        turn = np.arctan2(end[0], end[1]) + rng.choice((-1, 1)) * rng.uniform(0.4, 1.1)
        tip = knot + np.array([np.sin(turn), np.cos(turn)]) * rng.uniform(0.2, 0.45) * np.hypot(*end)
        branch, along = path_distance(grid.t, grid.s, wander(rng, knot, tip, bend=0.1, steps=6))
        depth = np.maximum(depth, width * (0.95 - 0.5 * along) - branch + rough)
    inside = within_coating(grid)
    depth = np.minimum(depth, inside)
    value = rng.uniform(20, 34) + 3 * patch_noise(rng, grid.shape, scale=6)
    return Stamp(cover(depth, edge=1.2), paint(value, (0.95, 1.0, 1.10)), depth > -0.2)


def draw_scratch(rng: np.random.Generator, grid: PixelGrid, half: tuple[float, float]) -> Stamp:
    """A deep polishing scratch: a dark groove with raised bright borders, straight, slightly ragged."""
    turn = rng.uniform(0.5, 1.07) * (1 if rng.random() < 0.5 else -1)
    end = np.array([np.sin(turn), np.cos(turn)]) * half[1]
    path = wander(rng, -end, end, bend=0.006, steps=6)
    distance, along = path_distance(grid.y, grid.x, path)
    width = rng.uniform(3.5, 6.5) * np.clip(5 * np.minimum(along, 1 - along) + 0.45, 0, 1)
    depth = width - distance + 0.7 * patch_noise(rng, grid.shape, scale=6)
    value = rng.uniform(30, 44) + 8 * patch_noise(rng, grid.shape, scale=4)
    stamp = Stamp(0.92 * cover(depth), paint(value, (1.0, 1.0, 1.02)), depth > 0)
    put_under(
        stamp,
        0.5 * cover(depth + 3.5 + patch_noise(rng, grid.shape, scale=7), edge=3),
        paint(np.full(grid.shape, rng.uniform(205, 235)), (1, 1, 1)),
    )
    stamp.visible = depth > -2.5
    return stamp


def draw_comet(rng: np.random.Generator, grid: PixelGrid, half: tuple[float, float]) -> Stamp:
    """A comet tail: a pit followed by a streak that widens and fades in the direction of polishing."""
    turn = rng.uniform(0, 2 * math.pi)
    u = grid.y * math.sin(turn) + grid.x * math.cos(turn)
    v = grid.y * math.cos(turn) - grid.x * math.sin(turn)
    head = -0.72 * half[1]
    radius = rng.uniform(0.16, 0.24) * half[1]
    pit = blob(rng, v, u - head, half=(radius, radius), lobes=0.12)
    along = np.clip((u - head) / (half[1] - head), 0, 1.05)
    spread = radius * (0.85 + 0.5 * along) + 1.5 * patch_noise(rng, grid.shape, scale=20)
    streaks = 0.25 * np.sin(v * rng.uniform(0.5, 0.9) + 2 * patch_noise(rng, grid.shape, scale=40))
    tail = cover(spread - np.abs(v), edge=5) * (u > head) * np.clip((1.0 - along) * 4, 0, 1)
    strength = tail * np.clip(0.78 - 0.35 * along + streaks * 0.6, 0, 0.9)
    stamp = Stamp(
        strength.astype(np.float32), paint(np.full(grid.shape, rng.uniform(48, 66)), (1.04, 1, 0.95)), tail > 0.5
    )
    stamp.visible |= pit > 0
    lay_over(stamp, cover(pit), paint(22 + 3 * patch_noise(rng, grid.shape, scale=8), (0.95, 1, 1.1)))
    put_under(stamp, 0.7 * cover(pit + 3, edge=2), paint(np.full(grid.shape, 200), (1, 1, 1)))
    return stamp


def draw_stain(rng: np.random.Generator, grid: PixelGrid, half: tuple[float, float]) -> Stamp:
    """A dried drop of water or ethanol: a translucent tinted film with a dark border and interference colours."""
    depth = blob(rng, grid.y, grid.x, half=half, angle=rng.uniform(0, 3), lobes=0.10, orders=6)
    rim = np.exp(-((depth - 4) ** 2) / 14)
    order = np.maximum(depth, 0) / half[1] * rng.uniform(5, 9) + 0.5 * patch_noise(rng, grid.shape, scale=30)
    rgb = np.stack([112 + 26 * np.cos(order + shift) for shift in (0.0, 0.9, 1.9)], axis=-1).astype(np.float32)
    film = cover(depth, edge=2.5)
    dark = (rim * film)[..., None]
    rgb = rgb * (1 - dark) + np.array([48, 40, 34], np.float32) * dark
    alpha = film * (rng.uniform(0.42, 0.58) + 0.45 * rim)
    return Stamp(np.clip(alpha, 0, 0.95).astype(np.float32), rgb, depth > -0.5)


def draw_pull_out(rng: np.random.Generator, grid: PixelGrid, half: tuple[float, float]) -> Stamp:
    """Particles broken out of the cathode: a cluster of black, round pits with bright chipped borders."""
    count = int(rng.integers(5, 10))
    pits = np.full(grid.shape, -np.inf, np.float32)
    for number in range(count):
        turn = 2 * np.pi * (number + rng.uniform(-0.3, 0.3)) / count
        reach = rng.uniform(0.1, 0.74)
        radius = rng.uniform(0.14, 0.30) * min(half)
        t, s = grid.t - half[0] * reach * math.sin(turn), grid.s - half[1] * reach * math.cos(turn)
        pits = np.maximum(pits, blob(rng, t, s, half=(radius, radius), lobes=0.08))
    value = 20 + 4 * patch_noise(rng, grid.shape, scale=7)
    stamp = Stamp(cover(pits), paint(value, (0.95, 1.0, 1.1)), pits > -1.5)
    put_under(stamp, 0.85 * cover(pits + 3.0, edge=1.5), paint(np.full(grid.shape, 226.0), (1, 1, 1)))
    return stamp


def draw_smear(rng: np.random.Generator, grid: PixelGrid, half: tuple[float, float]) -> Stamp:
    """Foil metal smeared over the coatings while grinding: ragged bright streaks that start at the foil."""
    copper = grid.depth_px[grid.shape[0] // 2, grid.shape[1] // 2] > 570
    metal = np.asarray(COPPER_RGB if copper else (236.0, 238.0, 241.0), np.float32)
    start, stop = LAYERS_PX["copper" if copper else "aluminium"]
    lean = rng.uniform(-0.35, 0.35)
    side = 1 if rng.random() < 0.5 else -1
    into = grid.t * side / half[0]
    across = grid.s - lean * grid.t
    ragged = patch_noise(rng, (1, grid.shape[1]), scale=9)[0]
    column = np.clip(across + grid.shape[1] / 2, 0, grid.shape[1] - 1).astype(int)
    reach = 0.75 + 0.17 * ragged[column]
    width = half[1] * (0.72 - 0.2 * into) + 3 * patch_noise(rng, grid.shape, scale=14)
    depth = np.minimum(np.minimum((reach - into) * half[0], into * half[0]), width - np.abs(across))
    value = 1 + 0.02 * patch_noise(rng, grid.shape, scale=3) - 0.06 * into
    visible = (depth > 0) & (grid.t * side > (stop - start) / 2)
    return Stamp(0.95 * cover(depth, edge=2), metal * value[..., None].astype(np.float32), visible)


def _geometry_size(rng: np.random.Generator) -> tuple[float, float]:
    return float(rng.uniform(38, 58)), float(rng.uniform(75, 130))


_EACH_COATING = tuple((*LAYERS_PX[name], 0) for name in COATINGS)
_CATHODES = tuple((*LAYERS_PX[name], 0) for name in COATINGS[:2])
PROCESS_KINDS = (
    ObjectKind("GEO", 1.0, _ON_FOIL, SizeRange(65, 150, flat=(0.18, 0.3)), draw_delamination, 170, 1.05, True),
    ObjectKind("GEO", 1.0, _FREE_FACE, SizeRange(60, 140, flat=(0.5, 0.9)), draw_missing_coating, 8.0, 1.3, True),
    ObjectKind("GEO", 0.9, _FOILS, _geometry_size, draw_foil_dent, 170, 1.05, True),
    ObjectKind(
        "CRK", 1.0, _EACH_COATING, SizeRange(60, 200, flat=(0.5, 1.3), most_across=92), draw_crack, 8.0, 1.12, True
    ),
    ObjectKind("PRA", 1.0, (), SizeRange(70, 180, most_across=400), draw_scratch, 8.0, 1.05),
    ObjectKind("PRA", 1.0, (), SizeRange(55, 120, most_across=400), draw_comet, 8.0, 1.1),
    ObjectKind("PRA", 1.0, (), SizeRange(45, 130, flat=(0.65, 1.0), most_across=130), draw_stain, 8.0, 1.3),
    ObjectKind("PRA", 0.9, _CATHODES, SizeRange(42, 84, flat=(0.7, 1.0), most_across=76), draw_pull_out, 8.0, 1.15),
    ObjectKind("PRA", 0.7, _FOILS, SizeRange(42, 80, flat=(1.5, 2.0), most_across=130), draw_smear, 8.0, 1.15),
)
