"""Calibrates a detector's confidence: of the findings with confidence 0.8, four in five should be right.

Focal loss gives low confidences that differ between classes, so that one threshold does not suit all of them. Platt
scaling (Platt, 1999) with one slope for all classes and one offset per class, fitted to the findings on the validation
part, corrects both. It is linear in the logits, so it can be folded into the last layer of a network.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from microscope_qc.ml.evaluation.detection import Tally

_OFFSET_SPREAD = 1.5  # prior that keeps classes with few findings close to the others
_LARGEST_OFFSET = 6.0


@dataclass(frozen=True)
class Calibration:
    """One slope, and one offset per class: logit -> slope * logit + offset."""

    slope: float
    offsets: tuple[float, ...]


def fit_calibration(tally: Tally) -> Calibration | None:
    """Fit to a validation tally; None when it has too few findings.

    Parameters
    ----------
    tally : Tally
        Findings down to a low confidence, so that wrong ones are included.
    """
    score, label, hit = tally.hits()
    if hit.sum() < 10 or (~hit).sum() < 10:
        return None
    logit = torch.logit(torch.tensor(score, dtype=torch.float64), eps=1e-6)
    labels, wanted = torch.tensor(label), torch.tensor(hit, dtype=torch.float64)
    log_slope = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    common = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    own = torch.zeros(len(tally.classes), dtype=torch.float64, requires_grad=True)
    parameters = [log_slope, common, own]
    optimizer = torch.optim.LBFGS(parameters, max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        scaled = log_slope.exp() * logit + common + own[labels]
        fit = torch.nn.functional.binary_cross_entropy_with_logits(scaled, wanted, reduction="sum")
        total = fit + 0.5 * (own / _OFFSET_SPREAD).square().sum() + 0.5 * log_slope.square().sum()
        total.backward()
        return total

    optimizer.step(loss)
    with torch.no_grad():
        offsets = (common + own).clamp(-_LARGEST_OFFSET, _LARGEST_OFFSET)
        slope = float(log_slope.exp().clamp(0.2, 10.0))
    if not np.isfinite(slope) or not torch.isfinite(offsets).all():
        return None
    return Calibration(round(slope, 4), tuple(round(float(value), 4) for value in offsets))
