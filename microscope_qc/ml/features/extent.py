"""How large a defect is around a cell, and where its middle is: from the labels that look most alike. No torch in here.

Kernel ridge regression on the features of a cell and its neighbours (Saunders, Gammerman and Vovk, "Ridge Regression
Learning Algorithm in Dual Variables", ICML 1998). The labels are learned from together with their mirror images, so
that the answer for a mirrored place is the mirrored one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from microscope_qc.core.arrays import Floats, Ints
from microscope_qc.ml.features.grid import CHANNELS, FINE

CORE = 0.8
"""Share of a box around its middle whose cells are learned from."""
_RIDGE = 0.3
_MOST_SAMPLES = 1600
_LEAST_PX, _MOST_PX = 4.0, 400.0
_FLIPS = ((), (0,), (1,), (0, 1))
_NEIGHBOURS = 3


@dataclass(frozen=True, slots=True)
class CellLooks:
    """How cells look: fine features of 3 x 3 cells (n, 3, 3, 112), and coarse ones of the cell (n, 320)."""

    fine: Floats
    coarse: Floats

    @classmethod
    def around(cls, features: Floats, y: Ints, x: Ints) -> CellLooks:
        """Of cells of a map (rows, columns, 432) that are not at its border."""
        step = np.arange(_NEIGHBOURS) - _NEIGHBOURS // 2
        fine = features[..., : CHANNELS[FINE]]
        near = fine[(y[:, None] + step)[:, :, None], (x[:, None] + step)[:, None, :]]
        return cls(near, features[y, x, CHANNELS[FINE] :])

    @classmethod
    def joined(cls, parts: Sequence[CellLooks]) -> CellLooks:
        """Those of several maps."""
        return cls(np.concatenate([part.fine for part in parts]), np.concatenate([part.coarse for part in parts]))

    def only(self, rows: np.ndarray) -> CellLooks:
        """Some of them."""
        return CellLooks(self.fine[rows], self.coarse[rows])

    def rows(self, mean: Floats, spread: Floats, flips: tuple[int, ...] = ()) -> Floats:
        """As one row of numbers each, (n, 1328), of which both maps have half the weight."""
        split = CHANNELS[FINE]
        fine = (np.flip(self.fine, tuple(axis + 1 for axis in flips)) - mean[:split]) / spread[:split]
        coarse = (self.coarse - mean[split:]) / spread[split:]
        flat = fine.reshape(len(fine), -1)
        return np.concatenate([flat / np.sqrt(flat.shape[1]), coarse / np.sqrt(coarse.shape[1])], 1).astype(np.float32)


class Extents:
    """Boxes around cells, learned from labels.

    Parameters
    ----------
    looks
        Of cells within labels.
    sides : (n, 4)
        Where the label ends, y0, x0, y1, x1 in pixels from each of these cells.
    labels : (n,)
        Which label it is: all count alike.
    mean, spread : (432,)
        Of the features anywhere.
    """

    def __init__(
        self, looks: CellLooks, sides: Floats, labels: Ints, *, mean: Floats, spread: Floats, rng: np.random.Generator
    ) -> None:
        most = _MOST_SAMPLES // len(_FLIPS)
        if len(labels) > most:
            some = np.sort(rng.permutation(len(labels))[:most])
            looks, sides, labels = looks.only(some), sides[some], labels[some]
        self._mean, self._spread = mean, spread
        self._known = np.concatenate([looks.rows(mean, spread, flips) for flips in _FLIPS])
        wanted = np.concatenate([_described(_turned(sides, flips)) for flips in _FLIPS])
        _, index, counts = np.unique(np.tile(labels, len(_FLIPS)), return_inverse=True, return_counts=True)
        weight = 1.0 / counts[index]
        self._usual = (wanted * weight[:, None]).sum(axis=0) / weight.sum()
        away = _away(self._known, self._known)
        self._width = max(float(np.median(away)), 1e-6)
        noise = np.diag(_RIDGE * counts[index] / counts[index].mean())
        kernel = np.exp(-away / self._width).astype(np.float64)
        self._shares = np.linalg.solve(kernel + noise, wanted - self._usual).astype(np.float32)

    def sides(self, looks: CellLooks) -> Floats:
        """Where the defect around each cell ends, (n, 4) as y0, x0, y1, x1 in pixels from the cell."""
        alike = np.exp(-_away(looks.rows(self._mean, self._spread), self._known) / self._width)
        y, x, height, width = (alike @ self._shares + self._usual).T.astype(np.float64)
        half_y, half_x = (np.clip(np.exp(side), _LEAST_PX, _MOST_PX) / 2 for side in (height, width))
        return np.stack([y * FINE - half_y, x * FINE - half_x, y * FINE + half_y, x * FINE + half_x], axis=1)


def _away(one: Floats, other: Floats) -> Floats:
    """Squared distances, (n, m)."""
    away = (one**2).sum(1)[:, None] + (other**2).sum(1)[None] - 2 * one @ other.T
    positive: Floats = np.maximum(away, 0.0)
    return positive


def _turned(sides: Floats, flips: tuple[int, ...]) -> Floats:
    turned = sides.copy()
    for axis in flips:
        turned[:, [axis, axis + 2]] = -turned[:, [axis + 2, axis]]
    return turned


def _described(sides: Floats) -> Floats:
    """Middle in cells, and logarithms of height and width."""
    y0, x0, y1, x1 = sides.T
    described = np.stack([(y0 + y1) / 2 / FINE, (x0 + x1) / 2 / FINE, np.log(y1 - y0), np.log(x1 - x0)], axis=1)
    return described
