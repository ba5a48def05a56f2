"""Least squares between two sets of points in the plane, mirrored or not."""

from __future__ import annotations

import numpy as np

from microscope_qc.core.arrays import Floats


def specimen_um(yx_px: np.ndarray, pixel_size_um: tuple[float, float]) -> np.ndarray:
    """Specimen coordinates (n, 2) x, y in um, y upwards, of slide pixels (n, 2) y, x."""
    points = np.atleast_2d(np.asarray(yx_px, float))
    return np.stack([points[:, 1] * pixel_size_um[1], -points[:, 0] * pixel_size_um[0]], axis=1)


def apply_map(matrix: Floats, points: Floats) -> Floats:
    """Apply a (2, 3) map to points (n, 2)."""
    return points @ matrix[:, :2].T + matrix[:, 2]


def narrowness(points: np.ndarray) -> float:
    """Smaller over larger spread (0 to 1); 0 for points on a line."""
    values = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
    return float(values[1] / values[0])


def solve(model: str, points: np.ndarray, target: np.ndarray, mirror: bool) -> np.ndarray:
    """Least squares around the centres of both sets; (2, 3)."""
    centre, goal = points.mean(axis=0), target.mean(axis=0)
    p, t = points - centre, target - goal
    if model == "affine":
        linear = np.linalg.lstsq(p, t, rcond=None)[0].T
    else:
        flip = np.diag([1.0, -1.0]) if mirror else np.eye(2)
        z, w = _complex(p @ flip), _complex(t)
        turn = np.sum(w * np.conj(z)) / np.maximum(np.sum(np.abs(z) ** 2), 1e-300)
        if model == "rigid":
            turn = turn / abs(turn) if abs(turn) > 0 else 1.0 + 0.0j
        linear = np.array([[turn.real, -turn.imag], [turn.imag, turn.real]]) @ flip
    return np.column_stack([linear, goal - linear @ centre])


def solve_handed(model: str, points: np.ndarray, target: np.ndarray, mirror: bool | None) -> tuple[str, np.ndarray]:
    """Fit with the handedness that is given, or with the one that leaves the smaller residual."""
    hands = (False, True) if mirror is None and model != "affine" else (bool(mirror),)
    fits = [solve(model, points, target, hand) for hand in hands]
    return model, min(fits, key=lambda matrix: float(((apply_map(matrix, points) - target) ** 2).sum()))


def leave_one_out(model: str, points: np.ndarray, target: np.ndarray, mirror: bool) -> np.ndarray:
    """Distance (n,) in um at each mark when it is left out of the fit."""
    result = np.empty(len(points))
    for left_out in range(len(points)):
        keep = np.arange(len(points)) != left_out
        matrix = solve(model, points[keep], target[keep], mirror)
        result[left_out] = np.linalg.norm(apply_map(matrix, points[left_out : left_out + 1]) - target[left_out])
    return result


def observed_scale_of(points: np.ndarray, target: np.ndarray) -> float:
    """Spread on the stage over spread on the specimen: a check of the pixel size that needs no fit."""
    return rms(target - target.mean(axis=0)) / max(rms(points - points.mean(axis=0)), 1e-300)


def rms(values: np.ndarray) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(values**2)))


def _complex(xy: np.ndarray) -> np.ndarray:
    return xy[:, 0] + 1j * xy[:, 1]
