"""From which distance on a place is unusual, from the distances of normal places. No torch in here."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from microscope_qc.core.arrays import Floats
from microscope_qc.ml.cards import AnomalySettings

P_HALF, P_LOW = 1e-5, 1e-3
"""Share of normal places that reach a confidence of 0.5, and of 0.05."""
_TAIL_FROM, _TAIL_TO = 0.5, 0.9
_ODDS = math.log(0.95 / 0.05)


@dataclass(frozen=True, slots=True)
class Tail:
    """What follows from the distances of normal places; ``places`` is how many there were."""

    settings: AnomalySettings
    places: int


def tail_of(distances: Floats) -> Tail:
    """From which distance on a place is unusual.

    Distances of normal places fall off exponentially, on drawn magnets from their median on (of the largest values of
    many distributions: J. Pickands, "Statistical Inference Using Extreme Order Statistics", Annals of Statistics 3,
    1975). How quickly is taken from the upper half without the last tenth, among which there may be defects.

    Parameters
    ----------
    distances : ndarray, (n,)
        Of places that were not learned from and in which nothing is marked.
    """
    low, high = np.quantile(distances, [_TAIL_FROM, _TAIL_TO])
    length = max(float(high - low) / math.log((1 - _TAIL_FROM) / (1 - _TAIL_TO)), 1e-6)
    threshold = float(high) + length * math.log((1 - _TAIL_TO) / P_HALF)
    return Tail(AnomalySettings(threshold=threshold, spread=length * math.log(P_LOW / P_HALF) / _ODDS), len(distances))


def confidences(distances: np.ndarray, anomaly: AnomalySettings) -> np.ndarray:
    """Confidence of each distance, float32: 0.5 at the threshold.

    Below it a logistic curve, after which 0.05 is reached by a hundred times as many normal places. Above it 0.875 at
    twice and 0.955 at three and a third times the threshold, so that what is far off is still told apart.
    """
    steps: Floats = (np.asarray(distances, float) - anomaly.threshold) / anomaly.spread
    below = 0.5 + 0.5 * np.tanh(np.minimum(steps, 0) / 2)  # the logistic function, without overflow
    above = 1 - 0.5 * (anomaly.threshold / np.maximum(distances, anomaly.threshold)) ** 2
    sure: np.ndarray = np.where(steps > 0, above, below).astype(np.float32)
    return sure


def share_of_normal(confidence: Floats, anomaly: AnomalySettings) -> Floats:
    """Share of normal places that reach a confidence: its p-value, by the curves of :func:`confidences`."""
    sure = np.clip(np.asarray(confidence, float), 1e-9, 1 - 1e-9)
    steps = np.where(
        sure > 0.5, (np.sqrt(0.5 / (1 - np.maximum(sure, 0.5))) - 1) * anomaly.threshold / anomaly.spread,
        np.log(sure / (1 - sure)),
    )  # fmt: skip
    share: Floats = np.minimum(P_HALF * np.exp(-steps * math.log(P_LOW / P_HALF) / _ODDS), 1.0)
    return share
