"""The table of particles: size, shape, surface, neighbours, and which are cut by the border or no particles at all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from microscope_qc.analysis.particles.tally import ParticleTally

BORDER_SHARE = 0.2
"""A particle whose section at the border has more of its largest section than this is incomplete."""
FLAT = 0.25
"""A slice-like artefact is thinner than this share of its other sides."""
OUTLIER = 0.999
"""Quantile of the squared Mahalanobis distance beyond which a shape is unlike the others."""
_FEWEST = 20
"""With fewer particles there is no usual shape to compare with."""


@dataclass(frozen=True, slots=True, eq=False)
class ParticleTable:
    """Columns of one value for each particle; lengths in ``unit`` ("um", or "voxel" where the voxel is not known).

    Attributes
    ----------
    columns
        By name, with the unit in the name; see the keys in :func:`particle_table`.
    """

    unit: str
    columns: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.columns["particle"])

    def __getitem__(self, name: str) -> np.ndarray:
        """A column; ``radius`` finds ``radius_um``."""
        if name in self.columns:
            return self.columns[name]
        return next(column for key, column in self.columns.items() if key.rsplit("_", 1)[0] == name)

    def kept(self, *, border: bool = False, slices: bool = False) -> np.ndarray:
        """Which particles count; those cut by the border and slice-like ones only where it is said."""
        mask = np.ones(len(self), bool)
        if not border:
            mask &= ~self["at_border"]
        if not slices:
            mask &= ~self["slice_like"]
        return mask


def particle_table(tally: ParticleTally, *, unit: str) -> ParticleTable:
    """Make the table.

    Notes
    -----
    Volume from counted voxels; surface by the Crofton formula over 13 directions (J. Ohser and K. Schladitz, "3D Images
    of Materials Structures", Wiley-VCH 2009); length, width and thickness are the axes of the ellipsoid with the same
    moments; sphericity as H. Wadell, J. Geol. 43 (1935) 250.
    """
    numbers = np.flatnonzero(tally.voxels)
    voxels = tally.voxels[numbers].astype(float)
    edge = np.array(tally.voxel)
    volume = voxels * edge.prod()
    radius = np.cbrt(3 * volume / (4 * np.pi))
    surface = tally.surface[numbers]
    middle = tally.first_moments[numbers] / voxels[:, None]
    axes, directions = _ellipsoids(tally, numbers, voxels, middle)
    low, high = tally.low[numbers], tally.high[numbers]
    first, second, faces = tally.contacts()
    neighbours = np.bincount(first, minlength=tally.count + 1) + np.bincount(second, minlength=tally.count + 1)
    touching = np.bincount(first, faces, tally.count + 1) + np.bincount(second, faces, tally.count + 1)
    largest = np.maximum(tally.largest_slices()[numbers], 1)
    border = (tally.on_faces[numbers].reshape(-1, 3, 2).max(axis=2) / largest).max(axis=1, initial=0)
    places = (middle + 0.5) * edge
    columns = {
        "particle": numbers,
        **{f"{axis}_{unit}": places[:, k] for k, axis in enumerate("zyx")},
        "voxels": tally.voxels[numbers],
        f"volume_{unit}3": volume,
        f"radius_{unit}": radius,
        f"surface_{unit}2": surface,
        "sphericity": 4 * np.pi * radius**2 / surface,
        f"length_{unit}": axes[:, 0],
        f"width_{unit}": axes[:, 1],
        f"thickness_{unit}": axes[:, 2],
        "aspect": axes[:, 0] / axes[:, 2],
        "tilt_deg": np.degrees(np.arccos(np.clip(np.abs(directions[:, 0]), 0, 1))),
        "azimuth_deg": np.degrees(np.arctan2(directions[:, 1], directions[:, 2])) % 180,
        "neighbours": neighbours[numbers],
        "contact_faces": touching[numbers].astype(np.int64),
        "void_share": tally.dark[numbers] / voxels,
        "border_share": border,
        "at_border": border > BORDER_SHARE,
        "slice_like": slice_like((high - low) * edge),
        **{f"{axis}0_px": low[:, k] for k, axis in enumerate("zyx")},
        **{f"{axis}1_px": high[:, k] for k, axis in enumerate("zyx")},
    }
    return ParticleTable(unit, columns)


def slice_like(extents: np.ndarray) -> np.ndarray:
    """Which particles are flat as a slice, unlike the others: bool (n,).

    They must be outliers of the logarithms of their extents by a robust Mahalanobis distance, and be thinner than a
    quarter of their other sides, so that a particle that is just large or small stays.

    Parameters
    ----------
    extents
        Sides of the boxes around the particles, (n, 3).

    Notes
    -----
    P. C. Mahalanobis, Proc. Natl. Inst. Sci. India 2 (1936) 49; centre and covariance by P. J. Rousseeuw and K. Van
    Driessen, Technometrics 41 (1999) 212.
    """
    sides = np.asarray(extents, float)
    if len(sides) == 0:
        return np.zeros(0, bool)
    ordered = np.sort(sides, axis=1)
    flat = np.asarray(ordered[:, 0] < FLAT * np.sqrt(ordered[:, 1] * ordered[:, 2]))
    if len(sides) < _FEWEST or not flat.any():
        return np.zeros(len(sides), bool)
    from scipy.stats import chi2
    from sklearn.covariance import MinCovDet

    logs = np.log(sides)
    if np.linalg.matrix_rank(np.cov(logs.T)) < 3:
        return flat
    distance = MinCovDet(random_state=0).fit(logs).mahalanobis(logs)
    return np.asarray(flat & (distance > chi2.ppf(OUTLIER, 3)))


def _ellipsoids(
    tally: ParticleTally, numbers: np.ndarray, voxels: np.ndarray, middle: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Axes of the ellipsoids with the same moments, longest first (n, 3), and the direction (z, y, x) of the first."""
    moments = tally.second_moments[numbers] / voxels[:, None]
    edge = np.array(tally.voxel)
    spread = np.empty((len(numbers), 3, 3))
    for a in range(3):
        spread[:, a, a] = moments[:, a] - middle[:, a] ** 2 + 1 / 12  # a voxel is a cube, not a point
    for place, (a, b) in enumerate(((0, 1), (0, 2), (1, 2)), start=3):
        spread[:, a, b] = spread[:, b, a] = moments[:, place] - middle[:, a] * middle[:, b]
    spread *= edge[:, None] * edge[None, :]
    values, vectors = np.linalg.eigh(spread)
    axes = 2 * np.sqrt(5 * np.maximum(values[:, ::-1], 1e-12))
    return axes, vectors[:, :, -1]
