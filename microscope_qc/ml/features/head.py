"""Says of every cell of a slide how much it looks like what was labelled, and how large the defect there is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from microscope_qc.core.arrays import Floats, Ints
from microscope_qc.ml.features.extent import CellLooks, Extents
from microscope_qc.ml.features.grid import FINE

NEED = 2
"""Cells around a cell on whose features the box there depends."""


@dataclass(frozen=True, slots=True, eq=False)
class SuggestionHead:
    """What was learned.

    Attributes
    ----------
    weights : (432,)
    bias
        A cell's evidence is linear in its features.
    half, slope
        Evidence of a score of 0.5, and how fast scores rise there.
    spread
        Of the evidence over the slide.
    extents
        Boxes around cells.
    """

    weights: Floats
    bias: float
    half: float
    slope: float
    spread: float
    extents: Extents

    def evidence(self, features: Floats) -> Floats:
        """For something being there, of features (..., 432)."""
        evidence: Floats = features @ self.weights + self.bias
        return evidence

    def scores(self, evidence: Floats) -> Floats:
        """From 0 to 1: at 0.5 half of the labels, each left out in turn, have more evidence, and half have less."""
        scores: Floats = 1.0 / (1.0 + np.exp(-np.clip(self.slope * (evidence - self.half), -30, 30)))
        return scores

    def boxes(self, features: Floats, evidence: Floats, y: Ints, x: Ints) -> Floats:
        """Boxes at cells of a part of the map, (n, 4) as y0, x0, y1, x1 in pixels from its corner.

        The cells around vote with it, each as far as it has evidence.

        Parameters
        ----------
        features : (rows, columns, 432)
        evidence : (rows, columns)
            Minus infinity beyond the slide.
        y, x : (n,)
            Cells that are :data:`NEED` cells from the border.
        """
        total, boxes = np.zeros(len(y)), np.zeros((len(y), 4))
        for step_y in (-1, 0, 1):
            for step_x in (-1, 0, 1):
                there_y, there_x = y + step_y, x + step_x
                votes = np.exp((evidence[there_y, there_x] - evidence[y, x]) / self.spread)
                corner = np.stack([there_y, there_x, there_y, there_x], axis=1) * float(FINE)
                boxes += votes[:, None] * (corner + self.extents.sides(CellLooks.around(features, there_y, there_x)))
                total += votes
        voted: Floats = boxes / total[:, None]
        return voted
