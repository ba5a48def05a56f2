"""Which voxels of a block are particle, and how far each is from the nearest pore."""

from __future__ import annotations

import numpy as np

from microscope_qc.analysis.particles.settings import ParticleSettings
from microscope_qc.core.blocks import VoxelSize

_ROWS = 8
"""So many rows at a time stay in the cache of the processor."""
_SAUVOLA_K = 0.2


def filtered(grey: np.ndarray, settings: ParticleSettings) -> np.ndarray:
    """Smoothed grey values, float32 (z, y, x)."""
    from scipy import ndimage

    values = grey.astype(np.float32, copy=False)
    if settings.filter == "none" or settings.filter_size == 0:
        return values
    if settings.filter == "gaussian":
        return np.asarray(ndimage.gaussian_filter(values, settings.filter_size))
    return np.asarray(ndimage.median_filter(values, size=2 * round(settings.filter_size) + 1))


def solid(values: np.ndarray, level: float | None, settings: ParticleSettings) -> np.ndarray:
    """Where filtered values are those of particles; ``level`` None takes Sauvola's local threshold.

    J. Sauvola and M. Pietikäinen, "Adaptive document image binarization", Pattern Recognition 33 (2000) 225.
    """
    if level is not None:
        return np.asarray(values < level if settings.dark else values >= level)
    from skimage.filters import threshold_sauvola

    local = threshold_sauvola(values, window_size=settings.window | 1, k=_SAUVOLA_K)
    return np.asarray(values < local if settings.dark else values >= local)


def cleaned(mask: np.ndarray, settings: ParticleSettings) -> np.ndarray:
    """The mask after closing, opening and the filling of holes.

    A hole is filled when it lies wholly in the block with its surroundings.
    """
    from scipy import ndimage

    if settings.closing:
        mask = _within(_within(mask, settings.closing, grow=True), settings.closing, grow=False)
    if settings.opening:
        mask = _within(_within(mask, settings.opening, grow=False), settings.opening, grow=True)
    if settings.fill_holes:
        holes, count = ndimage.label(~mask)
        open_to = np.zeros(count + 1, bool)
        for axis in range(3):
            for end in (0, -1):
                open_to[np.unique(holes.take(end, axis=axis))] = True
        mask = ~open_to[holes] if count else mask
        if count:
            mask |= holes == 0
    return np.asarray(mask)


def _within(mask: np.ndarray, radius: int, *, grow: bool) -> np.ndarray:
    """The mask grown or shrunk by a ball; the border of the block counts as neither."""
    near = capped_distance(~mask if grow else mask, radius + 1)
    return near <= radius if grow else near > radius


def capped_distance(mask: np.ndarray, cap: int, step: VoxelSize = (1.0, 1.0, 1.0)) -> np.ndarray:
    """Distance of each voxel of a mask to the nearest voxel outside it, at most ``cap``.

    What lies beyond the array is not looked at, as with scipy. Within ``cap`` it is exact: that of each slice is
    OpenCV's, and the third axis takes the minimum over the slices within ``cap``.

    Parameters
    ----------
    step
        Edges of a voxel along z, y and x, in units of the result.

    Returns
    -------
    ndarray
        float32 (z, y, x), 0 outside the mask.

    Notes
    -----
    P. F. Felzenszwalb and D. P. Huttenlocher, "Distance transforms of sampled functions", Theory of Computing 8 (2012)
    415: the squared distance is found one axis after the other.
    """
    import cv2

    if step[1] != step[2]:
        from scipy import ndimage

        far = ndimage.distance_transform_edt(mask, sampling=step) if not mask.all() else np.full(mask.shape, cap)
        return np.asarray(np.minimum(far, cap), np.float32)
    side, along = step[1], step[0] / step[1]
    reach = cap / side
    squared = np.empty(mask.shape, np.float32)
    for plane, inside in zip(squared, mask, strict=True):
        if inside.all():
            plane.fill(reach**2)
            continue
        flat = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        # its last digit changes from call to call; the squared distance within a slice is a whole number
        np.minimum(np.rint(flat * flat), reach**2, out=plane)
    for first in range(0, mask.shape[1], _ROWS):
        rows = squared[:, first : first + _ROWS]
        flat = np.ascontiguousarray(rows)
        found = flat.copy()
        for k in range(1, mask.shape[0]):
            more = (k * along) ** 2
            if more >= found.max():
                break
            np.minimum(found[k:], flat[:-k] + more, out=found[k:])
            np.minimum(found[:-k], flat[k:] + more, out=found[:-k])
        rows[:] = found
    np.sqrt(squared, out=squared)
    squared *= np.float32(side)
    return squared
