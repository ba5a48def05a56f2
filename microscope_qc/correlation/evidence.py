"""What marks can tell and what they cannot: how large errors are, whether the map is sheared or mirrored, and where."""

from __future__ import annotations

import math

import numpy as np

from microscope_qc.core.arrays import Flags, Floats
from microscope_qc.correlation.solving import apply_map, solve, solve_handed

NARROW = 0.03
"""Marks whose spread across is below this share of their spread along count as marks on a line."""
USUAL_ERROR_UM = 5.0
"""Error of locating a mark along one axis that is expected before anything was measured."""
MARGIN = 0.05
"""How far outside the marks a place still counts as between them, as a share of the largest distance of two marks."""
_CLEAR_GAIN = 0.01  # chance of taking a shear that is not there
_CLEAR_HAND = 40.0  # in units of the squared error of a mark: the chance of the wrong hand is then below 0.1 %
_ROUNDING_UM = 1e-3  # of the numbers that are typed
_USUAL_WEIGHT = 2  # degrees of freedom for which the usual error counts


def f_quantile(upper_tail: float, freedom: int) -> float:
    """Return the value that an F(2, ``freedom``) variable exceeds with this probability.

    Two degrees of freedom above give a closed form: P(F > x) = (1 + 2 x / v) ** (-v / 2).
    """
    return freedom / 2 * (math.pow(upper_tail, -2 / freedom) - 1)


def radius_factor(freedom: int) -> float:
    """Return how many root mean square errors a circle must have to hold 95 % of two-dimensional errors.

    The error of a mark is itself estimated from ``freedom`` degrees of freedom; with many it tends to 1.73.
    """
    return math.sqrt(f_quantile(0.05, freedom))


def is_sheared(points: Floats, target: Floats, mirror: bool | None) -> bool:
    """Return whether an affine map fits clearly better than a similarity, by an F test at 1 %."""
    similar = _squares(solve_handed("similarity", points, target, mirror)[1], points, target)
    sheared = _squares(solve("affine", points, target, False), points, target)
    freedom = 2 * len(points) - 6
    if freedom <= 0 or similar <= sheared:
        return False
    variance = max(sheared / freedom, _ROUNDING_UM**2)
    return (similar - sheared) / 2 > f_quantile(_CLEAR_GAIN, freedom) * variance


def is_hand_certain(points: Floats, target: Floats) -> bool:
    """Return whether the marks tell if the stage shows the slide mirrored.

    Where they are close together or almost on a line, errors of locating them decide it.
    """
    fits = [_squares(solve("similarity", points, target, hand), points, target) for hand in (False, True)]
    freedom = 2 * len(points) - 4 + _USUAL_WEIGHT
    variance = (min(fits) + _USUAL_WEIGHT * USUAL_ERROR_UM**2) / freedom
    return abs(fits[0] - fits[1]) > _CLEAR_HAND * variance


def are_outside(points: Floats, marks: Floats) -> Flags:
    """Return which points (n, 2) are outside the hull of the marks (m, 2) and farther from it than :data:`MARGIN`."""
    corners = _hull(marks)
    edges = np.roll(corners, -1, axis=0) - corners
    away = points[:, None, :] - corners[None, :, :]
    along = np.clip((away * edges).sum(-1) / np.maximum((edges**2).sum(-1), 1e-300), 0.0, 1.0)
    distance: Floats = np.linalg.norm(away - along[..., None] * edges, axis=-1).min(axis=1)
    cross = edges[:, 0] * away[..., 1] - edges[:, 1] * away[..., 0]
    within = (cross >= 0).all(axis=1) | (cross <= 0).all(axis=1) if len(corners) > 2 else np.zeros(len(points), bool)
    longest = float(np.linalg.norm(marks[:, None, :] - marks[None, :, :], axis=-1).max())
    outside: Flags = ~within & (distance > MARGIN * longest)
    return outside


def _hull(marks: Floats) -> Floats:
    from scipy.spatial import ConvexHull, QhullError

    try:
        corners: Floats = marks[ConvexHull(marks).vertices]
        return corners
    except (QhullError, ValueError):  # two marks, or marks on a line: the hull is the line between the outermost
        centred = marks - marks.mean(axis=0)
        along = centred @ np.linalg.svd(centred)[2][0]
        ends: Floats = marks[[int(along.argmin()), int(along.argmax())]]
        return ends


def warnings_of(
    model: str,
    matrix: Floats,
    points: Floats,
    target: Floats,
    *,
    freedom: int,
    observed: float,
    narrow: bool,
    mirror: bool | None,
) -> list[str]:
    """Sentences about what is doubtful in a fit; ``mirror`` is what the user said of the hand."""
    count = len(points)
    residuals = np.linalg.norm(apply_map(matrix, points) - target, axis=1)
    found = []
    if freedom <= 0:
        found.append("No check possible: the marks just determine the map, so no error can be estimated. Add one mark.")
    elif count == 2:
        found.append("Two marks check the scale only; a wrong orientation cannot be seen.")
    elif count == 3 and model == "similarity":
        sign = np.linalg.det(solve("affine", points, target, False)[:, :2])
        if not narrow and (sign < 0) != (np.linalg.det(matrix[:, :2]) < 0):
            found.append("The three marks contradict the orientation: look for two marks that are swapped.")
    if narrow:
        found.append("The marks are almost on a line: positions away from it are uncertain.")
    if mirror is None and not is_hand_certain(points, target):
        found.append(
            "Whether the stage shows the slide mirrored is not certain: the marks are too close together or almost on "
            "a line. Say which one it is, or add a mark far from them."
        )
    if residuals.mean() > 5 or residuals.max() > 10:
        found.append(
            f"The marks do not fit well: {residuals.mean():.1f} um on average, {residuals.max():.1f} um at most."
        )
    low, high = sorted([*np.linalg.svd(matrix[:, :2], compute_uv=False), observed])[::2]
    if low < 0.8 or high > 1.25:
        found.append(
            f"Lengths differ by a factor of {high if high > 1.25 else low:.2f}: check pixel size and stage units."
        )
    if mirror is not None and count >= 3 and not narrow:
        other = solve_handed("similarity", points, target, not mirror)[1]
        if _squares(other, points, target) < _squares(matrix, points, target):
            found.append("The marks fit better with the other orientation.")
    return found


def _squares(matrix: Floats, points: Floats, target: Floats) -> float:
    return float(((apply_map(matrix, points) - target) ** 2).sum())
